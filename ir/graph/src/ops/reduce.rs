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

    /// `out[n] reduce x[n, t]`, and then, if there is one, `y[n] = result(out[n], count)`.
    pub(super) fn define(
        &self,
        definition: &mut Definition,
        reduce: Reduce,
        result: Option<fn(Expr, Expr) -> Expr>,
    ) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (shape, dtype) = (definition.shape(x), definition.dtype(x));
        let split = Split::new(definition, &shape, &self.axes)?;
        let kept: Vec<(&str, usize)> = split.space.clone();
        let place = |at: &[Index]| if self.keep_dimensions { split.stretched(at) } else { at.to_vec() };
        let out: Vec<usize> = match self.keep_dimensions {
            true => {
                shape.iter().enumerate().map(|(d, &n)| if self.axes.contains(&d) { 1 } else { n }).collect()
            }
            false => kept.iter().map(|l| l.1).collect(),
        };
        let Some(result) = result else {
            let y = definition.builder.local("", dtype, &out);
            definition.builder.write(y, reduce, &split.all(), |at| {
                (place(&at[..kept.len()]), Expr::read(x, split.position(at)))
            });
            definition.output(y);
            return Ok(());
        };
        definition.require(dtype != DType::Bool, || "its operand is boolean, not a number".into())?;
        let total = split.emit(definition.builder, "sum", dtype, reduce, |at| Expr::read(x, at));
        let count: usize = split.over.iter().map(|l| l.1).product();
        let y = definition.builder.local("", dtype, &out);
        definition.builder.write(y, Reduce::Set, &kept, |at| {
            (place(at), result(Expr::read(total, at), Expr::integer(dtype, count as i64)))
        });
        definition.output(y);
        Ok(())
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
