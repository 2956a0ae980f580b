//! `y[i, j, k] = x[…]` with the axes in another order: axis `d` of `y` is axis `permutation[d]` of `x`

use nablac_index::{Expr, Index, Reduce, axes};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Reordering of axes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Transpose {
    /// For each axis of the result, the axis of the operand.
    pub permutation: Vec<usize>,
}

impl Operation for Transpose {
    const NAME: &'static str = "transpose";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Transpose", 1), tflite("TRANSPOSE"), aten("permute.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let rank = node.shape(x).len();
        let given = match node.operator() {
            "permute.default" => node.ints("dims")?,
            _ => node.list("perm", 1)?,
        };
        let permutation = match given {
            Some(axes) => node.axes(&axes, rank)?,
            None => (0..rank).rev().collect(),
        };
        if permutation.iter().copied().eq(0..rank) {
            return Ok(vec![x]);
        }
        Ok(vec![node.add(Transpose { permutation }, &[x])?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (dtype, from) = (definition.dtype(x), definition.shape(x));
        let place = |d: usize| self.permutation.iter().position(|&p| p == d);
        let places: Option<Vec<usize>> = (0..from.len()).map(place).collect();
        let places = places.filter(|_| self.permutation.len() == from.len()).ok_or_else(|| {
            definition.malformed(format!("{:?} does not reorder {from:?}", self.permutation))
        })?;
        let shape: Vec<usize> = self.permutation.iter().map(|&d| from[d]).collect();
        definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
            Expr::read(x, places.iter().map(|&p| at[p].clone()).collect::<Vec<Index>>())
        });
        Ok(())
    }
}
