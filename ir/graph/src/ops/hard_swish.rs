//! `y[…] = x[…] * min(max(x[…] + 3, 0), 6) / 6`
//!
//! TFLite's integer kernel computes with 16-bit fractions. With seven more bits than the input has, `x` is multiplied by
//! `scale_x / 128 / scale_y`; a second fraction, `x` over three, saturates at one and becomes the ramp.

use nablac_index::{Binary, DType, Expr};
use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint};
use super::requantize::{Fixed, integer};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Swish with a sigmoid made of three straight lines.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HardSwish {}

impl Operation for HardSwish {
    const NAME: &'static str = "hard_swish";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("HardSwish", 14), tflite("HARD_SWISH"), aten("hardswish.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(HardSwish {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        let number = |x: f64| Expr::literal(dtype, x);
        definition.map_real(|x| {
            let ramp = (x.clone() + number(3.0)).max(number(0.0)).min(number(6.0));
            x * ramp * number(1.0 / 6.0)
        })
    }
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(fixed) = FixedPoint::<1>::of(definition)? else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        let [input] = &fixed.inputs;
        // A scale of the input with seven more bits.
        let fine = 1.0 / 128.0 * input.scale;
        let product = Fixed::of(f64::from(fine / fixed.output.scale)).narrowed();
        let ramp = Fixed::of(f64::from(fine / (3.0 / 32768.0))).narrowed();
        if product.exponent > 0 || !input.is_narrow() || !fixed.output.is_narrow() {
            let reason = "its input is too coarse for its output, or not of 8 bits: convert it in float";
            return Err(definition.unsupported(reason));
        }
        fixed.map(definition, |x| {
            let x = x * integer(128);
            let own = high(x.clone(), integer(product.multiplier));
            let rest = (high(ramp_input(x, &ramp), integer(ramp.multiplier)), ramp.exponent);
            let share = match rest {
                (third, 1..) => narrow(third * integer(2)),
                (third, exponent) => third.binary(Binary::ShrRound, integer((-exponent).min(31))),
            };
            // From -1…1 to 0…1.
            let share = (share + integer(1 << 15)).binary(Binary::Shr, integer(1));
            let steps = share * own / integer(1 << 15);
            steps.binary(Binary::ShrRound, integer((-product.exponent).min(31)))
        })
    }
}

/// What the ramp's multiplier is applied to: shifted up by all but one of the exponent's bits, so that what saturates does so later.
fn ramp_input(x: Expr, ramp: &Fixed) -> Expr {
    match ramp.exponent {
        // Beyond fifteen bits everything saturates.
        exponent @ 1.. => narrow(x.binary(Binary::Shl, integer((exponent - 1).min(15)))),
        _ => x,
    }
}

/// The product of two fractions of 16 bits.
fn high(a: Expr, b: Expr) -> Expr {
    a.cast(DType::I16).binary(Binary::MulHigh, b.cast(DType::I16)).cast(DType::I32)
}

/// Moved to the ends of 16 bits where it is beyond.
fn narrow(x: Expr) -> Expr {
    x.max(integer(i64::from(i16::MIN))).min(integer(i64::from(i16::MAX)))
}
