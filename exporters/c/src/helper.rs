//! The small functions that give C's operators the exact meaning of the arithmetic.
//!
//! Owns one definition per operation and type, and which of them a file uses. C leaves signed overflow, division by zero and
//! conversions out of range undefined; here they wrap, give 0 and saturate, as `nablac_index::arithmetic` says.

use std::collections::BTreeMap;

use nablac_index::{Binary, DType, Rounding, Unary};

use crate::literal::{c_type, is_narrow};

/// The functions and headers that a file uses so far.
#[derive(Clone, Debug, Default)]
pub struct Helpers {
    /// Definitions by rank and name: a function stands behind those that it calls.
    functions: BTreeMap<(u8, String), String>,
    /// Whether `<math.h>` is used.
    pub math: bool,
    /// Whether `<string.h>` is used.
    pub string: bool,
}

/// The rank of functions that stand for hardware instructions: behind those of the arithmetic.
const HARDWARE: u8 = 3;

impl Helpers {
    /// The definitions, in an order in which each is defined before it is used.
    pub fn definitions(&self) -> impl Iterator<Item = &str> {
        self.functions.values().map(String::as_str)
    }

    /// Whether a hardware instruction's function is defined.
    pub fn has(&self, name: &str) -> bool {
        self.functions.contains_key(&(HARDWARE, name.into()))
    }

    /// Defines a hardware instruction's function.
    pub fn insert(&mut self, name: &str, text: String) {
        self.functions.insert((HARDWARE, name.into()), text);
    }

    fn define(&mut self, rank: u8, name: String, result: &str, parameters: &str, lines: &[String]) -> String {
        self.functions.entry((rank, name.clone())).or_insert_with(|| {
            let body: String = lines.iter().map(|line| format!("    {line}\n")).collect();
            format!("static inline {result} {name}({parameters})\n{{\n{body}}}\n")
        });
        name
    }

    /// The function for a binary operation; infix operators that are exact already have none.
    pub fn binary(&mut self, operation: Binary, dtype: DType) -> String {
        let (t, u) = (c_type(dtype), wide_unsigned(dtype));
        let mask = dtype.bytes() * 8 - 1;
        let sum = |sign: &str| vec![format!("return ({t})(({u})a {sign} ({u})b);")];
        let (name, lines) = match operation {
            Binary::Add => ("add", sum("+")),
            Binary::Sub => ("sub", sum("-")),
            Binary::Mul => ("mul", sum("*")),
            Binary::Div => ("div", divide(dtype, "/", &format!("({t})(({u})0 - ({u})a)"))),
            Binary::Rem => ("rem", divide(dtype, "%", "0")),
            Binary::Shl => ("shl", vec![format!("return ({t})(({u})a << (({u})b & {mask}U));")]),
            Binary::Shr => ("shr", vec![format!("return ({t})(a >> (({u})b & {mask}U));")]),
            Binary::ShrRound => ("rshr", shift_to_nearest(t, mask)),
            Binary::MulHigh => ("mulhigh", multiply_high(dtype)),
            Binary::HighWord => ("highword", vec![format!("return ({t})(((int64_t)a * b) >> 32);")]),
            Binary::HighWordRound => {
                let line = format!("return ({t})(((int64_t)a * b + INT64_C(2147483648)) >> 32);");
                ("highword_round", vec![line])
            }
            Binary::Min => ("min", vec![format!("return {};", chosen(dtype, "b < a ? b : a"))]),
            Binary::Max => ("max", vec![format!("return {};", chosen(dtype, "a < b ? b : a"))]),
            Binary::Pow => {
                let wide = self.power();
                let call = format!("{wide}((int64_t)a, (int64_t)b)");
                if dtype == DType::I64 {
                    return wide;
                }
                ("pow", vec![format!("return ({t}){call};")])
            }
            comparison => {
                let name = comparison_name(comparison);
                let line = format!("return a {} b;", comparison.name());
                return self.define(1, format!("{name}_{dtype}"), "int", &format!("{t} a, {t} b"), &[line]);
            }
        };
        self.define(1, format!("{name}_{dtype}"), t, &format!("{t} a, {t} b"), &lines)
    }

