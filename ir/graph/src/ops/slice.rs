//! `y[i, j, …] = x[start0 + step0 * i, start1 + step1 * j, …]`

use nablac_index::{Expr, Index, Reduce, axes};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// A box of elements, evenly spaced along each axis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// The first element taken, per axis.
    pub starts: Vec<i64>,
    /// The distance to the next one, per axis; negative steps go backwards.
    pub steps: Vec<i64>,
    /// How many are taken: the extents of the result.
    pub sizes: Vec<usize>,
}

impl Operation for Slice {
    const NAME: &'static str = "slice";
    const SPELLINGS: &'static [Spelling] = &[onnx("Slice", 1), tflite("SLICE"), aten("slice.Tensor")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let mut slice = Slice::whole(&node.shape(x));
        match node.operator() {
            "SLICE" => {
                let begins = node.list("", 1)?.unwrap_or_default();
                let sizes = node.list("", 2)?.unwrap_or_default();
                for (axis, (&begin, size)) in begins.iter().zip(sizes).enumerate() {
                    let end = if size < 0 { i64::MAX } else { begin.saturating_add(size) };
                    slice.narrow(node, axis as i64, begin, end, 1)?;
                }
            }
            "slice.Tensor" => {
                let (start, end) = (node.int("start", 0)?, node.int("end", i64::MAX)?);
                let (axis, step) = (node.int("dim", 0)?, node.int("step", 1)?);
                slice.narrow(node, axis, start, end, step)?;
            }
            _ => slice.narrow_by_lists(node)?,
        }
        slice.add(node, x).map(|y| vec![y])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (dtype, from) = (definition.dtype(x), definition.shape(x));
        let last =
            |d: usize| i128::from(self.starts[d]) + i128::from(self.steps[d]) * (self.sizes[d] as i128 - 1);
        let fits = |d: usize| {
            let inside = |i: i128| i >= 0 && i < from[d] as i128;
            self.sizes[d] == 0 || inside(self.starts[d].into()) && inside(last(d))
        };
        let ranks = [self.starts.len(), self.steps.len(), self.sizes.len()];
        definition
            .require(ranks == [from.len(); 3] && (0..from.len()).all(fits), || {
                format!("{self:?} leaves shape {from:?}")
            })?;
        definition.emit(dtype, &axes(&self.sizes), &[], Reduce::Set, |at| {
            let index = |d: usize| at[d].clone() * self.steps[d] + self.starts[d];
            Expr::read(x, (0..from.len()).map(index).collect::<Vec<Index>>())
        });
        Ok(())
    }
}

impl Slice {
    /// The slice that takes everything.
    pub(super) fn whole(shape: &[usize]) -> Slice {
        Slice { starts: vec![0; shape.len()], steps: vec![1; shape.len()], sizes: shape.to_vec() }
    }

    /// Takes `start..end` with `step` along an axis that is still whole. As in numpy, negative bounds count from behind, and
    /// bounds beyond the edges are moved to them.
    pub(super) fn narrow(
        &mut self,
        node: &Reader,
        axis: i64,
        start: i64,
        end: i64,
        step: i64,
    ) -> Result<(), Error> {
        let axis = node.axis(axis, self.sizes.len())?;
        if step == 0 {
            return Err(node.malformed("a step of 0"));
        }
        let extent = self.sizes[axis] as i64;
        // Forwards the bounds lie in 0..=n, backwards in -1..=n-1.
        let edge = if step > 0 { 0 } else { -1 };
        let place = |i: i64| if i < 0 { i.saturating_add(extent) } else { i }.max(edge).min(extent + edge);
        let (start, end) = (place(start), place(end));
        let distance = if step > 0 { end - start } else { start - end };
        let size = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        self.sizes[axis] = size as usize;
        self.starts[axis] = if size == 0 { 0 } else { start };
        self.steps[axis] = if size <= 1 { 1 } else { step };
        Ok(())
    }

    /// ONNX: lists of starts and ends, and optionally of axes and steps.
    fn narrow_by_lists(&mut self, node: &mut Reader) -> Result<(), Error> {
        let missing = |node: &Reader| node.malformed("it has no starts or ends");
        let starts = node.list("starts", 1)?.ok_or_else(|| missing(node))?;
        let ends = node.list("ends", 2)?.ok_or_else(|| missing(node))?;
        let axes = node.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = node.list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        node.axes(&axes, self.sizes.len())?;
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(node.malformed("starts, ends, axes and steps are not equally many"));
        }
        (0..starts.len()).try_for_each(|i| self.narrow(node, axes[i], starts[i], ends[i], steps[i]))
    }

    /// Adds the slice of `x`; `x` itself if everything is taken.
    pub(super) fn add(self, node: &mut Reader, x: ValueId) -> Result<ValueId, Error> {
        if self == Slice::whole(&node.shape(x)) { Ok(x) } else { node.add(self, &[x]) }
    }
}
