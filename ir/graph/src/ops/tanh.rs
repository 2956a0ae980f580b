//! `y[…] = tanh(x[…])`

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Hyperbolic tangent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tanh {}

impl Operation for Tanh {
    const NAME: &'static str = "tanh";
    const SPELLINGS: &'static [Spelling] = &[onnx("Tanh", 1), tflite("TANH"), aten("tanh.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Tanh {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_real(|x| x.unary(Unary::Tanh))
    }
}
