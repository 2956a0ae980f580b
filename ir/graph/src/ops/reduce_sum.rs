//! `y[n] += x[n, t]`
//!
//! The steps of quantized elements are summed, and the sum multiplied by `scale_x / scale_y` in single precision. That is TFLite's
//! own formula for unsigned integers; its reference kernel takes signed ones for unsigned, which nobody means.

use nablac_index::{DType, Reduce};
use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint};
use super::reduce::Reduction;
use super::requantize::integer;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Sum over some dimensions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReduceSum {
    /// Over which dimensions.
    #[serde(flatten)]
    pub reduction: Reduction,
}

impl Operation for ReduceSum {
    const NAME: &'static str = "reduce_sum";
    const SPELLINGS: &'static [Spelling] = &[onnx("ReduceSum", 1), tflite("SUM")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        Reduction::import(node, |reduction| ReduceSum { reduction })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        self.reduction.define(definition, Reduce::Sum)
    }
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(fixed) = FixedPoint::<1>::of(definition)? else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        let [input] = &fixed.inputs;
        let scale = f64::from(input.scale / fixed.output.scale);
        self.reduction.define_as(definition, DType::I32, fixed.output.dtype, |sum, count| {
            fixed.output.saturated(fixed.product(sum - integer(count * input.zero_point), scale))
        })
    }
}
