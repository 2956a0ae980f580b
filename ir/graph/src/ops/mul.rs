//! `y[…] = a[…] * b[…]`, broadcast
//!
//! ONNX Runtime's form for integers is in `quantized/single_precision.rs`.

use serde::{Deserialize, Serialize};

use super::{activation, broadcast, quantized};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Product of two tensors, element by element; a square is the product of a tensor with itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Mul {}

impl Operation for Mul {
    const NAME: &'static str = "mul";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Mul", 7), tflite("MUL"), tflite("SQUARE"), aten("mul.Tensor")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.operator() == "SQUARE" {
            let x = node.input(0)?;
            return Ok(vec![node.add(Mul {}, &[x, x])?]);
        }
        let y = node.same(Mul {})?[0];
        Ok(vec![activation::fused(node, y)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::pair(definition, |a, b| a * b)
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        quantized::product(definition, &|definition| self.define(definition))
    }
}
