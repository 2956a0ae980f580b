//! `y[…] = x[…]`, stretched to a shape: an axis of extent 1 is read at 0

use nablac_index::{MAX_RANK, Reduce, axes};
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Broadcasting to a given shape.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Expand {
    /// The shape of the result.
    pub shape: Vec<usize>,
}

impl Operation for Expand {
    const NAME: &'static str = "expand";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Expand", 8), tflite("BROADCAST_TO"), aten("expand.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let own = node.shape(x);
        let given = node.list("size", 1)?.ok_or_else(|| node.malformed("it has no shape"))?;
        // ATen: -1 keeps the operand's extent.
        let extents = given.iter().map(|&n| usize::try_from(if n == -1 { 1 } else { n }));
        let extents = extents.collect::<Result<Vec<usize>, _>>();
        let shape = extents.ok().and_then(|extents| broadcast::shape_of(&[own.clone(), extents]));
        let shape =
            shape.ok_or_else(|| node.malformed(format!("shape {own:?} does not stretch to {given:?}")))?;
        if shape == own {
            return Ok(vec![x]);
        }
        Ok(vec![node.add(Expand { shape }, &[x])?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (dtype, own) = (definition.dtype(x), definition.shape(x));
        let stretched = broadcast::shape_of(&[own.clone(), self.shape.clone()]);
        definition
            .require(stretched.as_ref() == Some(&self.shape) && self.shape.len() <= MAX_RANK, || {
                format!("shape {own:?} does not stretch to {:?}", self.shape)
            })?;
        definition.emit(dtype, &axes(&self.shape), &[], Reduce::Set, |at| broadcast::read(x, &own, at));
        Ok(())
    }
}
