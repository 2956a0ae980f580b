//! What operations do to values: the one place where numbers are combined.
//!
//! Owns integer wrapping, float rounding and the meaning of every `Unary`, `Binary` and cast, for the interpreter,
//! constant folding and tests of the exporters. Transcendental functions come from one portable library, so that a
//! folded constant is the same on every host.

use crate::dtype::{DType, Kind, Value, wrap};
use crate::expression::{Binary, Rounding, Unary};

/// `operation(a)` for an operand of type `dtype`.
pub fn unary(operation: Unary, dtype: DType, a: Value) -> Value {
    match a {
        Value::F32(x) if operation == Unary::IsNan => Value::Int(x.is_nan() as i64),
        Value::F64(x) if operation == Unary::IsNan => Value::Int(x.is_nan() as i64),
        Value::F32(x) => Value::F32(unary_f32(operation, x)),
        Value::F64(x) => Value::F64(unary_f64(operation, x)),
        Value::Int(x) => Value::Int(wrap(dtype, unary_integer(operation, dtype, x))),
    }
}

fn unary_f32(operation: Unary, x: f32) -> f32 {
    match operation {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Not => f32::from(x == 0.0),
        Unary::Exp => libm::expf(x),
        Unary::Log => libm::logf(x),
        Unary::Sqrt => x.sqrt(),
        Unary::Sin => libm::sinf(x),
        Unary::Cos => libm::cosf(x),
        Unary::Tanh => libm::tanhf(x),
        Unary::Erf => libm::erff(x),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::RoundAway => x.round(),
        Unary::IsNan => f32::from(x.is_nan()),
    }
}

fn unary_f64(operation: Unary, x: f64) -> f64 {
    match operation {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Not => f64::from(x == 0.0),
        Unary::Exp => libm::exp(x),
        Unary::Log => libm::log(x),
        Unary::Sqrt => x.sqrt(),
        Unary::Sin => libm::sin(x),
        Unary::Cos => libm::cos(x),
        Unary::Tanh => libm::tanh(x),
        Unary::Erf => libm::erf(x),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::RoundAway => x.round(),
        Unary::IsNan => f64::from(x.is_nan()),
    }
}

/// Integer meaning; the verifier keeps functions of real numbers away from integers, where this is the identity.
fn unary_integer(operation: Unary, dtype: DType, x: i64) -> i64 {
    match operation {
        Unary::Neg => x.wrapping_neg(),
        Unary::Abs if dtype.kind() == Kind::Signed => x.wrapping_abs(),
        Unary::Not if dtype == DType::Bool => (x == 0) as i64,
        Unary::Not => !x,
        Unary::IsNan => 0,
        _ => x,
    }
}

/// `a operation b` for operands of type `dtype`; comparisons give a boolean.
pub fn binary(operation: Binary, dtype: DType, a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::F32(x), Value::F32(y)) => match compare(operation, x, y) {
            Some(truth) => Value::Int(truth as i64),
            None => Value::F32(binary_f32(operation, x, y)),
        },
        (Value::F64(x), Value::F64(y)) => match compare(operation, x, y) {
            Some(truth) => Value::Int(truth as i64),
            None => Value::F64(binary_f64(operation, x, y)),
        },
        _ => {
            let (x, y) = (a.as_i64(), b.as_i64());
            let truth = match dtype {
                DType::U64 => compare(operation, x as u64, y as u64),
                _ => compare(operation, x, y),
            };
            match truth {
                Some(truth) => Value::Int(truth as i64),
                None => Value::Int(wrap(dtype, binary_integer(operation, dtype, x, y))),
            }
        }
    }
}

fn compare<T: PartialOrd>(operation: Binary, x: T, y: T) -> Option<bool> {
    Some(match operation {
        Binary::Lt => x < y,
        Binary::Le => x <= y,
        Binary::Gt => x > y,
        Binary::Ge => x >= y,
        Binary::Eq => x == y,
        Binary::Ne => x != y,
        _ => return None,
    })
}

macro_rules! binary_float {
    ($name:ident $float:ident $fmod:path, $pow:path) => {
        fn $name(operation: Binary, x: $float, y: $float) -> $float {
            match operation {
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                Binary::Div => x / y,
                Binary::Rem => $fmod(x, y),
                Binary::Pow => $pow(x, y),
                Binary::Min => {
                    if y < x {
                        y
                    } else {
                        x
                    }
                }
                Binary::Max => {
                    if x < y {
                        y
                    } else {
                        x
                    }
                }
                _ => x, // comparisons are decided before; the verifier keeps bit operations away from floats
            }
        }
    };
}
binary_float!(binary_f32 f32 libm::fmodf, libm::powf);
binary_float!(binary_f64 f64 libm::fmod, libm::pow);

