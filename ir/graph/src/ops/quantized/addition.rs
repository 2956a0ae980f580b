//! Sums and differences of two quantized tensors, as TFLite's reference kernels of ADD and SUB compute them.
//!
//! With `t = 2 * max(scale_a, scale_b)` in single precision, and `*` a fixed-point product:
//! ```text
//! steps = (((a - zero_a) << 20) * (scale_a / t) + ((b - zero_b) << 20) * (scale_b / t)) * (t / (2^20 * scale_y))
//! ```

use nablac_index::{DType, Expr};

use super::{Law, single_precision};
use crate::error::Error;
use crate::operator::Definition;
use crate::ops::broadcast;
use crate::ops::requantize::{Fixed, centred, fixed_rounding, integer, saturated, uniform};

/// The bits that operands are shifted up by before they are scaled: 8-bit differences from a zero point stay inside of 32 bits.
const HEADROOM: i64 = 20;

/// A sum of two operands that `combine` writes; `law` is the same on reals.
pub(in crate::ops) fn addition(
    definition: &mut Definition,
    law: Law,
    combine: fn(Expr, Expr) -> Expr,
) -> Result<(), Error> {
    let (Some(rounding), Some(output)) =
        (definition.requantization().and_then(fixed_rounding), definition.quantized_output(0).cloned())
    else {
        return single_precision::sum(definition, law, combine);
    };
    let operand = |position: usize| {
        let quantization = definition.quantization(position);
        let quantization =
            quantization.ok_or_else(|| definition.unsupported("an operand is not quantized"))?;
        uniform(quantization).map_err(|fault| definition.unsupported(fault))
    };
    let [(a_scale, a_zero), (b_scale, b_zero)] = [operand(0)?, operand(1)?];
    let (scale, zero) = uniform(&output.quantization).map_err(|fault| definition.unsupported(fault))?;
    let narrow = (0..2).all(|i| definition.input(i).is_ok_and(|id| definition.dtype(id).bytes() == 1));
    if !narrow || output.dtype.bytes() != 1 {
        return Err(definition.unsupported("sums of 16-bit values are not supported: keep them in float"));
    }
    let both = f64::from(2.0 * a_scale.max(b_scale));
    let to_output = Fixed::of(both / (f64::from(1 << HEADROOM) * f64::from(scale)));
    broadcast::mixed(definition, output.dtype, |operands| {
        let zeros_and_scales = [(a_zero, a_scale), (b_zero, b_scale)];
        let scaled = operands.into_iter().zip(zeros_and_scales).map(|(x, (zero, scale))| {
            let steps = centred(x, zero).binary(nablac_index::Binary::Shl, integer(HEADROOM));
            Fixed::of(f64::from(scale) / both).apply(rounding, steps)
        });
        let sum = scaled.reduce(combine).unwrap_or(Expr::integer(DType::I32, 0));
        saturated(to_output.apply(rounding, sum), output.dtype, zero)
    })
}
