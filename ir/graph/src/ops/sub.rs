//! `y[…] = a[…] - b[…]`, broadcast; a squared difference is its product with itself

use serde::{Deserialize, Serialize};

use super::{Mul, activation, broadcast};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Difference of two tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sub {}

impl Operation for Sub {
    const NAME: &'static str = "sub";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Sub", 7), tflite("SUB"), tflite("SQUARED_DIFFERENCE"), aten("sub.Tensor")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let operands = broadcast::scaled(node)?;
        let difference = node.add(Sub {}, &operands)?;
        if node.operator() == "SQUARED_DIFFERENCE" {
            return Ok(vec![node.add(Mul {}, &[difference, difference])?]);
        }
        Ok(vec![activation::fused(node, difference)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::pair(definition, |a, b| a - b)
    }
}
