//! Unsqueeze: a reshape that adds axes of extent 1. The axes are counted in the result.

use super::reshape::reshape;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, aten, onnx, tflite};

pub(super) const SPELLINGS: &[Spelling] =
    &[onnx("Unsqueeze", 1), tflite("EXPAND_DIMS"), aten("unsqueeze.default")];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let x = node.input(0)?;
    let name = if node.operator() == "unsqueeze.default" { "dim" } else { "axes" };
    let axes = node.list(name, 1)?.ok_or_else(|| node.malformed("it has no axes"))?;
    let shape = unsqueezed(node, &node.shape(x), &axes)?;
    reshape(node, x, &shape).map(|y| vec![y])
}

/// `shape` with an extent of 1 at each of `axes` of the result.
pub(super) fn unsqueezed(node: &Reader, shape: &[usize], axes: &[i64]) -> Result<Vec<usize>, Error> {
    let rank = shape.len() + axes.len();
    let axes = node.axes(axes, rank)?;
    let mut rest = shape.iter().copied();
    Ok((0..rank).map(|d| if axes.contains(&d) { 1 } else { rest.next().unwrap_or(1) }).collect())
}