    /// The function for a requantization.
    pub fn requantize(&mut self, rounding: Rounding) -> String {
        let lines = match rounding {
            Rounding::Double => {
                let shift = self.binary(Binary::ShrRound, DType::I32);
                vec![
                    "const int32_t left = exponent > 0 ? exponent : 0;".into(),
                    "const int32_t shifted = (int32_t)((uint32_t)value << left);".into(),
                    // A multiplier is below one, so that the product stays inside.
                    "const int64_t product = (int64_t)shifted * multiplier + INT64_C(1073741824);".into(),
                    format!("return {shift}((int32_t)(product >> 31), left - exponent);"),
                ]
            }
            _ => {
                let half = "INT64_C(1) << (shift - 1)";
                let sum = match rounding {
                    // Accumulators of 64 bits may leave them: wrapped, as the arithmetic has it.
                    Rounding::Narrow => {
                        "(int64_t)((uint64_t)value * (uint64_t)(int64_t)multiplier + (UINT64_C(1) << (shift - 1)))".into()
                    }
                    Rounding::Away => format!("(int64_t)value * multiplier + ({half}) - (value < 0)"),
                    _ => format!("(int64_t)value * multiplier + ({half})"),
                };
                vec![
                    format!("const int32_t shift = {} - exponent;", rounding.fraction_bits()),
                    format!("return (int32_t)(({sum}) >> shift);"),
                ]
            }
        };
        let parameters =
            format!("{} value, int32_t multiplier, int32_t exponent", c_type(rounding.value_dtype()));
        self.define(2, rounding.name().into(), "int32_t", &parameters, &lines)
    }

    /// The function for the integer next to a number below 2^21 in absolute value.
    pub fn nearest(&mut self, round: Unary) -> String {
        let (name, lines) = match round {
            // Beyond 1.5 * 2^23 floats are integers: the sum is rounded to one, half to even.
            Unary::Round => {
                ("nearest_even_i32", vec!["return (int32_t)(a + 12582912.0f) - 12582912;".to_string()])
            }
            _ => (
                "nearest_away_i32",
                vec![
                    "const int32_t whole = (int32_t)a;".into(),
                    "const float rest = a - (float)whole;".into(),
                    "return whole + (rest >= 0.5f) - (rest <= -0.5f);".into(),
                ],
            ),
        };
        self.define(1, name.into(), "int32_t", "float a", &lines)
    }

    fn power(&mut self) -> String {
        let lines = [
            "uint64_t power = 1U;",
            "uint64_t square = (uint64_t)a;",
            "if (a == 1 || (a == -1 && b % 2 == 0)) {",
            "    return 1;",
            "}",
            "if (a == -1) {",
            "    return -1;",
            "}",
            "if (b < 0) {",
            "    return 0;",
            "}",
            "for (; b > 0; b /= 2) {",
            "    if (b % 2 == 1) {",
            "        power *= square;",
            "    }",
            "    square *= square;",
            "}",
            "return (int64_t)power;",
        ];
        let lines = lines.map(String::from);
        self.define(0, "pow_i64".into(), "int64_t", "int64_t a, int64_t b", &lines)
    }

    /// The function for a unary operation of integers, or for `isnan`.
    pub fn unary(&mut self, operation: Unary, dtype: DType) -> String {
        let (t, u) = (c_type(dtype), wide_unsigned(dtype));
        let (name, result, line) = match operation {
            Unary::Neg => ("neg", t, format!("return ({t})(({u})0 - ({u})a);")),
            Unary::Abs => ("abs", t, format!("return ({t})(a < 0 ? ({u})0 - ({u})a : ({u})a);")),
            _ => ("is_nan", "int", "return a != a;".into()),
        };
        self.define(1, format!("{name}_{dtype}"), result, &format!("{t} a"), &[line])
    }

