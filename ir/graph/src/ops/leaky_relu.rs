//! `y[…] = x[…]` where `x[…] ≥ 0`, else `alpha * x[…]`
//!
//! TFLite multiplies the steps of quantized elements by `scale_x / scale_y`, and by `scale_x * alpha / scale_y` below zero, both
//! combined in single precision.

use nablac_index::{Binary, Expr};
use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint};
use super::requantize::integer;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Rectified linear unit with a slope on the negative side.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LeakyRelu {
    /// The slope.
    pub alpha: f64,
}

impl Operation for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("LeakyRelu", 6), tflite("LEAKY_RELU"), aten("leaky_relu.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let name = if node.has("negative_slope") { "negative_slope" } else { "alpha" };
        let alpha = node.float(name, 0.01)?;
        node.same(LeakyRelu { alpha })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        definition.map_real(|x| {
            let negative = x.clone().binary(Binary::Lt, Expr::literal(dtype, 0.0));
            negative.select(Expr::literal(dtype, self.alpha) * x.clone(), x)
        })
    }
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(fixed) = FixedPoint::<1>::of(definition)? else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        let [input] = &fixed.inputs;
        let above = f64::from(input.scale / fixed.output.scale);
        let below = f64::from(input.scale * self.alpha as f32 / fixed.output.scale);
        fixed.map(definition, |x| {
            let negative = x.clone().binary(Binary::Lt, integer(0));
            negative.select(fixed.product(x.clone(), below), fixed.product(x, above))
        })
    }
}
