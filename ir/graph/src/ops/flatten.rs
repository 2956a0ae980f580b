//! Flatten: a reshape to a matrix. The axes before `axis` make up its rows, the others its columns.

use super::reshape::reshape;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("Flatten", 1)];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let x = node.input(0)?;
    let shape = node.shape(x);
    let axis = match node.int("axis", 1)? {
        axis if axis == shape.len() as i64 => shape.len(),
        axis => node.axis(axis, shape.len())?,
    };
    let (rows, columns) = shape.split_at(axis);
    reshape(node, x, &[rows.iter().product(), columns.iter().product()]).map(|y| vec![y])
}
