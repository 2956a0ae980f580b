//! QLinearMatMul: a product of quantized matrices; scales may vary by row of the first, and by column of the second.

use super::MatMul;
use super::linear_quantization::{Operand, Output, Product};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("QLinearMatMul", 10)];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let [a, b] = [Operand::new(node, 0)?, Operand::new(node, 3)?];
    let output = Output::new(node, 6, node.dtype(a.integers))?;
    let axes = axes(node, a.integers, b.integers);
    let product = Product {
        operator: MatMul { transpose_a: false, transpose_b: false }.into(),
        operands: [a.along(axes.operands[0]), b.along(axes.operands[1])],
        axes: axes.result,
        bias: None,
        alpha: 1.0,
        output: Some(output),
    };
    Ok(vec![product.add(node)?])
}

/// Which dimension is the rows of the first matrix and the columns of the second: in themselves, and in their product.
pub(super) struct Axes {
    pub operands: [usize; 2],
    pub result: [usize; 2],
}

/// The axes of two matrices' product; a vector has neither, and its numbers don't vary.
pub(super) fn axes(node: &Reader, a: ValueId, b: ValueId) -> Axes {
    const NONE: usize = usize::MAX;
    let [a, b] = [node.shape(a).len(), node.shape(b).len()];
    let rank = a.max(b).saturating_sub(usize::from(a == 1) + usize::from(b == 1));
    let back = |rank: usize, from_end: usize| rank.checked_sub(from_end).unwrap_or(NONE);
    match (a, b) {
        (1, 1) => Axes { operands: [NONE; 2], result: [NONE; 2] },
        (1, _) => Axes { operands: [NONE, back(b, 1)], result: [NONE, back(rank, 1)] },
        (_, 1) => Axes { operands: [back(a, 2), NONE], result: [back(rank, 1), NONE] },
        _ => Axes { operands: [back(a, 2), back(b, 1)], result: [back(rank, 2), back(rank, 1)] },
    }
}
