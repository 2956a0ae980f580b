//! From a model's names to C identifiers.
//!
//! Owns what is a safe identifier in C and C++, and that no two things in one place bear the same. Names are lower case, so
//! that no macro of a system header is hit.

/// The longest identifier that a model's name becomes; a number may follow.
const LONGEST: usize = 40;

/// Words that C, C++ or common headers and platforms claim for themselves.
#[rustfmt::skip] // a table of words, not one line each
const RESERVED: &[&str] = &[
    // C99 and C11
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum",
    "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return",
    "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void",
    "volatile", "while",
    // C++
    "alignas", "alignof", "and", "and_eq", "asm", "bitand", "bitor", "bool", "catch", "char8_t", "char16_t",
    "char32_t", "class", "co_await", "co_return", "co_yield", "compl", "concept", "const_cast", "consteval",
    "constexpr", "constinit", "decltype", "delete", "dynamic_cast", "explicit", "export", "false", "final",
    "friend", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or",
    "or_eq", "override", "private", "protected", "public", "reinterpret_cast", "requires", "static_assert",
    "static_cast", "template", "this", "thread_local", "throw", "true", "try", "typeid", "typename",
    "using", "virtual", "wchar_t", "xor", "xor_eq",
    // macros and names of compilers, platforms and headers
    "abs", "acos", "arm", "asin", "assert", "atan", "atan2", "cbrt", "ceil", "cos", "cosh", "defined",
    "div", "drem", "erf", "erfc", "errno", "exp", "exp10", "exp2", "expm1", "fabs", "far", "fdim", "finite",
    "floor", "fma", "fmax", "fmin", "fmod", "frexp", "gamma", "hypot", "i386", "ilogb", "index", "infinity",
    "interrupt", "isinf", "isnan", "j0", "j1", "jn", "labs", "ldexp", "lgamma", "linux", "lldiv", "llrint",
    "llround", "log", "log10", "log1p", "log2", "logb", "lrint", "lround", "main", "max", "memchr",
    "memcmp", "memcpy", "memmove", "memset", "min", "modf", "nan", "near", "nearbyint", "nextafter",
    "offsetof", "pow", "rem", "remainder", "remquo", "rindex", "rint", "round", "scalbn", "signgam",
    "signbit", "sin", "sinh", "sqrt", "tan", "tanh", "tgamma", "trunc", "unix", "vax", "y0", "y1", "yn",
    // names of the generated code
    "arena", "ctx", "size", "print", "user", "uint8_t", "int8_t", "uint16_t", "int16_t", "uint32_t",
    "int32_t", "uint64_t", "int64_t", "size_t", "uintptr_t",
];

/// `name` as a C identifier: lower-case letters, digits and single underscores. `stand_in` is used where nothing is left of it,
/// and in front of a digit.
pub fn identifier(name: &str, stand_in: &str) -> String {
    let mut text = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => text.push(c),
            _ if text.is_empty() || text.ends_with('_') => {}
            _ => text.push('_'),
        }
    }
    text.truncate(LONGEST);
    let text = text.trim_end_matches('_');
    match text.chars().next() {
        None => stand_in.into(),
        Some(c) if c.is_ascii_digit() => format!("{stand_in}_{text}"),
        _ if is_reserved(text) => format!("{text}_"),
        _ => text.into(),
    }
}

/// Whether an identifier means something already: a word of the language or the library, or one of the small functions that
/// stand before the kernels, such as `max_f32`.
fn is_reserved(text: &str) -> bool {
    let typed =
        text.rsplit_once('_').is_some_and(|(_, suffix)| nablac_index::DType::from_name(suffix).is_some());
    typed || RESERVED.contains(&text)
}

/// The names that are taken in a place, and in the places around it.
#[derive(Clone, Debug, Default)]
pub struct Names {
    taken: Vec<String>,
}

impl Names {
    /// The identifier `wanted`, or that with a number behind it if it is taken.
    pub fn claim(&mut self, wanted: &str) -> String {
        let mut unique = wanted.to_string();
        let mut number = 1;
        while self.taken.contains(&unique) {
            number += 1;
            unique = format!("{}_{number}", wanted.trim_end_matches('_'));
        }
        self.taken.push(unique.clone());
        unique
    }

    /// How many are taken: what `release` goes back to.
    pub fn mark(&self) -> usize {
        self.taken.len()
    }

    /// Leaves a place: what was claimed since `mark` is free again.
    pub fn release(&mut self, mark: usize) {
        self.taken.truncate(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_safe() {
        let cases = [
            ("conv_1/Relu:0", "conv_1_relu_0"),
            ("__hidden__", "hidden"),
            ("11", "t_11"),
            ("", "t"),
            ("\u{4e2d}\u{6587}", "t"),
            ("float", "float_"),
            ("NAN", "nan_"),
            ("max_f32", "max_f32_"),
            ("a*/b\n#", "a_b"),
        ];
        for (name, expected) in cases {
            assert_eq!(identifier(name, "t"), expected, "{name}");
        }
        assert_eq!(identifier(&"x".repeat(99), "t").len(), LONGEST);
    }

    #[test]
    fn names_are_unique_until_released() {
        let mut names = Names::default();
        assert_eq!(names.claim("i"), "i");
        let mark = names.mark();
        assert_eq!(names.claim("i"), "i_2");
        assert_eq!(names.claim("for_"), "for_");
        names.release(mark);
        assert_eq!(names.claim("i"), "i_2");
    }
}
