//! Squeeze: a reshape that drops axes of extent 1, either the given ones or all.

use super::reshape::reshape;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, aten, onnx, tflite};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("Squeeze", 1), tflite("SQUEEZE"), aten("squeeze.dims")];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let x = node.input(0)?;
    let shape = node.shape(x);
    let given = match node.operator() {
        "SQUEEZE" => node.ints("squeeze_dims")?.filter(|axes| !axes.is_empty()),
        "squeeze.dims" => node.ints("dim")?,
        _ => node.list("axes", 1)?,
    };
    let dropped = match given {
        Some(axes) => node.axes(&axes, shape.len())?,
        None => (0..shape.len()).filter(|&d| shape[d] == 1).collect(),
    };
    if let Some(&axis) = dropped.iter().find(|&&d| shape[d] != 1) {
        return Err(node.malformed(format!("axis {axis} of shape {shape:?} is not of extent 1")));
    }
    let kept: Vec<usize> = (0..shape.len()).filter(|d| !dropped.contains(d)).map(|d| shape[d]).collect();
    reshape(node, x, &kept).map(|y| vec![y])
}
