//! Split: slices side by side along an axis.

use super::Slice;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, aten, onnx, tflite};

pub(super) const SPELLINGS: &[Spelling] =
    &[onnx("Split", 2), tflite("SPLIT"), tflite("SPLIT_V"), aten("split_with_sizes.default")];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let (x, axis, sizes) = match node.operator() {
        "SPLIT" => (node.input(1)?, node.constant(0)?.to_i64(), None),
        "SPLIT_V" => (node.input(0)?, node.constant(2)?.to_i64(), node.list("", 1)?),
        "split_with_sizes.default" => (node.input(0)?, vec![node.int("dim", 0)?], node.ints("split_sizes")?),
        _ => (node.input(0)?, vec![node.int("axis", 0)?], node.list("split", 1)?),
    };
    let shape = node.shape(x);
    let [axis] = axis[..] else { return Err(node.malformed("its axis is not one number")) };
    let axis = node.axis(axis, shape.len())?;
    let sizes = match sizes {
        Some(sizes) => resolved(node, shape[axis], &sizes)?,
        None => even(node, shape[axis])?,
    };
    parts(node, x, axis, &sizes)
}

/// The slices of the given sizes along `axis`.
pub(super) fn parts(
    node: &mut Reader,
    x: ValueId,
    axis: usize,
    sizes: &[usize],
) -> Result<Vec<ValueId>, Error> {
    let whole = Slice::whole(&node.shape(x));
    let mut start = 0;
    let mut parts = vec![];
    for &size in sizes {
        let mut slice = whole.clone();
        slice.starts[axis] = if size == 0 { 0 } else { start };
        slice.sizes[axis] = size;
        start += size as i64;
        parts.push(slice.add(node, x)?);
    }
    Ok(parts)
}

/// Sizes that add up to `extent`, one of which may be -1: what is left.
fn resolved(node: &Reader, extent: usize, sizes: &[i64]) -> Result<Vec<usize>, Error> {
    let refused = || node.malformed(format!("{extent} elements do not split into {sizes:?}"));
    let known = sizes.iter().filter(|&&n| n >= 0).try_fold(0i64, |sum, &n| sum.checked_add(n));
    let left = (extent as i64).checked_sub(known.ok_or_else(refused)?).filter(|&left| left >= 0);
    let left = left.ok_or_else(refused)? as usize;
    let open = sizes.iter().filter(|&&n| n < 0).count();
    if open > 1 || open == 0 && left > 0 || sizes.iter().any(|&n| n < -1) {
        return Err(refused());
    }
    Ok(sizes.iter().map(|&n| usize::try_from(n).unwrap_or(left)).collect())
}

/// As many sizes as there are outputs, all equal except for the last one, which may be smaller.
fn even(node: &Reader, extent: usize) -> Result<Vec<usize>, Error> {
    let count = node.output_count();
    let stated = node.int("num_outputs", node.int("num_splits", count as i64)?)?;
    if stated != count as i64 {
        return Err(node.malformed(format!("it has {count} outputs, but says {stated}")));
    }
    let size = extent.div_ceil(count.max(1));
    if !extent.is_multiple_of(count.max(1)) && !node.has("num_outputs") {
        return Err(node.malformed(format!("{extent} elements do not split into {count} equal parts")));
    }
    Ok((0..count).map(|part| size.min(extent.saturating_sub(part * size))).collect())
}
