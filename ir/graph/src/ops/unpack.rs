//! Unpack: slices of extent 1 along an axis, reshaped so that the axis is gone.

use super::reshape::reshape;
use super::split::parts;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, tflite};

pub(super) const SPELLINGS: &[Spelling] = &[tflite("UNPACK")];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let x = node.input(0)?;
    let mut shape = node.shape(x);
    let axis = node.axis(node.int("axis", 0)?, shape.len())?;
    let extent = shape.remove(axis);
    if node.output_count() != extent {
        let count = node.output_count();
        return Err(node.malformed(format!("it has {count} outputs, but axis {axis} has {extent} elements")));
    }
    let parts = parts(node, x, axis, &vec![1; extent])?;
    parts.into_iter().map(|part| reshape(node, part, &shape)).collect()
}
