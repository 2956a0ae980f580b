//! MatMulInteger: a product of matrices of integers less their zero points, as 32-bit integers. Zero points may vary by row of the first
//! matrix, and by column of the second.

use super::MatMul;
use super::linear_quantization::{Centred, integer_sum};
use super::qlinear_mat_mul::axes;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("MatMulInteger", 10)];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let [a, b] = axes(node, node.input(0)?, node.input(1)?).operands;
    let operands = [Centred::new(node, 0, 2, a)?, Centred::new(node, 1, 3, b)?];
    let product = MatMul { transpose_a: false, transpose_b: false };
    Ok(vec![integer_sum(node, product.into(), operands, None)?])
}
