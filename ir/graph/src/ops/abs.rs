//! `y[…] = |x[…]|`

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Magnitude.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Abs {}

impl Operation for Abs {
    const NAME: &'static str = "abs";
    const SPELLINGS: &'static [Spelling] = &[onnx("Abs", 6), tflite("ABS"), aten("abs.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Abs {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_number(|x| x.unary(Unary::Abs))
    }
}
