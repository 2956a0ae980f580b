//! ConvInteger: a convolution of integers less their zero points, as 32-bit integers.

use super::Conv;
use super::linear_quantization::{Centred, integer_sum};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("ConvInteger", 10)];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let operands = [Centred::new(node, 0, 2, 0)?, Centred::new(node, 1, 3, 0)?];
    let conv = Conv::of(node, operands[0].integers, operands[1].integers)?;
    Ok(vec![integer_sum(node, conv.into(), operands, None)?])
}
