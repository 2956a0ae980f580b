//! Softmax in fixed point, as TFLite's reference kernel computes it: exponentials and their sum's inverse as gemmlowp has them.
//!
//! `Qm.n` is a number with `m` bits before the point and `n` behind it; `*` rounds to the nearest. Over the dimensions `t`, the others
//! being `n`:
//! ```text
//! largest[n] max= x[n, t]
//! exponential[n, t] = exp(beta * scale * (x[n, t] - largest[n]))             Q0.31 from Q5.26
//! sum[n] += exponential[n, t] / 2^12                                         Q12.19
//! inverse[n] = 1 / (sum[n] as a number in 1…2)                               Q0.31
//! y[n, t] = inverse[n] * exponential[n, t] / 2^(what the sum was shifted by), less its zero point
//! ```

use nablac_index::{Binary, Builder, DType, Expr, Index, Reduce, TensorId, largest, smallest};

use super::softmax_wide::softmax_wide;
use crate::error::Error;
use crate::operator::Definition;
use crate::ops::reduce::Split;
use crate::ops::requantize::{Fixed, integer, uniform};

/// Bits before the point of the differences that exponentials are taken of.
const INTEGER_BITS: i32 = 5;

/// Bits before the point of the sum of exponentials.
const SUM_BITS: i64 = 12;

pub(in crate::ops) fn softmax(definition: &mut Definition, axes: &[usize], beta: f64) -> Result<(), Error> {
    let x = definition.input(0)?;
    let (shape, dtype) = (definition.shape(x), definition.dtype(x));
    let (Some(input), Some(output)) =
        (definition.quantization(0).cloned(), definition.quantized_output(0).cloned())
    else {
        return Err(definition.unsupported("its input or output is not quantized"));
    };
    let (scale, _) = uniform(&input).map_err(|fault| definition.unsupported(fault))?;
    if dtype == DType::I16 {
        let expected = Some((1.0 / 32768.0, 0));
        if output.dtype != DType::I16 || output.quantization.uniform() != expected {
            return Err(definition.unsupported("softmax of i16 to other than i16 by scale 1/32768"));
        }
        return softmax_wide(definition, axes, beta, scale);
    }
    let bits = output.dtype.bytes() as i64 * 8;
    let zero_point = smallest(output.dtype);
    let expected = (1.0 / 2f64.powi(bits as i32)) as f32;
    let fits = dtype.bytes() == 1 && (bits == 8 || output.dtype == DType::I16);
    if !fits || bits == 8 && output.quantization.uniform() != Some((expected, zero_point)) {
        return Err(definition.unsupported(format!(
            "softmax of {dtype} to {} by other than scale 1/256 and the smallest zero point",
            output.dtype
        )));
    }
    let split = Split::new(definition, &shape, axes)?;
    let fraction = 2f64.powi(31 - INTEGER_BITS);
    let factor = Fixed::of((beta as f32 as f64 * f64::from(scale) * fraction).min(2f64.powi(31) - 1.0));
    // Below this difference an exponential is nothing.
    let furthest =
        (f64::from((1 << INTEGER_BITS) - 1) * fraction / 2f64.powi(factor.exponent as i32)).floor();
    let builder = &mut definition.builder;
    let table = exponentials(builder, factor, furthest as i64);
    let most = split.emit(builder, "largest", dtype, Reduce::Max, |at| Expr::read(x, at));
    let exponential = |at: &[Index]| {
        let below = Index::of_read(most, split.kept(at)) - Index::of_read(x, at.to_vec());
        Expr::read(table, [below % STEPS]) // it is below anyway
    };
    let sum = split.emit(builder, "sum", DType::I32, Reduce::Sum, |at| {
        exponential(at).binary(Binary::ShrRound, integer(SUM_BITS))
    });
    let headroom = headroom(builder, &split.space, sum);
    let extents: Vec<usize> = split.space.iter().map(|l| l.1).collect();
    let fraction = builder.map("fraction", DType::I32, &extents, |at| {
        // The bits behind the leading one: the sum is one and this fraction, times a power of two.
        let shifted = Expr::read(sum, at).binary(Binary::Shl, Expr::read(headroom, at));
        shifted.binary(Binary::And, integer(largest(DType::I32)))
    });
    let inverse = inverse(builder, &extents, fraction);
    definition.emit(output.dtype, &nablac_index::axes(&shape), &[], Reduce::Set, |at| {
        let kept = split.kept(at);
        let product = high(Expr::read(inverse, &kept[..]), exponential(at));
        let shift = integer(SUM_BITS + 31 - bits) - Expr::read(headroom, kept);
        let steps = product.binary(Binary::ShrRound, shift.min(integer(31)));
        (steps + integer(zero_point)).min(integer(largest(output.dtype))).cast(output.dtype)
    });
    Ok(())
}

