//! Whether a function of one unknown rises.
//!
//! A function rises if it never falls as the unknown grows. Constants do, and a composition of rising operations does; rounding, also
//! to floats, keeps order. Integers that wrap fall: since operands rise, an operation wraps nowhere in a range if its exact result is
//! in its type at both ends of it. The ends of a rising function's range are therefore the function at the ends, and what is known of
//! them decides the next operation.

use crate::arithmetic;
use crate::dtype::{DType, Value};
use crate::evaluate::Code;
use crate::expression::{Binary, Rounding, Unary};
use crate::program::{largest, smallest};

use super::function::Function;

/// What an expression gives at both ends of the unknown's range.
type Ends = (Value, Value);

/// The ends of `code` where the unknown runs over `range`; nothing unless it surely rises.
pub(super) fn ends(code: &Code, function: &Function, channel: &[i64], range: (i64, i64)) -> Option<Ends> {
    let of = |code: &Code| ends(code, function, channel, range);
    let ends = match code {
        Code::Literal(value) => (*value, *value),
        Code::Read(tensor, ..) if function.unknown(*tensor).is_some() => {
            (Value::Int(range.0), Value::Int(range.1))
        }
        Code::Index(_) | Code::Read(..) => {
            let value = function.constant(code, channel)?;
            (value, value)
        }
        Code::Unary(operation, dtype, a) => {
            let a = of(a)?;
            let rises = matches!(operation, Unary::Round | Unary::RoundAway | Unary::Floor | Unary::Ceil);
            (rises || fixed(a).is_some()).then(|| both(a, |x| arithmetic::unary(*operation, *dtype, x)))?
        }
        Code::Cast(from, to, a) => cast(*from, *to, of(a)?)?,
        Code::Binary(operation, dtype, ab) => binary(*operation, *dtype, of(&ab[0])?, of(&ab[1])?)?,
        Code::Requantize(rounding, abc) => {
            let (multiplier, exponent) = (fixed(of(&abc[1])?)?, fixed(of(&abc[2])?)?);
            requantize(*rounding, of(&abc[0])?, multiplier, exponent)?
        }
        Code::Select(_) | Code::MultiplyAdd(..) => return None,
    };
    let finite = |value: Value| value.as_f64().is_finite();
    (finite(ends.0) && finite(ends.1)).then_some(ends)
}

fn both(ends: Ends, f: impl Fn(Value) -> Value) -> Ends {
    (f(ends.0), f(ends.1))
}

/// The value, if it is the same over the whole range.
fn fixed(ends: Ends) -> Option<Value> {
    (ends.0 == ends.1).then_some(ends.0)
}

/// Casts keep order, but for integers that wrap.
fn cast(from: DType, to: DType, a: Ends) -> Option<Ends> {
    let wraps = !from.is_float() && to.is_integer() && !(holds(to, a.0) && holds(to, a.1));
    (to != DType::Bool && !wraps).then(|| both(a, |x| arithmetic::cast(x, from, to)))
}

fn holds(dtype: DType, value: Value) -> bool {
    // The largest value of an unsigned 64-bit type does not stand as one.
    dtype != DType::U64 && (smallest(dtype)..=largest(dtype)).contains(&value.as_i64())
}

fn binary(operation: Binary, dtype: DType, a: Ends, b: Ends) -> Option<Ends> {
    let from = |least: f64, ends: Ends| fixed(ends).is_some_and(|value| value.as_f64() >= least);
    let rises = match operation {
        _ if dtype == DType::U64 => false,
        Binary::Add | Binary::Min | Binary::Max => true,
        Binary::Sub => fixed(b).is_some(),
        Binary::Mul => from(0.0, a) || from(0.0, b),
        Binary::MulHigh | Binary::HighWord | Binary::HighWordRound => from(0.0, b),
        Binary::Div => from(f64::MIN_POSITIVE, b),
        Binary::Shl | Binary::Shr | Binary::ShrRound => {
            fixed(b).is_some_and(|amount| (0..dtype.bytes() as i64 * 8).contains(&amount.as_i64()))
        }
        _ => false,
    };
    let fits = dtype.is_float() || exact(operation, a.0, b.0, dtype) && exact(operation, a.1, b.1, dtype);
    let at = |x, y| arithmetic::binary(operation, dtype, x, y);
    (rises && fits).then(|| (at(a.0, b.0), at(a.1, b.1)))
}

/// Whether the result on integers is in the type.
fn exact(operation: Binary, x: Value, y: Value, dtype: DType) -> bool {
    let (x, y) = (i128::from(x.as_i64()), i128::from(y.as_i64()));
    let result = match operation {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Shl => x << y,
        _ => return true,
    };
    (i128::from(smallest(dtype))..=i128::from(largest(dtype))).contains(&result)
}

/// A requantization rises where its multiplier is not negative and neither the shifted value nor the result leaves 32 bits.
fn requantize(rounding: Rounding, a: Ends, multiplier: Value, exponent: Value) -> Option<Ends> {
    let (m, e) = (multiplier.as_i64(), exponent.as_i64());
    let stays = |value: Value| {
        let shifted = value.as_f64() * (e.max(0) as f64).exp2();
        shifted.abs() < f64::from(i32::MAX)
    };
    // The multiplier is below one: the result is no larger than the shifted value.
    let rises = m >= 0 && (-31..=30).contains(&e) && rounding != Rounding::Narrow && stays(a.0) && stays(a.1);
    rises.then(|| both(a, |x| arithmetic::requantize(rounding, x, multiplier, exponent)))
}
