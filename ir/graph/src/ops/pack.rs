//! Pack: tensors stacked along a new axis. Each becomes a part of extent 1, and the parts are concatenated.

use super::concat::concat;
use super::reshape::reshape;
use super::unsqueeze::unsqueezed;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, tflite};

pub(super) const SPELLINGS: &[Spelling] = &[tflite("PACK")];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let first = node.input(0)?;
    let shape = node.shape(first);
    let axis = node.int("axis", 0)?;
    let unit = unsqueezed(node, &shape, &[axis])?;
    let mut parts = vec![];
    for position in 0..node.inputs().len() {
        let part = node.input(position)?;
        if node.shape(part) != shape {
            return Err(node.malformed(format!("it stacks {shape:?} and {:?}", node.shape(part))));
        }
        parts.push(reshape(node, part, &unit)?);
    }
    let axis = node.axis(axis, unit.len())?;
    Ok(vec![concat(node, axis, &parts)?])
}
