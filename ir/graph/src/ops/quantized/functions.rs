//! Functions of 16-bit fixed-point numbers, as gemmlowp has them and TFLite's recurrent layers use them: `Qm.n` is a number with `m`
//! bits before the point and `n` behind it, and `*` rounds to the nearest. With `m` bits before the point of `a`:
//! ```text
//! x = a + 1/8, where a lies in -1/4…0
//! e^a = e^-1/8 * (1 + x + x^2/2 + x^3/6 + x^4/24)        times e^-1/4, e^-1/2, e^-1, … for each quarter that was taken off
//! t = 1 / (1 + e)                                        three of Newton's steps in Q2.13, from a line
//! logistic(a) = t(e^-a)                                  and 1 less that for negative a
//! tanh(a) = 2 t(e^-2a) - 1                               and its negative for negative a
//! ```

use nablac_index::{Binary, Builder, DType, Expr, Index, TensorId, largest};

use crate::ops::requantize::integer;

/// Bits behind the point of results, and of exponentials.
const FRACTION: i64 = 15;

/// `logistic(a)` in Q0.15 of each element of a 16-bit tensor in `Qm.n` with `m = integer_bits`.
pub(in crate::ops) fn logistic(builder: &mut Builder, a: TensorId, integer_bits: i64) -> TensorId {
    let exponential = exponential(builder, a, integer_bits);
    let near = newton(builder, exponential);
    map(builder, "logistic", a, |at| {
        let positive = (last_step(near, exponential, at) * integer(2)).min(integer(ONE));
        let value = wide(a, at);
        let negative = integer(ONE) - positive.clone();
        let signed = value.clone().binary(Binary::Gt, integer(0)).select(positive, negative);
        value.binary(Binary::Eq, integer(0)).select(integer(1 << (FRACTION - 1)), signed)
    })
}

/// `tanh(a)` in Q0.15 of each element of a 16-bit tensor in `Qm.n` with `m = integer_bits`.
pub(in crate::ops) fn tanh(builder: &mut Builder, a: TensorId, integer_bits: i64) -> TensorId {
    // The same bits with one more of them before the point are the double.
    let exponential = exponential(builder, a, integer_bits + 1);
    let near = newton(builder, exponential);
    map(builder, "tanh", a, |at| {
        let positive = ((last_step(near, exponential, at) - integer(ONE_Q2)) * integer(4)).min(integer(ONE));
        let value = wide(a, at);
        let negative = -positive.clone();
        let signed = value.clone().binary(Binary::Lt, integer(0)).select(negative, positive);
        value.binary(Binary::Eq, integer(0)).select(integer(0), signed)
    })
}

/// The largest number in Q0.15, which stands for 1.
const ONE: i64 = (1 << FRACTION) - 1;

/// 1 in Q2.13.
const ONE_Q2: i64 = 1 << 13;

fn wide(tensor: TensorId, at: &[Index]) -> Expr {
    Expr::read(tensor, at).cast(DType::I32)
}

/// `a * b / 2^15`, to the nearest, half up.
fn high(a: Expr, b: Expr) -> Expr {
    (a * b + integer(1 << (FRACTION - 1))).binary(Binary::Shr, integer(FRACTION))
}

/// A 16-bit tensor of the shape of `like`, each of whose elements is computed from those at the same place.
fn map(builder: &mut Builder, name: &str, like: TensorId, body: impl FnOnce(&[Index]) -> Expr) -> TensorId {
    let shape = builder.shape(like);
    builder.map(name, DType::I16, &shape, |at| body(at).cast(DType::I16))
}

/// `e^-|a|` in Q0.15.
fn exponential(builder: &mut Builder, a: TensorId, integer_bits: i64) -> TensorId {
    const THIRD: i64 = 10923;
    const EXP_OF_MINUS_EIGHTH: i64 = 28918;
    /// `e^-(1/4)`, `e^-(1/2)`, `e^-1`, … `e^-16` in Q0.15.
    const POWERS: [i64; 7] = [25520, 19875, 12055, 4435, 600, 11, 0];
    /// What is below this has the exponential 0.
    const FURTHEST: i64 = 32;
    let fraction = FRACTION - integer_bits;
    let quarter = 1 << (fraction - 2);
    let negative = |at: &[Index]| wide(a, at).min(-wide(a, at));
    let rest = |at: &[Index]| negative(at).binary(Binary::And, integer(quarter - 1)) - integer(quarter);
    let x = map(builder, "from_eighth", a, |at| {
        rest(at).binary(Binary::Shl, integer(integer_bits)) + integer(1 << (FRACTION - 3))
    });
    map(builder, "exponential", a, |at| {
        let shifted = |value: Expr, bits| value.binary(Binary::ShrRound, integer(bits));
        let x = || wide(x, at);
        let square = || high(x(), x());
        let higher = shifted(high(square(), square()), 2) + high(square(), x());
        let series = x() + shifted(high(higher, integer(THIRD)) + square(), 1);
        let near = integer(EXP_OF_MINUS_EIGHTH) + high(integer(EXP_OF_MINUS_EIGHTH), series);
        let quarters = |bit: i64| (rest(at) - negative(at)).binary(Binary::And, integer(bit));
        let digits = (0..).zip(POWERS).filter(|(digit, _)| *digit < integer_bits + 2);
        let product = digits.fold(near, |product, (digit, power)| {
            // Times 1 as 2^15 changes nothing.
            let factor = quarters(quarter << digit)
                .binary(Binary::Ne, integer(0))
                .select(integer(power), integer(1 << FRACTION));
            high(product, factor)
        });
        let far = -(FURTHEST << fraction);
        let product = match far >= nablac_index::smallest(DType::I16) {
            true => negative(at).binary(Binary::Lt, integer(far)).select(integer(0), product),
            false => product,
        };
        negative(at).binary(Binary::Eq, integer(0)).select(integer(largest(DType::I16)), product)
    })
}

/// Half of `1 + e`, in Q0.15.
fn half_sum(e: TensorId, at: &[Index]) -> Expr {
    (wide(e, at) + integer(1 << FRACTION)).binary(Binary::Shr, integer(1))
}

/// `1 / (1 + e)` in Q2.13, but for the last of Newton's steps.
fn newton(builder: &mut Builder, e: TensorId) -> TensorId {
    const START: i64 = 23130; // 48/17
    const SLOPE: i64 = -15420; // -32/17
    let line = |at: &[Index]| integer(START) + high(half_sum(e, at), integer(SLOPE));
    let first = map(builder, "newton", e, |at| step(line(at), e, at));
    map(builder, "newton", e, |at| last_step(first, e, at))
}

fn last_step(near: TensorId, e: TensorId, at: &[Index]) -> Expr {
    step(wide(near, at), e, at)
}

/// `t + t * (1 - t * (1 + e) / 2) * 4`: a product in Q4.11 is brought to Q2.13.
fn step(t: Expr, e: TensorId, at: &[Index]) -> Expr {
    let error = integer(ONE_Q2) - high(half_sum(e, at), t.clone());
    t.clone() + high(t, error) * integer(4)
}
