//! `y[…] = x[…]/2 * (1 + erf(x[…]/√2))`, or approximately `x[…]/2 * (1 + tanh(√(2/π) * (x[…] + 0.044715 x[…]³)))`

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use nablac_index::{Expr, Unary};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Gaussian error linear unit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Gelu {
    /// Whether it is approximated through `tanh`.
    pub approximate: bool,
}

impl Operation for Gelu {
    const NAME: &'static str = "gelu";
    const SPELLINGS: &'static [Spelling] = &[onnx("Gelu", 20), tflite("GELU"), aten("gelu.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let approximate = match node.operator() {
            "GELU" => node.int("approximate", 0)? != 0,
            _ => match node.text("approximate", "none")?.as_str() {
                "none" => false,
                "tanh" => true,
                other => return Err(node.malformed(format!("there is no approximation `{other}`"))),
            },
        };
        node.same(Gelu { approximate })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        let number = |x: f64| Expr::literal(dtype, x);
        definition.map_real(|x| {
            let step = if self.approximate {
                let cubic = number(0.044715) * x.clone() * x.clone() * x.clone();
                (number(FRAC_2_SQRT_PI * FRAC_1_SQRT_2) * (x.clone() + cubic)).unary(Unary::Tanh)
            } else {
                (x.clone() * number(FRAC_1_SQRT_2)).unary(Unary::Erf)
            };
            number(0.5) * x * (number(1.0) + step)
        })
    }
}
