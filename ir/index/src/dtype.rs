//! Element types and single values.
//!
//! Owns the list of types and what one value of each is. How values combine is `arithmetic`.

use std::fmt;

macro_rules! dtypes { ($($Name:ident $text:literal $bytes:literal $kind:ident;)*) => {
    /// The type of a tensor's elements.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    pub enum DType { $(#[doc = $text] $Name),* }

    impl DType {
        /// Every element type, in the order of the declaration.
        pub const ALL: &[DType] = &[$(DType::$Name),*];
        /// The name in the text form, such as `f32`.
        pub fn name(self) -> &'static str { match self { $(DType::$Name => $text),* } }
        /// The size of one element in bytes.
        pub fn bytes(self) -> usize { match self { $(DType::$Name => $bytes),* } }
        /// Boolean, signed, unsigned or floating.
        pub fn kind(self) -> Kind { match self { $(DType::$Name => Kind::$kind),* } }
    }
} }

/// The family of an element type; arithmetic differs by family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `false` or `true`, stored in one byte.
    Bool,
    /// Two's complement.
    Signed,
    /// Wraps modulo a power of two.
    Unsigned,
    /// IEEE 754 binary32 or binary64.
    Float,
}

dtypes! {
    Bool "bool" 1 Bool;
    I4   "i4"   1 Signed;
    I8   "i8"   1 Signed;
    U8   "u8"   1 Unsigned;
    I16  "i16"  2 Signed;
    U16  "u16"  2 Unsigned;
    I32  "i32"  4 Signed;
    U32  "u32"  4 Unsigned;
    I64  "i64"  8 Signed;
    U64  "u64"  8 Unsigned;
    F32  "f32"  4 Float;
    F64  "f64"  8 Float;
}

impl DType {
    /// Whether a constant of this type is stored with two elements to a byte. Its elements are only read and cast; an `Array` holds
    /// each in a byte of its own.
    pub fn is_packed(self) -> bool {
        self == DType::I4
    }

    /// The type with this name, if there is one.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.iter().copied().find(|t| t.name() == name)
    }

    /// Whether values are IEEE 754 numbers.
    pub fn is_float(self) -> bool {
        self.kind() == Kind::Float
    }

    /// Whether values are integers (a boolean is not).
    pub fn is_integer(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One value. Its exact type stands beside it, in the tensor or the expression that holds it:
/// `Int` carries booleans (0 or 1) and every integer type, an unsigned 64-bit value as its bit pattern.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// A boolean or an integer.
    Int(i64),
}

/// Bitwise, so that a program with a NaN in it is equal to itself.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::F32(a), Value::F32(b)) => a.to_bits() == b.to_bits(),
            (Value::F64(a), Value::F64(b)) => a.to_bits() == b.to_bits(),
            (Value::Int(a), Value::Int(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    /// The number `x` as a value of type `dtype`: rounded for floats, truncated and wrapped for integers.
    pub fn from_f64(dtype: DType, x: f64) -> Value {
        match dtype {
            DType::F32 => Value::F32(x as f32),
            DType::F64 => Value::F64(x),
            _ => Value::Int(wrap(dtype, x as i64)),
        }
    }

    /// The integer `x` as a value of type `dtype`.
    pub fn from_i64(dtype: DType, x: i64) -> Value {
        match dtype {
            DType::F32 => Value::F32(x as f32),
            DType::F64 => Value::F64(x as f64),
            _ => Value::Int(wrap(dtype, x)),
        }
    }

    /// The value as `f64`; exact except for 64-bit integers beyond 2^53.
    pub fn as_f64(self) -> f64 {
        match self {
            Value::F32(x) => x as f64,
            Value::F64(x) => x,
            Value::Int(x) => x as f64,
        }
    }

    /// The value as an integer; floats are truncated towards zero and saturate.
    pub fn as_i64(self) -> i64 {
        match self {
            Value::F32(x) => x as i64,
            Value::F64(x) => x as i64,
            Value::Int(x) => x,
        }
    }
}

/// `x` reduced to the range of an integer type, as its registers would.
pub fn wrap(dtype: DType, x: i64) -> i64 {
    match dtype {
        DType::Bool => (x != 0) as i64,
        DType::I4 => x << 60 >> 60,
        DType::I8 => x as i8 as i64,
        DType::U8 => x as u8 as i64,
        DType::I16 => x as i16 as i64,
        DType::U16 => x as u16 as i64,
        DType::I32 => x as i32 as i64,
        DType::U32 => x as u32 as i64,
        _ => x,
    }
}
