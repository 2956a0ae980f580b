//! Sums, differences and products of two quantized tensors, as ONNX Runtime's kernels compute them in single precision. They round
//! behind the zero point of the output:
//! ```text
//! y = saturate(round(a * (scale_a / scale_y) + b * (scale_b / scale_y) + offset))
//! y = saturate(round((a - zero_a) * (b - zero_b) * (scale_a * scale_b / scale_y) + zero_y))
//! ```
//! where the offset is what all zero points come to. On some processors ONNX Runtime's sums are of fused products, so that about
//! one in two thousand differs by one.

use nablac_index::{DType, Expr, Unary, largest, smallest};

use super::{Law, derive};
use crate::error::Error;
use crate::graph::Quantized;
use crate::operator::Definition;
use crate::ops::broadcast;
use crate::ops::requantize::{centred, integer, uniform};
use crate::quantization::Requantization;

/// A scale and a zero point.
type Uniform = (f32, i64);

/// Those of each operand and of the output; nothing unless all are bytes in single precision.
fn bytes(definition: &Definition) -> Option<([Uniform; 2], Uniform, Quantized)> {
    let output = definition.quantized_output(0).cloned()?;
    let operand = |position: usize| {
        let byte = definition.input(position).is_ok_and(|id| definition.dtype(id).bytes() == 1);
        definition.quantization(position).filter(|_| byte)?.uniform()
    };
    let single = definition.requantization() == Some(Requantization::F32) && output.dtype.bytes() == 1;
    let two = definition.inputs().len() == 2;
    let to = uniform(&output.quantization).ok().filter(|_| single && two)?;
    Some(([operand(0)?, operand(1)?], to, output))
}

/// The integer nearest to `steps`, which count from zero, as `dtype`.
fn nearest(steps: Expr, dtype: DType) -> Expr {
    let ends = [smallest(dtype), largest(dtype)].map(integer);
    let [low, high] = ends;
    steps.unary(Unary::Round).cast(DType::I32).max(low).min(high).cast(dtype)
}

/// A sum or difference, which `combine` writes; `law` is the same on reals.
pub(super) fn sum(
    definition: &mut Definition,
    law: Law,
    combine: fn(Expr, Expr) -> Expr,
) -> Result<(), Error> {
    let Some(([(a, a_zero), (b, b_zero)], (scale, zero), output)) = bytes(definition) else {
        return derive(definition, law);
    };
    let ratios = [a / scale, b / scale];
    let zeros = [a_zero, b_zero].map(|zero| zero as f32);
    let constant = |position: usize| Expr::f32(ratios[position] * zeros[position]);
    let offset = Expr::f32(zero as f32) - combine(constant(0), constant(1));
    broadcast::mixed(definition, output.dtype, |operands| {
        let scaled = operands.into_iter().zip(ratios).map(|(x, ratio)| x.cast(DType::F32) * Expr::f32(ratio));
        let sum = scaled.reduce(combine).unwrap_or(Expr::f32(0.0));
        nearest(sum + offset, output.dtype)
    })
}

/// A product; `law` is the same on reals.
pub(in crate::ops) fn product(definition: &mut Definition, law: Law) -> Result<(), Error> {
    let Some(([(a, a_zero), (b, b_zero)], (scale, zero), output)) = bytes(definition) else {
        return derive(definition, law);
    };
    let factor = Expr::f32(a * b / scale);
    broadcast::mixed(definition, output.dtype, |operands| {
        let centred = operands.into_iter().zip([a_zero, b_zero]).map(|(x, zero)| centred(x, zero));
        let product = centred.reduce(|a, b| a * b).unwrap_or(integer(0)).cast(DType::F32);
        nearest(product * factor + Expr::f32(zero as f32), output.dtype)
    })
}