fn binary_integer(operation: Binary, dtype: DType, x: i64, y: i64) -> i64 {
    let unsigned = dtype == DType::U64;
    let amount = (y as u32) & (dtype.bytes() as u32 * 8 - 1);
    match operation {
        Binary::Add => x.wrapping_add(y),
        Binary::Sub => x.wrapping_sub(y),
        Binary::Mul => x.wrapping_mul(y),
        Binary::Div | Binary::Rem if y == 0 => 0,
        Binary::Div if unsigned => (x as u64 / y as u64) as i64,
        Binary::Div => x.wrapping_div(y),
        Binary::Rem if unsigned => (x as u64 % y as u64) as i64,
        Binary::Rem => x.wrapping_rem(y),
        Binary::Pow => integer_power(x, y),
        Binary::Min if unsigned => (x as u64).min(y as u64) as i64,
        Binary::Min => x.min(y),
        Binary::Max if unsigned => (x as u64).max(y as u64) as i64,
        Binary::Max => x.max(y),
        Binary::And => x & y,
        Binary::Or => x | y,
        Binary::Xor => x ^ y,
        Binary::Shl => x << amount,
        Binary::Shr if unsigned => ((x as u64) >> amount) as i64,
        Binary::Shr => x >> amount,
        Binary::ShrRound => shift_to_nearest(x, amount),
        Binary::MulHigh => {
            let fraction = dtype.bytes() as u32 * 8 - 1;
            let product = (x.wrapping_mul(y).wrapping_add(1 << (fraction - 1))) >> fraction;
            product.min((1 << fraction) - 1)
        }
        Binary::HighWord => x.wrapping_mul(y) >> 32,
        Binary::HighWordRound => x.wrapping_mul(y).wrapping_add(1 << 31) >> 32,
        _ => x, // comparisons are decided before
    }
}

/// `x / 2^amount` to the nearest, half away from zero; `|x|` is below `2^62`.
fn shift_to_nearest(x: i64, amount: u32) -> i64 {
    let half = if amount == 0 { 0 } else { 1i64 << (amount - 1) };
    (x + half - i64::from(x < 0 && amount > 0)) >> amount
}

/// `value * multiplier * 2^exponent`, where the multiplier is a fixed-point number with `rounding.fraction_bits()` bits behind
/// the point. Exponents run from -31 up to 30 (14 for `Narrow`); the result wraps in 32 bits.
pub fn requantize(rounding: Rounding, value: Value, multiplier: Value, exponent: Value) -> Value {
    let (x, m, e) = (value.as_i64(), multiplier.as_i64(), exponent.as_i64());
    let shift = (rounding.fraction_bits() - e).clamp(1, 62) as u32;
    let product = x.wrapping_mul(m);
    let rounded = match rounding {
        Rounding::Double => {
            let shifted = wrap(DType::I32, x << e.clamp(0, 31));
            let high = binary_integer(Binary::MulHigh, DType::I32, shifted, m);
            shift_to_nearest(high, (-e).clamp(0, 31) as u32)
        }
        Rounding::Single | Rounding::Narrow => product.wrapping_add(1 << (shift - 1)) >> shift,
        Rounding::Away => shift_to_nearest(product, shift),
    };
    Value::Int(wrap(DType::I32, rounded))
}

/// `x^y`, wrapping; 0 for negative exponents except of 1 and -1, as truncation of the real result gives.
fn integer_power(x: i64, y: i64) -> i64 {
    match (x, y) {
        (1, _) => 1,
        (-1, _) => {
            if y % 2 == 0 {
                1
            } else {
                -1
            }
        }
        (_, y) if y < 0 => 0,
        _ => (0..64 - y.leading_zeros()).rev().fold(1i64, |power, bit| {
            let square = power.wrapping_mul(power);
            if y >> bit & 1 == 1 { square.wrapping_mul(x) } else { square }
        }),
    }
}

/// The value `a` of type `from` as a value of type `to`. Floats are truncated towards zero and saturate (a NaN gives
/// 0); integers wrap; anything but zero is true.
pub fn cast(a: Value, from: DType, to: DType) -> Value {
    match (a, to) {
        (Value::F32(x), DType::Bool) => Value::Int((x != 0.0) as i64),
        (Value::F64(x), DType::Bool) => Value::Int((x != 0.0) as i64),
        (Value::F32(x), DType::F64) => Value::F64(x as f64),
        (Value::F64(x), DType::F32) => Value::F32(x as f32),
        (Value::F32(_) | Value::F64(_), t) if t.is_float() => a,
        (Value::F32(_) | Value::F64(_), t) => Value::Int(saturate(a.as_f64(), t)),
        (Value::Int(x), DType::F32) if from == DType::U64 => Value::F32(x as u64 as f32),
        (Value::Int(x), DType::F64) if from == DType::U64 => Value::F64(x as u64 as f64),
        (Value::Int(x), DType::F32) => Value::F32(x as f32),
        (Value::Int(x), DType::F64) => Value::F64(x as f64),
        (Value::Int(x), t) => Value::Int(wrap(t, x)),
    }
}

/// The integer part of `x`, moved to the nearest value that `dtype` can hold.
fn saturate(x: f64, dtype: DType) -> i64 {
    match dtype {
        DType::I4 => (x as i8 as i64).clamp(-8, 7),
        DType::I8 => x as i8 as i64,
        DType::U8 => x as u8 as i64,
        DType::I16 => x as i16 as i64,
        DType::U16 => x as u16 as i64,
        DType::I32 => x as i32 as i64,
        DType::U32 => x as u32 as i64,
        DType::U64 => x as u64 as i64,
        _ => x as i64,
    }
}

