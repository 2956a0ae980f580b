//! `y[…, j + offset, …] = x[…, j, …]` for each operand `x`, where the offset is the extent of those before it

use nablac_index::{Expr, Reduce, axes};
use serde::{Deserialize, Serialize};

use super::activation;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Tensors one behind the other along an axis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Operation for Concat {
    const NAME: &'static str = "concat";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Concat", 1), tflite("CONCATENATION"), aten("cat.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let name = if node.operator() == "cat.default" { "dim" } else { "axis" };
        let default = if node.operator() == "Concat" { 1 } else { 0 }; // of operator sets before 4
        let axis = node.int(name, default)?;
        let parts: Vec<ValueId> = node.inputs().iter().flatten().copied().collect();
        let first = node.input(0)?;
        let axis = node.axis(axis, node.shape(first).len())?;
        let y = concat(node, axis, &parts)?;
        Ok(vec![activation::fused(node, y)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let first = definition.input(0)?;
        let (dtype, mut shape) = (definition.dtype(first), definition.shape(first));
        definition.require(self.axis < shape.len(), || format!("axis {} of {shape:?}", self.axis))?;
        let mut parts = vec![];
        let mut extent = 0;
        for position in 0..definition.inputs().len() {
            let part = definition.input(position)?;
            let own = definition.shape(part);
            let mut expected = shape.clone();
            expected[self.axis] = own.get(self.axis).copied().unwrap_or(0);
            definition.require(own == expected && definition.dtype(part) == dtype, || {
                format!("{own:?} does not fit behind {shape:?} along axis {}", self.axis)
            })?;
            parts.push((part, extent, own));
            extent += expected[self.axis];
        }
        shape[self.axis] = extent;
        let y = definition.builder.local("", dtype, &shape);
        for (part, offset, own) in parts {
            definition.builder.write(y, Reduce::Set, &axes(&own), |at| {
                let mut to = at.to_vec();
                to[self.axis] = to[self.axis].clone() + offset as i64;
                (to, Expr::read(part, at))
            });
        }
        definition.output(y);
        Ok(())
    }
}

/// The parts one behind the other; a single one is itself.
pub(super) fn concat(node: &mut Reader, axis: usize, parts: &[ValueId]) -> Result<ValueId, Error> {
    match parts {
        [part] => Ok(*part),
        _ => node.add(Concat { axis }, parts),
    }
}
