//! `sum[n] += x[n, t]`, then `y[n] = sum[n] / count`
//!
//! TFLite divides the multiplier of `scale_x / scale_y` by the count, in integers and rounded down, instead of the sum.

use nablac_index::{DType, Expr};
use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint};
use super::reduce::Reduction;
use super::requantize::{Fixed, integer};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Mean over some dimensions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReduceMean {
    /// Over which dimensions.
    #[serde(flatten)]
    pub reduction: Reduction,
}

impl Operation for ReduceMean {
    const NAME: &'static str = "reduce_mean";
    const SPELLINGS: &'static [Spelling] = &[onnx("ReduceMean", 1), tflite("MEAN")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        Reduction::import(node, |reduction| ReduceMean { reduction })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        self.reduction.define_as(definition, dtype, dtype, |sum, count| sum / Expr::integer(dtype, count))
    }
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(fixed) = FixedPoint::<1>::of(definition)? else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        let [input] = &fixed.inputs;
        let scale = Fixed::of(f64::from(input.scale) / f64::from(fixed.output.scale));
        self.reduction.define_as(definition, DType::I32, fixed.output.dtype, |sum, count| {
            // As many bits as the count has are gained before the division, so that the multiplier keeps its own.
            let gained = i64::from(count.max(1).ilog2()).min(32).min(31 + scale.exponent).max(0);
            let multiplier = (scale.multiplier << gained) / count.max(1);
            let mean = Fixed { multiplier, exponent: scale.exponent - gained };
            let steps: Expr = sum - integer(count * input.zero_point);
            fixed.output.saturated(mean.apply(fixed.rounding, steps))
        })
    }
}