/// `a * b + c`, rounded once for floats, wrapping for integers.
pub fn multiply_add(dtype: DType, a: Value, b: Value, c: Value) -> Value {
    match (a, b, c) {
        (Value::F32(x), Value::F32(y), Value::F32(z)) => Value::F32(libm::fmaf(x, y, z)),
        (Value::F64(x), Value::F64(y), Value::F64(z)) => Value::F64(libm::fma(x, y, z)),
        _ => binary(Binary::Add, dtype, binary(Binary::Mul, dtype, a, b), c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_in_their_own_width() {
        assert_eq!(binary(Binary::Add, DType::I8, Value::Int(127), Value::Int(1)), Value::Int(-128));
        assert_eq!(binary(Binary::Mul, DType::U16, Value::Int(256), Value::Int(256)), Value::Int(0));
        assert_eq!(binary(Binary::Div, DType::I32, Value::Int(7), Value::Int(0)), Value::Int(0));
        assert_eq!(binary(Binary::Pow, DType::I64, Value::Int(3), Value::Int(5)), Value::Int(243));
    }

    #[test]
    fn casts_saturate_from_floats_and_wrap_from_integers() {
        assert_eq!(cast(Value::F32(300.0), DType::F32, DType::U8), Value::Int(255));
        assert_eq!(cast(Value::F32(f32::NAN), DType::F32, DType::I32), Value::Int(0));
        assert_eq!(cast(Value::Int(300), DType::I32, DType::U8), Value::Int(44));
    }

    #[test]
    fn requantization_rounds_as_it_is_called() {
        // 5 * 0.5 * 2^0 = 2.5 and -2.5; 6 * 0.5 * 2^-1 = 1.5.
        let half = Value::Int(1 << 30);
        let of = |rounding, x, e| requantize(rounding, Value::Int(x), half, Value::Int(e));
        for (rounding, values) in [
            (Rounding::Double, [3, -2, 2, -2]),
            (Rounding::Single, [3, -2, 2, -1]),
            (Rounding::Away, [3, -3, 2, -2]),
        ] {
            let found = [of(rounding, 5, 0), of(rounding, -5, 0), of(rounding, 6, -1), of(rounding, -6, -1)];
            assert_eq!(found, values.map(Value::Int), "{rounding:?}");
        }
        // 7 * 0.5 = 3.5 is 4; 4 / 2 is 2; rounded once, 1.75 is 2. 5 * 0.5 = 2.5 is 3; 3 / 2 is 2, but 1.25 is 1.
        assert_eq!(of(Rounding::Double, 5, -1), Value::Int(2));
        assert_eq!(of(Rounding::Single, 5, -1), Value::Int(1));
        let narrow = requantize(Rounding::Narrow, Value::Int(1 << 40), Value::Int(1 << 14), Value::Int(-25));
        assert_eq!(narrow, Value::Int(1 << 14));
    }

    #[test]
    fn fixed_point_products_saturate_and_shifts_round_away_from_zero() {
        let high = |a, b| binary(Binary::MulHigh, DType::I32, Value::Int(a), Value::Int(b));
        assert_eq!(high(i64::from(i32::MIN), i64::from(i32::MIN)), Value::Int(i64::from(i32::MAX)));
        assert_eq!(high(3, 1 << 30), Value::Int(2));
        assert_eq!(high(-3, 1 << 30), Value::Int(-1));
        let word = |a, b| binary(Binary::HighWord, DType::I32, Value::Int(a), Value::Int(b));
        assert_eq!(word(i64::from(i32::MIN), i64::from(i32::MIN)), Value::Int(1 << 30));
        assert_eq!([word(3, 1 << 30), word(-3, 1 << 30), word(-1, 1)], [0, -1, -1].map(Value::Int));
        let near = |a, b| binary(Binary::HighWordRound, DType::I32, Value::Int(a), Value::Int(b));
        assert_eq!(near(i64::from(i32::MIN), i64::from(i32::MIN)), Value::Int(1 << 30));
        assert_eq!([near(2, 1 << 30), near(-2, 1 << 30), near(-1, 1)], [1, 0, 0].map(Value::Int));
        // A doubled operand makes it the product of fixed-point numbers.
        for (a, b) in
            [(3, 1 << 30), (-3, 1 << 30), (123_456_789, -987_654_321), (-(1 << 30), i32::MAX.into())]
        {
            assert_eq!(near(2 * a, b), high(a, b));
        }
        let shift = |a, n| binary(Binary::ShrRound, DType::I32, Value::Int(a), Value::Int(n));
        assert_eq!([shift(3, 1), shift(-3, 1), shift(-5, 2), shift(7, 0)], [2, -2, -1, 7].map(Value::Int));
    }

    #[test]
    fn the_first_operand_wins_where_a_comparison_is_undecided() {
        assert!(
            matches!(binary(Binary::Max, DType::F32, Value::F32(f32::NAN), Value::F32(0.0)), Value::F32(x) if x.is_nan())
        );
    }
}
