//! `y[…] = min(max(alpha * x[…] + beta, 0), 1)`

use nablac_index::Expr;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx};

/// Sigmoid made of three straight lines.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HardSigmoid {
    /// The slope of the middle line.
    pub alpha: f64,
    /// Its value at 0.
    pub beta: f64,
}

impl Operation for HardSigmoid {
    const NAME: &'static str = "hard_sigmoid";
    const SPELLINGS: &'static [Spelling] = &[onnx("HardSigmoid", 6), aten("hardsigmoid.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let slope = if node.operator() == "HardSigmoid" { 0.2 } else { 1.0 / 6.0 };
        let (alpha, beta) = (node.float("alpha", slope)?, node.float("beta", 0.5)?);
        node.same(HardSigmoid { alpha, beta })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        let number = |x: f64| Expr::literal(dtype, x);
        definition.map_real(|x| {
            (number(self.alpha) * x + number(self.beta)).max(number(0.0)).min(number(1.0))
        })
    }
}
