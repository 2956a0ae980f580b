//! `y[n] argmax= x[n, t]` over one dimension `t`: the position of the largest element, or of the smallest, which is the largest of
//! `-x`; of several, the first one, or the last one, which is the first of `x` read backwards

use nablac_index::{DType, Expr, Index, Reduce, Unary};
use serde::{Deserialize, Serialize};

use super::cast::cast;
use super::reduce::Reduction;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};
use crate::source::Framework;

/// The position of the largest or smallest element along an axis.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ArgMax {
    /// The one dimension.
    #[serde(flatten)]
    pub reduction: Reduction,
    /// Whether the smallest is looked for.
    pub smallest: bool,
    /// Whether the last of several is taken.
    pub last: bool,
}

impl Operation for ArgMax {
    const NAME: &'static str = "arg_max";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("ArgMax", 1), onnx("ArgMin", 1), tflite("ARG_MAX"), tflite("ARG_MIN")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let rank = node.shape(x).len();
        let tflite = node.framework() == Framework::Tflite;
        let axis = match tflite {
            true => node.constant(1)?.to_i64().first().copied().unwrap_or(0),
            false => node.int("axis", 0)?,
        };
        let axes = vec![node.axis(axis, rank)?];
        let keep_dimensions = !tflite && node.int("keepdims", 1)? != 0;
        let last = node.int("select_last_index", 0)? != 0;
        let smallest = matches!(node.operator(), "ArgMin" | "ARG_MIN");
        let reduction = Reduction { axes, keep_dimensions };
        let y = node.add(ArgMax { reduction, smallest, last }, &[x])?;
        let to = node.output_dtype(0).filter(|_| tflite).unwrap_or(DType::I64);
        Ok(vec![cast(node, y, to)?])
    }

    /// Integers are in the order of the reals that they stand for.
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        self.define(definition)
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (shape, dtype) = (definition.shape(x), definition.dtype(x));
        let &[axis] = &self.reduction.axes[..] else {
            return Err(definition.malformed("it looks along other than one axis"));
        };
        definition.require(axis < shape.len() && shape[axis] > 0, || {
            format!("it looks for an element along axis {axis} of {shape:?}")
        })?;
        definition.require(dtype != DType::Bool && dtype != DType::U64, || format!("an input of type {dtype}"))?;
        // A negative number of the same width may not exist.
        let wide = if dtype.is_float() { dtype } else { DType::I64 };
        let last = shape[axis] as i64 - 1;
        self.reduction.define_with(definition, DType::I64, Reduce::ArgMax, |at| {
            let mut at: Vec<Index> = at.to_vec();
            if self.last {
                at[axis] = -at[axis].clone() + last;
            }
            match self.smallest {
                true if dtype == wide => Expr::read(x, at).unary(Unary::Neg),
                true => Expr::read(x, at).cast(wide).unary(Unary::Neg),
                false => Expr::read(x, at),
            }
        })?;
        if !self.last {
            return Ok(());
        }
        let Some(found) = definition.outputs.pop() else { return Ok(()) };
        let shape = definition.shape(found);
        let y = definition.builder.map("", DType::I64, &shape, |at| {
            Expr::integer(DType::I64, last) - Expr::read(found, at)
        });
        definition.output(y);
        Ok(())
    }
}
