//! `y[…] = not(x[…])`

use nablac_index::{DType, Unary};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Negation of booleans.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Not {}

impl Operation for Not {
    const NAME: &'static str = "not";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Not", 1), tflite("LOGICAL_NOT"), aten("logical_not.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Not {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        definition.require(dtype == DType::Bool, || format!("its operand is {dtype}, not boolean"))?;
        definition.map(|x| x.unary(Unary::Not))
    }
}
