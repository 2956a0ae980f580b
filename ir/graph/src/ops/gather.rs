//! `y[b…, i…, k…, j…] = x[b…, i…, indices[b…, k…] % n, j…]`, where `n` is the extent of the axis that is indexed

use nablac_index::{Expr, Index, MAX_RANK, Reduce, axes};
use serde::{Deserialize, Serialize};

use super::Slice;
use super::reshape::reshape;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Elements of an axis, chosen by an integer tensor. An index counts from behind where it is negative: it is taken modulo
/// the extent, so that every read is inside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Gather {
    /// The axis of `x` that the indices choose from.
    pub axis: usize,
    /// How many leading axes `x` and the indices share.
    pub batch: usize,
}

impl Operation for Gather {
    const NAME: &'static str = "gather";
    const SPELLINGS: &'static [Spelling] = &[
        onnx("Gather", 1),
        tflite("GATHER"),
        aten("index_select.default"),
        aten("embedding.default"),
    ];

    /// A single constant index makes a slice, which costs nothing.
    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let [x, indices] = [node.input(0)?, node.input(1)?];
        let (from, positions) = (node.shape(x), node.shape(indices));
        let name = if node.operator() == "index_select.default" { "dim" } else { "axis" };
        let axis = node.axis(node.int(name, 0)?, from.len())?;
        let batch = match node.int("batch_dims", 0)? {
            0 => 0,
            batch => node.axis(batch, positions.len() + 1)?,
        };
        let single = batch == 0 && positions.iter().all(|&n| n == 1);
        let Some(index) = (if single { node.known(indices) } else { None }) else {
            return Ok(vec![node.add(Gather { axis, batch }, &[x, indices])?]);
        };
        let index = node.axis(index.get(0).as_i64(), from[axis])? as i64;
        let mut slice = Slice::whole(&from);
        slice.narrow(node, axis as i64, index, index + 1, 1)?;
        let taken = slice.add(node, x)?;
        let shape = [&from[..axis], &positions, &from[axis + 1..]].concat();
        reshape(node, taken, &shape).map(|y| vec![y])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let [x, indices] = [definition.input(0)?, definition.input(1)?];
        let (dtype, from, positions) =
            (definition.dtype(x), definition.shape(x), definition.shape(indices));
        let (axis, batch) = (self.axis, self.batch);
        let shared = batch <= axis && axis < from.len() && from.get(..batch) == positions.get(..batch);
        definition.require(shared && definition.dtype(indices).is_integer(), || {
            format!("{positions:?} does not index axis {axis} of {from:?} with {batch} shared axes")
        })?;
        let shape = [&from[..axis], &positions[batch..], &from[axis + 1..]].concat();
        definition.require(shape.len() <= MAX_RANK, || format!("a result of {} axes", shape.len()))?;
        let extent = from[axis] as i64;
        definition.require(extent > 0 || shape.contains(&0), || "it takes elements of an empty axis".into())?;
        definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
            let chosen = axis..axis + positions.len() - batch;
            let index = Index::of_read(indices, [&at[..batch], &at[chosen.clone()]].concat()) % extent.max(1);
            Expr::read(x, [&at[..axis], &[index], &at[chosen.end..]].concat())
        });
        Ok(())
    }
}
