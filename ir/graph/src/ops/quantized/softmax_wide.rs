//! Softmax of 16-bit elements, as TFLite's reference kernel computes it: exponentials and the inverse of their sum by interpolated
//! tables (`interpolation.rs`), which hold 15 bits behind the point.
//!
//! Over the dimensions `t`, the others being `n`, with `h` the leading zeros of a sum in 32 bits:
//! ```text
//! steps[n, t] = (x[n, t] - max x[n, …]) * (beta * scale * 65535 / 10) + 32767      exp is taken of -10…0
//! sum[n] += exponential[steps[n, t]]
//! fraction[n] = the sum as a number in 1…2, less one, in 16 bits
//! y[n, t] = exponential[steps[n, t]] * inverse[fraction[n]] >> (31 - h[n])
//! ```

use nablac_index::{Binary, DType, Expr, Reduce, Rounding, TensorId, Unary, axes};

use super::interpolation::{Curve, interpolated};
use super::softmax::headroom;
use crate::error::Error;
use crate::operator::Definition;
use crate::ops::reduce::Split;
use crate::ops::requantize::{Fixed, integer};

/// The exponential of what is further below the largest element counts as nothing.
const FURTHEST: f64 = 10.0;

/// The steps between the smallest and the largest number of 16 bits.
const WIDTH: f64 = 65535.0;

/// What a step of a table's output stands for.
const UNIT: f64 = 2.0 / WIDTH;

pub(super) fn softmax_wide(
    definition: &mut Definition,
    axes_of: &[usize],
    beta: f64,
    scale: f32,
) -> Result<(), Error> {
    let x = definition.input(0)?;
    let shape = definition.shape(x);
    let split = Split::new(definition, &shape, axes_of)?;
    let factor = Fixed::of(f64::from(scale) * f64::from(beta as f32) / (FURTHEST / WIDTH));
    let builder = &mut definition.builder;
    let [exponentials, inverses] =
        tables(|ends, function| Curve { precision: DType::F64, ends, unit: UNIT, function }.table(builder));
    let most = split.emit(builder, "largest", DType::I16, Reduce::Max, |at| Expr::read(x, at));
    let narrow =
        |x: Expr| x.max(integer(i64::from(i16::MIN))).min(integer(i64::from(i16::MAX))).cast(DType::I16);
    let steps = builder.map("steps", DType::I16, &shape, |at| {
        let below = Expr::read(x, at).cast(DType::I32) - Expr::read(most, split.kept(at)).cast(DType::I32);
        narrow(factor.apply(Rounding::Double, below) + integer(i64::from(i16::MAX)))
    });
    let exponential =
        builder.map("exponential", DType::I32, &shape, |at| interpolated(exponentials, steps, at));
    let sum = split.emit(builder, "sum", DType::I32, Reduce::Sum, |at| Expr::read(exponential, at));
    let headroom = headroom(builder, &split.space, sum);
    let extents: Vec<usize> = split.space.iter().map(|l| l.1).collect();
    let fraction = builder.map("fraction", DType::I16, &extents, |at| {
        let shift = (Expr::read(headroom, at) - integer(1)).cast(DType::I64);
        let wide = |x: i64| Expr::integer(DType::I64, x);
        let sum = Expr::read(sum, at).cast(DType::I64).binary(Binary::Shl, shift);
        let shifted = (sum + wide(1 << 13)).binary(Binary::Shr, wide(14)).cast(DType::I32);
        narrow(shifted - integer((1 << 15) + (1 << 16)))
    });
    let inverse = builder.map("inverse", DType::I32, &extents, |at| interpolated(inverses, fraction, at));
    definition.emit(DType::I16, &axes(&shape), &[], Reduce::Set, |at| {
        let kept = split.kept(at);
        let product = Expr::read(exponential, at) * Expr::read(inverse, &kept[..]);
        let shift = integer(31) - Expr::read(headroom, kept);
        let half = integer(1).binary(Binary::Shl, shift.clone() - integer(1));
        let steps = (product + half).binary(Binary::Shr, shift);
        steps.max(integer(0)).min(integer(i64::from(i16::MAX))).cast(DType::I16)
    });
    Ok(())
}

/// Exponentials of -10…0, and inverses of 1 + 0…1.
fn tables(mut table: impl FnMut([f64; 2], &dyn Fn(Expr) -> Expr) -> TensorId) -> [TensorId; 2] {
    let one = || Expr::literal(DType::F64, 1.0);
    let step = FURTHEST / WIDTH;
    let below = [step * (f64::from(i16::MIN) - f64::from(i16::MAX)), 0.0];
    let above = [0.0, 1.0 / WIDTH * (f64::from(i16::MAX) - f64::from(i16::MIN))];
    [table(below, &|x| x.unary(Unary::Exp)), table(above, &|x| one() / (one() + x))]
}
