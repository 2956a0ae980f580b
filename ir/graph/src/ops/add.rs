//! `y[…] = a[…] + b[…]`, broadcast
//!
//! TFLite brings quantized operands to the larger one's scale first (`quantized/addition.rs`); ONNX Runtime adds them in single precision
//! (`quantized/single_precision.rs`).

use serde::{Deserialize, Serialize};

use super::quantized::{self, Combination};
use super::{activation, broadcast};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Sum of two tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Add {}

impl Operation for Add {
    const NAME: &'static str = "add";
    const SPELLINGS: &'static [Spelling] = &[onnx("Add", 7), tflite("ADD"), aten("add.Tensor")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        quantized::check_scales(node)?;
        let operands = broadcast::scaled(node)?;
        let y = node.add(Add {}, &operands)?;
        Ok(vec![activation::fused(node, y)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::pair(definition, |a, b| a + b)
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        quantized::addition(definition, &|definition| self.define(definition), Combination::Sum)
    }
}