    /// The function that converts a float to an integer: towards zero, saturating, 0 where it is no number.
    pub fn saturate(&mut self, from: DType, to: DType) -> String {
        let signed = to.kind() == nablac_index::Kind::Signed;
        let bits = to.bytes() * 8;
        let suffix = if from == DType::F32 { "f" } else { "" };
        let power = |exponent: usize| format!("{}.0{suffix}", 1u128 << exponent);
        let (largest, smallest) = match signed {
            true => (power(bits - 1), format!("-{}", power(bits - 1))),
            false => (power(bits), format!("0.0{suffix}")),
        };
        let (maximum, minimum) = match signed {
            true => (format!("INT{bits}_MAX"), format!("INT{bits}_MIN")),
            false => (format!("UINT{bits}_MAX"), "0".into()),
        };
        let (t, f) = (c_type(to), c_type(from));
        let lines = [
            format!("if (a >= {largest}) {{"),
            format!("    return {maximum};"),
            "}".into(),
            format!("if (a <= {smallest}) {{"),
            format!("    return {minimum};"),
            "}".into(),
            format!("return a == a ? ({t})a : ({t})0;"),
        ];
        self.define(1, format!("{to}_from_{from}"), t, &format!("{f} a"), &lines)
    }

    /// `a / n`, rounded down, for `n > 0`.
    pub fn floor_quotient(&mut self, dtype: DType) -> String {
        let t = c_type(dtype);
        let lines =
            [format!("const {t} quotient = a / n;"), "return a % n < 0 ? quotient - 1 : quotient;".into()];
        self.define(1, format!("floor_div_{dtype}"), t, &format!("{t} a, {t} n"), &lines)
    }

    /// `a % n` in `0..n`, for `n > 0`.
    pub fn floor_remainder(&mut self, dtype: DType) -> String {
        let t = c_type(dtype);
        let lines = [format!("const {t} rest = a % n;"), "return rest < 0 ? rest + n : rest;".into()];
        self.define(1, format!("floor_mod_{dtype}"), t, &format!("{t} a, {t} n"), &lines)
    }
}

/// The unsigned type in which C computes without overflow: at least 32 bits, so that nothing is widened to `int`.
fn wide_unsigned(dtype: DType) -> &'static str {
    if dtype.bytes() == 8 { "uint64_t" } else { "uint32_t" }
}

/// `a ? b : c` of a narrow type is an `int`.
fn chosen(dtype: DType, choice: &str) -> String {
    if is_narrow(dtype) { format!("({})({choice})", c_type(dtype)) } else { choice.into() }
}

/// Half away from zero: what is shifted out is held against half of the divisor, and one more below zero.
fn shift_to_nearest(t: &str, mask: usize) -> Vec<String> {
    vec![
        format!("const int32_t amount = b & {mask};"),
        "const int32_t mask = (int32_t)((UINT32_C(1) << amount) - 1U);".into(),
        "const int32_t half = (mask >> 1) + (a < 0);".into(),
        format!("return ({t})((a >> amount) + ((a & mask) > half));"),
    ]
}

/// The product of two numbers with `bits - 1` fractional bits; only the square of the smallest leaves the type.
fn multiply_high(dtype: DType) -> Vec<String> {
    let (t, fraction) = (c_type(dtype), dtype.bytes() * 8 - 1);
    let maximum = format!("INT{}_MAX", fraction + 1);
    let wide = if fraction == 31 { "int64_t" } else { "int32_t" };
    let half = format!("INT{}_C({})", if fraction == 31 { 64 } else { 32 }, 1u64 << (fraction - 1));
    vec![
        format!("const {wide} product = (({wide})a * b + {half}) >> {fraction};"),
        format!("return product > {maximum} ? {maximum} : ({t})product;"),
    ]
}

fn divide(dtype: DType, sign: &str, by_minus_one: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec!["if (b == 0) {".into(), "    return 0;".into(), "}".into()];
    if dtype.kind() == nablac_index::Kind::Signed {
        lines.extend(["if (b == -1) {".into(), format!("    return {by_minus_one};"), "}".into()]);
    }
    lines.push(format!("return ({})(a {sign} b);", c_type(dtype)));
    lines
}

fn comparison_name(operation: Binary) -> &'static str {
    match operation {
        Binary::Lt => "less",
        Binary::Le => "at_most",
        Binary::Gt => "greater",
        Binary::Ge => "at_least",
        Binary::Eq => "equal",
        _ => "differ",
    }
}
