//! ONNX Runtime's QGemm: a product of two quantized matrices plus a summand in units of the product of scales, which may vary by column.
//! Without a scale of its own, the result is real.

use super::Gemm;
use super::linear_quantization::{Operand, Output, Product};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("com.microsoft::QGemm", 1)];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let [a, b] = [Operand::new(node, 0)?, Operand::new(node, 3)?];
    let output = match node.optional(7) {
        Some(_) => Some(Output::new(node, 7, node.dtype(a.integers))?),
        None => None,
    };
    let gemm = Gemm {
        alpha: 1.0,
        beta: 1.0,
        transpose_a: node.int("transA", 0)? != 0,
        transpose_b: node.int("transB", 0)? != 0,
    };
    let columns = usize::from(!gemm.transpose_b);
    let product = Product {
        operator: gemm.into(),
        operands: [a, b.along(columns)],
        axes: [0, 1],
        bias: node.optional(6),
        alpha: node.float("alpha", 1.0)?,
        output,
    };
    Ok(vec![product.add(node)?])
}
