//! What reductions have in common: which dimensions they reduce over, and whether those stay as extents of one.

use nablac_index::{Builder, DType, Expr, Index, Reduce, TensorId, axes};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operator};
use crate::source::Framework;

/// The attributes of a reduction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reduction {
    /// The dimensions that are reduced over, ascending.
    pub axes: Vec<usize>,
    /// Whether they stay, as extents of one.
    pub keep_dimensions: bool,
}

/// An axis counted from the front; negative ones count from the back.
pub(super) fn normal_axis(node: &Reader, axis: i64, rank: usize) -> Result<usize, Error> {
    let rank = rank as i64;
    match axis {
        _ if (0..rank).contains(&axis) => Ok(axis as usize),
        _ if (-rank..0).contains(&axis) => Ok((axis + rank) as usize),
        _ => Err(node.malformed(format!("axis {axis} of an input of rank {rank}"))),
    }
}

impl Reduction {
    /// Adds the operator of a framework's node; a reduction over no dimension is its input.
    pub(super) fn import<O: Into<Operator>>(
        node: &mut Reader,
        operator: impl FnOnce(Reduction) -> O,
    ) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let reduction = Reduction::of(node)?;
        match reduction.axes.is_empty() {
            true => Ok(vec![x]),
            false => Ok(vec![node.add(operator(reduction), &[x])?]),
        }
    }

    /// The attributes of a framework's node; the axes are its attribute or its second input.
    fn of(node: &mut Reader) -> Result<Reduction, Error> {
        let rank = node.shape(node.input(0)?).len();
        let given = match node.ints("axes")? {
            Some(axes) => axes,
            None => node.optional_constant(1)?.map(|axes| axes.to_i64()).unwrap_or_default(),
        };
        let (keep, all) = match node.framework() {
            Framework::Tflite => (node.int("keep_dims", 0)?, false),
            _ => (node.int("keepdims", 1)?, node.int("noop_with_empty_axes", 0)? == 0),
        };
        let mut axes: Vec<usize> =
            given.iter().map(|&axis| normal_axis(node, axis, rank)).collect::<Result<_, _>>()?;
        axes.sort();
        axes.dedup();
        if axes.is_empty() && all {
            axes = (0..rank).collect();
        }
        Ok(Reduction { axes, keep_dimensions: keep != 0 })
    }

    /// `y[n] reduce x[n, t]`.
    pub(super) fn define(&self, definition: &mut Definition, reduce: Reduce) -> Result<(), Error> {
        let x = definition.input(0)?;
        let dtype = definition.dtype(x);
        self.define_with(definition, dtype, reduce, |at| Expr::read(x, at))
    }

    /// `y[n] reduce body[n, t]`; the closure is given the input's own indices.
    pub(super) fn define_with(
        &self,
        definition: &mut Definition,
        dtype: DType,
        reduce: Reduce,
        body: impl FnOnce(&[Index]) -> Expr,
    ) -> Result<(), Error> {
        let shape = definition.shape(definition.input(0)?);
        let split = Split::new(definition, &shape, &self.axes)?;
        let y = definition.builder.local("", dtype, &self.out(&split, &shape));
        definition.builder.write(y, reduce, &split.all(), |at| {
            (self.place(&split, &at[..split.space.len()]), body(&split.position(at)))
        });
        definition.output(y);
        Ok(())
    }

    /// `sum[n] += x[n, t]` in type `sum`, then `y[n] = result(sum[n], count)` in type `to`.
    pub(super) fn define_as(
        &self,
        definition: &mut Definition,
        sum: DType,
        to: DType,
        result: impl FnOnce(Expr, i64) -> Expr,
    ) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (shape, dtype) = (definition.shape(x), definition.dtype(x));
        definition.require(dtype != DType::Bool, || "its operand is boolean, not a number".into())?;
        let split = Split::new(definition, &shape, &self.axes)?;
        let total = split.emit(definition.builder, "sum", sum, Reduce::Sum, |at| {
            if dtype == sum { Expr::read(x, at) } else { Expr::read(x, at).cast(sum) }
        });
        let count: usize = split.over.iter().map(|l| l.1).product();
        let y = definition.builder.local("", to, &self.out(&split, &shape));
        definition.builder.write(y, Reduce::Set, &split.space, |at| {
            (self.place(&split, at), result(Expr::read(total, at), count as i64))
        });
        definition.output(y);
        Ok(())
    }

    /// The shape of the result.
    fn out(&self, split: &Split, shape: &[usize]) -> Vec<usize> {
        match self.keep_dimensions {
            true => {
                shape.iter().enumerate().map(|(d, &n)| if self.axes.contains(&d) { 1 } else { n }).collect()
            }
            false => split.space.iter().map(|l| l.1).collect(),
        }
    }

    /// The result's indices, from those that stay.
    fn place(&self, split: &Split, kept: &[Index]) -> Vec<Index> {
        if self.keep_dimensions { split.stretched(kept) } else { kept.to_vec() }
    }
}

/// The loops over a tensor's dimensions: first those that stay, then those that are reduced over.
pub(super) struct Split {
    pub space: Vec<(&'static str, usize)>,
    pub over: Vec<(&'static str, usize)>,
    axes: Vec<usize>,
}

impl Split {
    pub fn new(definition: &Definition, shape: &[usize], reduced: &[usize]) -> Result<Split, Error> {
        let ascending = reduced.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = reduced.iter().all(|&axis| axis < shape.len());
        definition.require(ascending && inside, || format!("axes {reduced:?} of shape {shape:?}"))?;
        let (over, space): (Vec<_>, Vec<_>) =
            axes(shape).into_iter().enumerate().partition(|(d, _)| reduced.contains(d));
        let loops = |row: Vec<(usize, _)>| row.into_iter().map(|(_, l)| l).collect();
        Ok(Split { space: loops(space), over: loops(over), axes: reduced.to_vec() })
    }

    /// All loops.
    pub fn all(&self) -> Vec<(&'static str, usize)> {
        [self.space.clone(), self.over.clone()].concat()
    }

    /// The tensor's own indices, from those of `all`.
    pub fn position(&self, at: &[Index]) -> Vec<Index> {
        let (mut space, mut over) = (at[..self.space.len()].iter(), at[self.space.len()..].iter());
        let next = |d| if self.axes.contains(&d) { over.next() } else { space.next() };
        (0..at.len()).filter_map(next).cloned().collect()
    }

    /// The indices that stay, from the tensor's own.
    pub fn kept(&self, at: &[Index]) -> Vec<Index> {
        at.iter().enumerate().filter(|(d, _)| !self.axes.contains(d)).map(|(_, i)| i.clone()).collect()
    }

    /// The indices that stay, with a zero for each dimension that is reduced over.
    pub fn stretched(&self, kept: &[Index]) -> Vec<Index> {
        self.position(&[kept.to_vec(), vec![Index::constant(0); self.over.len()]].concat())
    }

    /// `name[n] reduce body[n, t]`; the closure is given the tensor's own indices.
    pub fn emit(
        &self,
        builder: &mut Builder,
        name: &str,
        dtype: DType,
        reduce: Reduce,
        body: impl FnOnce(&[Index]) -> Expr,
    ) -> TensorId {
        builder.emit(name, dtype, &self.space, &self.over, reduce, |at| body(&self.position(at)))
    }
}
