//! QLinearConv: a convolution of quantized tensors, with one scale per output channel of the weights; the bias is in units of the
//! product of scales.

use super::Conv;
use super::linear_quantization::{Operand, Output, Product};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("QLinearConv", 10)];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let [x, w] = [Operand::new(node, 0)?, Operand::new(node, 3)?];
    let output = Output::new(node, 6, node.dtype(x.integers))?;
    let conv = Conv::of(node, x.integers, w.integers)?;
    let bias = node.optional(8);
    let product =
        Product { operator: conv.into(), operands: [x, w], axes: [1, 1], bias, alpha: 1.0, output: Some(output) };
    Ok(vec![product.add(node)?])
}
