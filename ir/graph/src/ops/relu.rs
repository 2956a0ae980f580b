//! `y[…] = max(x[…], 0)`

use nablac_index::Expr;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Rectified linear unit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Relu {}

impl Operation for Relu {
    const NAME: &'static str = "relu";
    const SPELLINGS: &'static [Spelling] = &[onnx("Relu", 1), tflite("RELU"), aten("relu.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Relu {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        definition.map_number(|x| x.max(Expr::literal(dtype, 0.0)))
    }
}
