//! `y[…] = x[…]` where `x[…] ≥ 0`, else `alpha * (e^x[…] - 1)`

use nablac_index::{Binary, Expr, Unary};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Exponential linear unit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Elu {
    /// The limit on the negative side is `-alpha`.
    pub alpha: f64,
}

impl Operation for Elu {
    const NAME: &'static str = "elu";
    const SPELLINGS: &'static [Spelling] = &[onnx("Elu", 6), tflite("ELU"), aten("elu.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.float("scale", 1.0)? != 1.0 || node.float("input_scale", 1.0)? != 1.0 {
            return Err(node.unsupported("a scale other than 1: multiply by it"));
        }
        let alpha = node.float("alpha", 1.0)?;
        node.same(Elu { alpha })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        let number = |x: f64| Expr::literal(dtype, x);
        definition.map_real(|x| {
            let negative = x.clone().binary(Binary::Lt, number(0.0));
            let curve = number(self.alpha) * (x.clone().unary(Unary::Exp) - number(1.0));
            negative.select(curve, x)
        })
    }
}
