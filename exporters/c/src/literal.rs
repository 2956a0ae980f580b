//! Types, numbers and comments as C text.
//!
//! Owns that a number is read back as exactly the same value, without a warning, and that no comment ends early.

use nablac_index::{DType, Value};

/// The C type of an element.
pub fn c_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool | DType::U8 => "uint8_t",
        DType::I4 | DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::U16 => "uint16_t",
        DType::I32 => "int32_t",
        DType::U32 => "uint32_t",
        DType::I64 => "int64_t",
        DType::U64 => "uint64_t",
        DType::F32 => "float",
        DType::F64 => "double",
    }
}

/// Whether C widens a value of this type before it computes with it.
pub fn is_narrow(dtype: DType) -> bool {
    dtype.bytes() < 4
}

/// A number as a C expression. `needs_math` is set where it takes a macro of `<math.h>`.
pub fn number(dtype: DType, value: Value, needs_math: &mut bool) -> String {
    match (dtype, value) {
        (_, Value::F32(x)) => float(f64::from(x), &format!("{x:?}f"), "", needs_math),
        (_, Value::F64(x)) => float(x, &format!("{x:?}"), "(double)", needs_math),
        (DType::I32, Value::Int(x)) if x == i64::from(i32::MIN) => "INT32_MIN".into(),
        (DType::I64, Value::Int(i64::MIN)) => "INT64_MIN".into(),
        (DType::I64, Value::Int(x)) if x < 0 => format!("-INT64_C({})", x.unsigned_abs()),
        (DType::I64, Value::Int(x)) => format!("INT64_C({x})"),
        (DType::U64, Value::Int(x)) => format!("UINT64_C({})", x as u64),
        (DType::U32, Value::Int(x)) => format!("{x}U"),
        (_, Value::Int(x)) => x.to_string(),
    }
}

/// The shortest decimal that is read back as the same number.
fn float(x: f64, decimal: &str, cast: &str, needs_math: &mut bool) -> String {
    if x.is_finite() {
        return decimal.into();
    }
    *needs_math = true;
    let sign = if x == f64::NEG_INFINITY { "-" } else { "" };
    format!("{sign}{cast}{}", if x.is_nan() { "NAN" } else { "INFINITY" })
}

/// A text that can stand in a C comment: it neither ends it nor begins another, nor joins lines, nor hides text.
pub fn comment_text(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match (c, safe.chars().last()) {
            ('/', Some('*')) | ('*', Some('/')) | ('?', Some('?')) => safe.extend([' ', c]),
            ('\\', _) => safe.push_str("<U+005C>"),
            (' '..='~', _) => safe.push(c),
            _ => safe.push_str(&format!("<U+{:04X}>", c as u32)),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value() {
        let text = |dtype, value| number(dtype, value, &mut false);
        assert_eq!(text(DType::F32, Value::F32(0.1)), "0.1f");
        assert_eq!(text(DType::F32, Value::F32(-0.0)), "-0.0f");
        assert_eq!(text(DType::F32, Value::F32(1e-45)), "1e-45f");
        assert_eq!(text(DType::F64, Value::F64(f64::NEG_INFINITY)), "-(double)INFINITY");
        assert_eq!(text(DType::I32, Value::Int(-2147483648)), "INT32_MIN");
        assert_eq!(text(DType::U64, Value::Int(-1)), "UINT64_C(18446744073709551615)");
        let mut math = false;
        assert_eq!(number(DType::F32, Value::F32(f32::NAN), &mut math), "NAN");
        assert!(math);
    }

    #[test]
    fn comments_do_not_end_early() {
        assert_eq!(comment_text("a */ b /* c */"), "a * / b / * c * /");
        assert_eq!(comment_text("what??/"), "what? ?/");
        assert_eq!(comment_text("a\\\n\u{202e}"), "a<U+005C><U+000A><U+202E>");
        assert_eq!(comment_text("x /*/ y"), "x / * / y");
    }
}
