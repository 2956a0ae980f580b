//! `y[…] = x[…]` where `x[…] ≥ 0`, else `slope[…] * x[…]`; the slope is stretched to the shape of `x`
//!
//! TFLite multiplies quantized elements below zero by the slope's steps and `scale_x * scale_slope / scale_y`, others by
//! `scale_x / scale_y`; all of these scales are combined in single precision.

use nablac_index::{Binary, Expr};
use serde::{Deserialize, Serialize};

use super::broadcast;
use super::quantized::{self, FixedPoint};
use super::requantize::integer;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Rectified linear unit with a trained slope on the negative side.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PRelu {}

impl Operation for PRelu {
    const NAME: &'static str = "prelu";
    const SPELLINGS: &'static [Spelling] = &[onnx("PRelu", 7), tflite("PRELU")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(PRelu {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        self.check(definition)?;
        let dtype = definition.dtype(definition.input(0)?);
        broadcast::pair(definition, |x, slope| {
            let negative = x.clone().binary(Binary::Lt, Expr::literal(dtype, 0.0));
            negative.select(slope * x.clone(), x)
        })
    }
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(fixed) = FixedPoint::<2>::of(definition)? else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        self.check(definition)?;
        let [input, slope] = &fixed.inputs;
        let above = f64::from(input.scale / fixed.output.scale);
        let below = f64::from(input.scale * slope.scale / fixed.output.scale);
        broadcast::mixed(definition, fixed.output.dtype, |operands| {
            let mut steps = operands.into_iter().zip(&fixed.inputs).map(|(x, input)| input.centred(x));
            let (x, slope) = (steps.next().unwrap_or(integer(0)), steps.next().unwrap_or(integer(0)));
            let negative = x.clone().binary(Binary::Lt, integer(0));
            let product = fixed.product(slope * x.clone(), below);
            fixed.output.saturated(negative.select(product, fixed.product(x, above)))
        })
    }
}

impl PRelu {
    fn check(&self, definition: &Definition) -> Result<(), Error> {
        let shapes = [definition.shape(definition.input(0)?), definition.shape(definition.input(1)?)];
        let stretched = broadcast::shape_of(&shapes).is_some_and(|shape| shape == shapes[0]);
        definition.require(stretched, || {
            format!("a slope of shape {:?} does not stretch to {:?}", shapes[1], shapes[0])
        })
    }
}
