//! `y[n, …, i, j] += a[n, …, i, k] * b[n, …, k, j]`; the dimensions before the last two are broadcast

use nablac_index::{Index, Reduce};
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

const BATCH_LOOPS: [&str; 8] = ["n", "h", "l", "m", "p", "q", "r", "s"];

/// Product of matrices, as numpy's `matmul`: an operand of one dimension is a row on the left and a column on the right,
/// and has no dimension in the output.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MatMul {
    /// Whether the first matrix is `a[…, k, i]`.
    pub transpose_a: bool,
    /// Whether the second matrix is `b[…, j, k]`.
    pub transpose_b: bool,
}

impl Operation for MatMul {
    const NAME: &'static str = "mat_mul";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("MatMul", 1), tflite("BATCH_MATMUL"), aten("mm.default"), aten("bmm.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let [transpose_a, transpose_b] = [node.int("adj_x", 0)? != 0, node.int("adj_y", 0)? != 0];
        node.same(MatMul { transpose_a, transpose_b })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (a, b) = (definition.input(0)?, definition.input(1)?);
        let (dtype, shapes) = (definition.dtype(a), [definition.shape(a), definition.shape(b)]);
        let fault = || definition.malformed(format!("matrices of shape {shapes:?}"));
        definition.require(dtype == definition.dtype(b), || "matrices of two types".into())?;
        let left = Operand::new(&shapes[0], !self.transpose_a).ok_or_else(fault)?;
        let right = Operand::new(&shapes[1], self.transpose_b).ok_or_else(fault)?;
        let batch = broadcast::shape_of(&[left.batch.clone(), right.batch.clone()])
            .filter(|_| left.inner == right.inner)
            .ok_or_else(fault)?;
        if batch.len() > BATCH_LOOPS.len() {
            return Err(definition.unsupported(format!("{} dimensions before the matrices'", batch.len())));
        }
        let mut space: Vec<(&str, usize)> = BATCH_LOOPS.iter().copied().zip(batch.iter().copied()).collect();
        space.extend(left.outer.map(|m| ("i", m)));
        space.extend(right.outer.map(|n| ("j", n)));
        definition.emit(dtype, &space, &[("k", left.inner)], Reduce::Sum, |at| {
            let (batch, rest) = at.split_at(batch.len());
            let (outer, k) = rest.split_at(rest.len() - 1);
            let (i, j) = outer.split_at(usize::from(left.outer.is_some()));
            let a = broadcast::read(a, &shapes[0], &left.place(batch, i, k));
            a * broadcast::read(b, &shapes[1], &right.place(batch, j, k))
        });
        Ok(())
    }
}

/// How a matrix is laid out: `[batch…, outer, inner]` or `[batch…, inner, outer]`; a vector has only `inner`, which is summed
/// over.
struct Operand {
    batch: Vec<usize>,
    outer: Option<usize>,
    inner: usize,
    inner_last: bool,
}

impl Operand {
    fn new(shape: &[usize], inner_last: bool) -> Option<Operand> {
        let (batch, outer, inner) = match *shape {
            [] => return None,
            [inner] => (vec![], None, inner),
            [ref batch @ .., outer, inner] if inner_last => (batch.to_vec(), Some(outer), inner),
            [ref batch @ .., inner, outer] => (batch.to_vec(), Some(outer), inner),
        };
        Some(Operand { batch, outer, inner, inner_last })
    }

    fn place(&self, batch: &[Index], outer: &[Index], inner: &[Index]) -> Vec<Index> {
        if self.inner_last { [batch, outer, inner].concat() } else { [batch, inner, outer].concat() }
    }
}
