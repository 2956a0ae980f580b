//! `y[…] = x[…]` at the same position of the row-major order: for `x` of shape `[n0, n1, n2]` and `p` the position within `y`,
//! `y[…] = x[p / (n1*n2), p / n2 % n1, p % n2]`

use nablac_index::{Expr, Index, MAX_RANK, Reduce, axes, elements, row_major_strides};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};
use crate::source::Framework;

/// The same elements in the same order under another shape.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reshape {
    /// The new extents.
    pub shape: Vec<usize>,
}

impl Operation for Reshape {
    const NAME: &'static str = "reshape";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Reshape", 1), tflite("RESHAPE"), aten("view.default"), aten("_unsafe_view.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let given = match node.framework() {
            Framework::Onnx => node.list("shape", 1)?,
            Framework::Torch => node.ints("size")?,
            Framework::Tflite if node.optional(1).is_some() => node.list("", 1)?,
            Framework::Tflite => node.ints("new_shape")?,
        };
        let given = given.ok_or_else(|| node.malformed("it has no shape"))?;
        let zero_copies = node.framework() == Framework::Onnx && node.int("allowzero", 0)? == 0;
        let shape = resolve(node, &node.shape(x), &given, zero_copies)?;
        reshape(node, x, &shape).map(|y| vec![y])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let from = definition.shape(x);
        let fits = self.shape.len() <= MAX_RANK && elements(&self.shape) == elements(&from);
        definition.require(fits, || format!("shape {from:?} can't become {:?}", self.shape))?;
        let dtype = definition.dtype(x);
        definition.emit(dtype, &axes(&self.shape), &[], Reduce::Set, |at| {
            let position = at
                .iter()
                .zip(row_major_strides(&self.shape))
                .fold(Index::default(), |sum, (i, stride)| sum + i.clone() * stride);
            Expr::read(x, coordinates(&position, &from))
        });
        Ok(())
    }
}

/// The coordinates of a row-major position. A tensor without elements has none to divide for.
fn coordinates(position: &Index, shape: &[usize]) -> Vec<Index> {
    let coordinate = |(d, (&extent, stride)): (usize, (&usize, i64))| {
        let quotient = position.clone() / stride.max(1);
        if d == 0 { quotient } else { quotient % extent.max(1) as i64 }
    };
    shape.iter().zip(row_major_strides(shape)).enumerate().map(coordinate).collect()
}

/// The shape that a framework means: one extent may be -1, and is what is left; with `zero_copies`, 0 stands for the extent
/// of `from` at that place.
fn resolve(node: &Reader, from: &[usize], given: &[i64], zero_copies: bool) -> Result<Vec<usize>, Error> {
    let refused = || node.malformed(format!("shape {from:?} can't become {given:?}"));
    let mut shape = vec![];
    let mut open = None;
    for (position, &extent) in given.iter().enumerate() {
        shape.push(match extent {
            0 if zero_copies => *from.get(position).ok_or_else(refused)?,
            -1 if open.replace(position).is_none() => 1,
            _ => usize::try_from(extent).map_err(|_| refused())?,
        });
    }
    if let Some(open) = open {
        let rest = elements(&shape).filter(|&n| n > 0).ok_or_else(refused)?;
        shape[open] = from.iter().product::<usize>() / rest;
    }
    if elements(&shape) == elements(from) { Ok(shape) } else { Err(refused()) }
}

/// `x` under another shape; `x` itself if that is its shape.
pub(super) fn reshape(node: &mut Reader, x: ValueId, shape: &[usize]) -> Result<ValueId, Error> {
    if node.shape(x) == shape { Ok(x) } else { node.add(Reshape { shape: shape.to_vec() }, &[x]) }
}
