//! `y[…] = x[…] * min(max(x[…] + 3, 0), 6) / 6`

use nablac_index::Expr;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Swish with a sigmoid made of three straight lines.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HardSwish {}

impl Operation for HardSwish {
    const NAME: &'static str = "hard_swish";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("HardSwish", 14), tflite("HARD_SWISH"), aten("hardswish.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(HardSwish {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        let number = |x: f64| Expr::literal(dtype, x);
        definition.map_real(|x| {
            let ramp = (x.clone() + number(3.0)).max(number(0.0)).min(number(6.0));
            x * ramp * number(1.0 / 6.0)
        })
    }
}
