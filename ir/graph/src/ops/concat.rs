//! `y[…, j + offset, …] = x[…, j, …]` for each operand `x`, where the offset is the extent of those before it
//!
//! TFLite brings unsigned parts at other scales to the output's in single precision: `round(x * r + (-zero_x * r)) + zero_y`, where
//! `r = scale_x * (1 / scale_y)`. Its kernels of other types ask for one scale.

use nablac_index::{DType, Expr, Index, Reduce, TensorId, Unary, axes};
use serde::{Deserialize, Serialize};

use super::activation;
use super::quantized::{self, Scaled, entry, table};
use super::requantize::fixed_rounding;
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

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        if definition.requantization().and_then(fixed_rounding).is_none() {
            return quantized::derive(definition, &|definition| self.define(definition));
        }
        let output = Scaled::output(definition)?;
        let inputs = (0..definition.inputs().len()).map(|part| Scaled::input(definition, part));
        let inputs = inputs.collect::<Result<Vec<_>, Error>>()?;
        if inputs.iter().all(|input| *input == output) || !inputs.iter().all(Scaled::is_narrow) {
            return quantized::derive(definition, &|definition| self.define(definition));
        }
        for (part, input) in inputs.iter().enumerate().filter(|(_, input)| **input != output) {
            let rescaled = rescaled(definition, part, input, &output)?;
            definition.inputs[part] = Some(rescaled);
        }
        self.define(definition)
    }
}

/// The parts one behind the other; a single one is itself.
pub(super) fn concat(node: &mut Reader, axis: usize, parts: &[ValueId]) -> Result<ValueId, Error> {
    match parts {
        [part] => Ok(*part),
        _ => node.add(Concat { axis }, parts),
    }
}

/// A part at the scale of the output.
fn rescaled(
    definition: &mut Definition,
    part: usize,
    input: &Scaled,
    output: &Scaled,
) -> Result<TensorId, Error> {
    let x = definition.input(part)?;
    let ratio = input.scale * (1.0 / output.scale);
    let bias = -(input.zero_point as f32) * ratio;
    let table = table(definition, input.dtype, output.dtype, |x| {
        let real = x.cast(DType::F32) * Expr::f32(ratio) + Expr::f32(bias);
        output.saturated(real.unary(Unary::RoundAway).cast(DType::I32))
    });
    let shape = definition.shape(x);
    Ok(definition.builder.map("rescaled", output.dtype, &shape, |at| {
        Expr::read(table, [entry(Index::of_read(x, at.to_vec()))])
    }))
}