/// The leading zeros of `sum`: as many powers of two as are larger.
pub(super) fn headroom(builder: &mut Builder, space: &[(&str, usize)], sum: TensorId) -> TensorId {
    builder.emit("headroom", DType::I32, space, &[("bit", 32)], Reduce::Sum, |at| {
        let (kept, bit) = at.split_at(at.len() - 1);
        let power =
            Expr::integer(DType::U32, 1).binary(Binary::Shl, Expr::from(bit[0].clone()).cast(DType::U32));
        Expr::read(sum, kept).cast(DType::U32).binary(Binary::Lt, power).cast(DType::I32)
    })
}

/// As many differences as there are between 8-bit values.
const STEPS: i64 = 256;

fn high(a: Expr, b: Expr) -> Expr {
    a.binary(Binary::MulHigh, b)
}

/// `table[k] = e^(-k * factor)` as Q0.31, where the factor gives Q5.26; nothing from `furthest` on. All of it is known at compile
/// time: the exponential of what is beyond a multiple of a quarter, by a polynomial around -1/8, times those of the quarters' digits.
fn exponentials(builder: &mut Builder, factor: Fixed, furthest: i64) -> TensorId {
    const QUARTER: i64 = 1 << 24;
    const THIRD: i64 = 715827883;
    const EXP_OF_MINUS_EIGHTH: i64 = 1895147668;
    /// `e^-(1/4)`, `e^-(1/2)`, `e^-1`, … `e^-16` in Q0.31.
    const POWERS: [i64; 7] = [1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242];
    let shape = [STEPS as usize];
    let mut map = |name: &str, body: &dyn Fn(&[Index]) -> Expr| builder.map(name, DType::I32, &shape, body);
    let read = |tensor: TensorId, at: &[Index]| Expr::read(tensor, at);
    let a = map("exponent_of", &|at| {
        let steps = Expr::from(at[0].clone() * -1).cast(DType::I32);
        high(steps.binary(Binary::Shl, integer(factor.exponent)), integer(factor.multiplier))
    });
    let rest = map("rest", &|at| read(a, at).binary(Binary::And, integer(QUARTER - 1)) - integer(QUARTER));
    let x = map("from_eighth", &|at| read(rest, at).binary(Binary::Shl, integer(5)) + integer(1 << 28));
    let square = map("square", &|at| high(read(x, at), read(x, at)));
    let higher = map("higher", &|at| {
        let shifted = |value: Expr, bits| value.binary(Binary::ShrRound, integer(bits));
        let (cube, fourth) = (high(read(square, at), read(x, at)), high(read(square, at), read(square, at)));
        shifted(high(shifted(fourth, 2) + cube, integer(THIRD)) + read(square, at), 1)
    });
    let mut product = map("near", &|at| {
        let eighth = integer(EXP_OF_MINUS_EIGHTH);
        eighth.clone() + high(eighth, read(x, at) + read(higher, at))
    });
    for (digit, power) in POWERS.into_iter().enumerate() {
        product = map("product", &|at| {
            let quarters = read(rest, at) - read(a, at);
            let bit = quarters.binary(Binary::And, integer(QUARTER << digit)).binary(Binary::Ne, integer(0));
            // One is no number in Q0.31: the factor is applied or not.
            bit.select(high(read(product, at), integer(power)), read(product, at))
        });
    }
    map("exponentials", &|at| {
        let far = Expr::from(at[0].clone()).cast(DType::I32).binary(Binary::Gt, integer(furthest));
        let one = read(a, at).binary(Binary::Eq, integer(0));
        far.select(integer(0), one.select(integer(largest(DType::I32)), read(product, at)))
    })
}

/// `1 / (1 + a)` as Q0.31 for `a` in Q0.31: three of Newton's steps in Q2.29, from a line.
fn inverse(builder: &mut Builder, shape: &[usize], a: TensorId) -> TensorId {
    const START: i64 = 1515870810; // 48/17
    const SLOPE: i64 = -1010580540; // -32/17
    let mut map = |name: &str, body: &dyn Fn(&[Index]) -> Expr| builder.map(name, DType::I32, shape, body);
    let half = map("half", &|at| Expr::read(a, at).binary(Binary::Shr, integer(1)) + integer(1 << 30));
    let mut t = map("line", &|at| integer(START) + high(Expr::read(half, at), integer(SLOPE)));
    for _ in 0..3 {
        t = map("newton", &|at| {
            let error = integer(1 << 29) - high(Expr::read(half, at), Expr::read(t, at));
            Expr::read(t, at) + high(Expr::read(t, at), error).binary(Binary::Shl, integer(2))
        });
    }
    map("inverse", &|at| {
        let doubled = Expr::read(t, at).cast(DType::I64) * Expr::integer(DType::I64, 2);
        doubled.min(Expr::integer(DType::I64, largest(DType::I32))).cast(DType::I32)
    })
}
