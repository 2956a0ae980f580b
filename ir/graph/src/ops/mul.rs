//! `y[…] = a[…] * b[…]`, broadcast
//!
//! TFLite multiplies the quantized operands' steps, and the product by `scale_a * scale_b / scale_y`, both operations in single
//! precision. ONNX Runtime's form is in `quantized/single_precision.rs`.

use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint};
use super::requantize::integer;
use super::{activation, broadcast};
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
        let Some(fixed) = FixedPoint::<2>::of(definition)? else {
            return quantized::product(definition, &|definition| self.define(definition));
        };
        let [a, b] = &fixed.inputs;
        let scale = a.scale * b.scale / fixed.output.scale;
        broadcast::mixed(definition, fixed.output.dtype, |operands| {
            let steps = operands.into_iter().zip(&fixed.inputs).map(|(x, input)| input.centred(x));
            let product = steps.reduce(|a, b| a * b).unwrap_or(integer(0));
            fixed.output.saturated(fixed.product(product, f64::from(scale)))
        })
    }
}
