//! `y[…] = a[…] - b[…]`, broadcast
//!
//! TFLite brings quantized operands to the larger one's scale first (`quantized/addition.rs`).

use serde::{Deserialize, Serialize};

use super::quantized::{self, Combination};
use super::{activation, broadcast};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Difference of two tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sub {}

impl Operation for Sub {
    const NAME: &'static str = "sub";
    const SPELLINGS: &'static [Spelling] = &[onnx("Sub", 7), tflite("SUB"), aten("sub.Tensor")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        quantized::check_scales(node)?;
        let operands = broadcast::scaled(node)?;
        let difference = node.add(Sub {}, &operands)?;
        Ok(vec![activation::fused(node, difference)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::pair(definition, |a, b| a - b)
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        quantized::addition(definition, &|definition| self.define(definition), Combination::Difference)
    }
}
