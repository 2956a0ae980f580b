//! `y[i, j, …] = x[i % n0, j % n1, …]` for `x` of shape `[n0, n1, …]`

use nablac_index::{Expr, Index, Reduce, axes};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Repetition along axes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tile {
    /// How often each axis is repeated.
    pub repeats: Vec<usize>,
}

impl Operation for Tile {
    const NAME: &'static str = "tile";
    const SPELLINGS: &'static [Spelling] = &[onnx("Tile", 6), tflite("TILE")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let repeats = node.constant(1)?.to_i64();
        let counts = repeats.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
        let repeats = counts.map_err(|_| node.malformed(format!("it repeats {repeats:?} times")))?;
        let x = node.input(0)?;
        if repeats.iter().all(|&n| n == 1) && repeats.len() == node.shape(x).len() {
            return Ok(vec![x]);
        }
        Ok(vec![node.add(Tile { repeats }, &[x])?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (dtype, own) = (definition.dtype(x), definition.shape(x));
        definition.require(self.repeats.len() == own.len(), || {
            format!("it repeats {} axes of {}", self.repeats.len(), own.len())
        })?;
        let shape: Option<Vec<usize>> = own.iter().zip(&self.repeats).map(|(n, r)| n.checked_mul(*r)).collect();
        let shape = shape.ok_or_else(|| definition.malformed("its size overflows"))?;
        definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
            let index = |(i, &n): (&Index, &usize)| i.clone() % n.max(1) as i64;
            Expr::read(x, at.iter().zip(&own).map(index).collect::<Vec<_>>())
        });
        Ok(())
    }
}
