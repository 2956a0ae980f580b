//! Sums and differences of two quantized tensors, as TFLite's reference kernels of ADD, SUB and SQUARED_DIFFERENCE compute them.
//!
//! With `t = 2 * max(scale_a, scale_b)` in single precision, `*` a fixed-point product, and `h` bits of headroom:
//! ```text
//! steps = (((a - zero_a) << h) * (scale_a / t) + ((b - zero_b) << h) * (scale_b / t)) * (t / (2^h * scale_y))
//! ```
//! A squared difference is multiplied by `t² / (2^2h * scale_y)`.

use nablac_index::{Binary, DType, Expr};

use super::fixed_point::FixedPoint;
use super::{Law, derive, single_precision};
use crate::error::Error;
use crate::import::Reader;
use crate::operator::Definition;
use crate::ops::broadcast;
use crate::ops::requantize::integer;

/// The bits that 8-bit operands are shifted up by before they are scaled: differences from a zero point stay inside of 32 bits.
const HEADROOM: i64 = 20;

/// The same for 16-bit operands, which have no zero point.
const WIDE_HEADROOM: i64 = 15;

/// The same where the difference is squared.
const SQUARED_HEADROOM: i64 = 7;

/// What becomes of the scaled operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ops) enum Combination {
    Sum,
    Difference,
    SquaredDifference,
}

/// A combination of two operands in fixed point; `law` is the same on reals.
pub(in crate::ops) fn addition(
    definition: &mut Definition,
    law: Law,
    combination: Combination,
) -> Result<(), Error> {
    let Some(fixed) = FixedPoint::<2>::of(definition)? else {
        return match combination {
            Combination::Sum => single_precision::sum(definition, law, |a, b| a + b),
            Combination::Difference => single_precision::sum(definition, law, |a, b| a - b),
            Combination::SquaredDifference => derive(definition, law),
        };
    };
    let squared = combination == Combination::SquaredDifference;
    let narrow = fixed.inputs.iter().chain([&fixed.output]).all(|value| value.is_narrow());
    let same = fixed.inputs.iter().all(|input| input.dtype == fixed.output.dtype);
    if !same || squared && !narrow {
        return Err(definition.unsupported("operands and result of these types: keep them in float"));
    }
    let headroom = match combination {
        Combination::SquaredDifference => SQUARED_HEADROOM,
        _ if narrow => HEADROOM,
        _ => WIDE_HEADROOM,
    };
    let [a, b] = &fixed.inputs;
    let both = f64::from(2.0 * a.scale.max(b.scale));
    let unit = both / f64::from(1 << headroom);
    let to_output = if squared { unit * unit } else { unit } / f64::from(fixed.output.scale);
    broadcast::mixed(definition, fixed.output.dtype, |operands| {
        let scaled = operands.into_iter().zip(&fixed.inputs).map(|(x, input)| {
            let steps = input.centred(x).binary(Binary::Shl, integer(headroom));
            fixed.product(steps, f64::from(input.scale) / both)
        });
        let result = scaled.reduce(|a, b| match combination {
            Combination::Sum => a + b,
            Combination::Difference => a - b,
            Combination::SquaredDifference => (a.clone() - b.clone()) * (a - b),
        });
        let result = result.unwrap_or(Expr::integer(DType::I32, 0));
        fixed.output.saturated(fixed.product(result, to_output))
    })
}

/// TFLite's older files add 16-bit values whose scales are all powers of two by shifts alone, which rounds otherwise.
pub(in crate::ops) fn check_scales(node: &Reader) -> Result<(), Error> {
    let inputs = node.inputs().iter().flatten().filter_map(|&id| node.quantized(id));
    let mut all = inputs.chain(node.quantized_output(0));
    let power = |scale: &f32| libm::frexpf(*scale).0 == 0.5;
    let by_shifts = node.int("pot_scale_int16", 0)? != 0
        && all.all(|q| q.dtype == DType::I16 && q.quantization.scales.iter().all(power));
    match by_shifts && node.is_quantized() {
        false => Ok(()),
        true => Err(node.unsupported(
            "16-bit values at scales that are powers of two, added by shifts: convert the model anew",
        )),
    }
}
