//! Scalar expressions: the body of a statement.
//!
//! Owns the grammar of what one point of a loop box computes, its element type, and the generic walks over it.
//! What an operation does to values is `arithmetic`.

use std::ops;

use crate::dtype::{DType, Value};
use crate::index::Index;
use crate::program::{LoopId, TensorId};

/// An expression over one point of a statement's loops.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// A number of a given type.
    Literal(DType, Value),
    /// An index as a value, of type `i64`.
    Index(Index),
    /// An element of a tensor.
    Read(Access),
    /// One operand.
    Unary(Unary, Box<Expr>),
    /// Two operands of one type.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `select(condition, then, otherwise)`; the condition is boolean.
    Select(Box<[Expr; 3]>),
    /// Conversion to a type; floats are truncated towards zero and saturate.
    Cast(DType, Box<Expr>),
    /// `a * b + c`, rounded once.
    MultiplyAdd(Box<[Expr; 3]>),
    /// An accumulator at another scale: `[value, multiplier, exponent]` is `value * multiplier * 2^exponent` as `i32`, where the
    /// multiplier is a fixed-point number below one. Differentiation sees the real product, not its steps.
    Requantize(Rounding, Box<[Expr; 3]>),
    /// A value through which no gradient flows.
    Stop(Box<Expr>),
}

/// `tensor[at]`, or `outside` where `at` leaves the tensor. Without an `outside` the index is always inside,
/// which the verifier proves.
#[derive(Clone, PartialEq, Debug)]
pub struct Access {
    /// What is read.
    pub tensor: TensorId,
    /// One index per dimension.
    pub at: Vec<Index>,
    /// The value beyond the edges, of the tensor's type.
    pub outside: Option<Value>,
}

macro_rules! operations { ($(#[$doc:meta])* $Enum:ident { $($Name:ident $text:literal $meaning:literal;)* }) => {
    $(#[$doc])*
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum $Enum { $(#[doc = $meaning] $Name),* }

    impl $Enum {
        /// Every operation, in the order of the declaration.
        pub const ALL: &[$Enum] = &[$($Enum::$Name),*];
        /// The name in the text form: a function's, or an infix sign.
        pub fn name(self) -> &'static str { match self { $($Enum::$Name => $text),* } }
        /// The operation with this name.
        pub fn from_name(name: &str) -> Option<$Enum> { $Enum::ALL.iter().copied().find(|o| o.name() == name) }
    }
} }

operations! {
    /// Operations of one operand. The result has the operand's type, except for `IsNan` (boolean).
    Unary {
        Neg   "neg"   "`-x`, wrapping for integers";
        Abs   "abs"   "`|x|`, wrapping for integers";
        Not   "not"   "logical for booleans, bitwise for integers";
        Exp   "exp"   "`e^x`";
        Log   "log"   "natural logarithm";
        Sqrt  "sqrt"  "square root, correctly rounded";
        Sin   "sin"   "sine";
        Cos   "cos"   "cosine";
        Tanh  "tanh"  "hyperbolic tangent";
        Erf   "erf"   "the error function";
        Floor "floor" "largest integer not above";
        Ceil  "ceil"  "smallest integer not below";
        Round "round" "nearest integer, half to even";
        RoundAway "round_away" "nearest integer, half away from zero";
        IsNan "isnan" "whether the value is not a number";
    }
}

operations! {
    /// Operations of two operands of one type. Comparisons give a boolean, all others the operands' type.
    Binary {
        Add "+"   "sum, wrapping for integers";
        Sub "-"   "difference, wrapping for integers";
        Mul "*"   "product, wrapping for integers";
        Div "/"   "quotient; integers round towards zero, and x / 0 is 0";
        Rem "%"   "remainder with the sign of the dividend, as `fmod`; x % 0 is 0 for integers";
        Pow "pow" "power";
        Min "min" "the smaller; the first where they compare equal or one is not a number";
        Max "max" "the larger; the first where they compare equal or one is not a number";
        Lt  "<"   "less";
        Le  "<="  "less or equal";
        Gt  ">"   "greater";
        Ge  ">="  "greater or equal";
        Eq  "=="  "equal";
        Ne  "!="  "not equal";
        And "and" "logical or bitwise conjunction";
        Or  "or"  "logical or bitwise disjunction";
        Xor "xor" "logical or bitwise exclusive disjunction";
        Shl "shl" "left shift; the amount is taken modulo the width";
        Shr "shr" "right shift, arithmetic for signed types; the amount is taken modulo the width";
        ShrRound "rshr" "right shift of a signed number to the nearest, half away from zero; the amount is taken modulo the width";
        MulHigh "mulhigh" "product of signed fixed-point numbers below one, to the nearest, half up; -1 * -1 saturates";
        HighWord "highword" "the upper 32 of the 64 bits of a product: `a * b / 2^32`, rounded down";
        HighWordRound "highword_round" "the same to the nearest, half up";
    }
}

operations! {
    /// How the product of a requantization becomes an integer. The multiplier has 31 fractional bits, and 15 for `Narrow`.
    Rounding {
        Double "requantize_double" "the product is rounded half up, then its right shift half away from zero, as gemmlowp and TFLite's reference kernels do";
        Single "requantize_single" "rounded once, half up";
        Away   "requantize_away"   "rounded once, half away from zero";
        Narrow "requantize_narrow" "of an `i64` by a 16-bit multiplier, rounded once, half up, as TFLite does behind 64-bit accumulators";
    }
}

impl Rounding {
    /// The type of the value that is requantized.
    pub fn value_dtype(self) -> DType {
        if self == Rounding::Narrow { DType::I64 } else { DType::I32 }
    }

    /// The fractional bits of the multiplier.
    pub fn fraction_bits(self) -> i64 {
        if self == Rounding::Narrow { 15 } else { 31 }
    }
}

impl Binary {
    /// Whether the result is boolean whatever the operands.
    pub fn is_comparison(self) -> bool {
        matches!(self, Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge | Binary::Eq | Binary::Ne)
    }
}

impl Expr {
    /// The number `x` as a literal of type `dtype`.
    pub fn literal(dtype: DType, x: f64) -> Expr {
        Expr::Literal(dtype, Value::from_f64(dtype, x))
    }

    /// The integer `x` as a literal of type `dtype`.
    pub fn integer(dtype: DType, x: i64) -> Expr {
        Expr::Literal(dtype, Value::from_i64(dtype, x))
    }

    /// An `f32` literal.
    pub fn f32(x: f32) -> Expr {
        Expr::Literal(DType::F32, Value::F32(x))
    }

    /// `tensor[at]`, always inside.
    pub fn read(tensor: TensorId, at: impl Into<Vec<Index>>) -> Expr {
        Expr::Read(Access { tensor, at: at.into(), outside: None })
    }

    /// `tensor[at]`, or `outside` beyond the edges.
    pub fn read_or(tensor: TensorId, at: impl Into<Vec<Index>>, outside: Value) -> Expr {
        Expr::Read(Access { tensor, at: at.into(), outside: Some(outside) })
    }

    /// Applies an operation of one operand.
    pub fn unary(self, operation: Unary) -> Expr {
        Expr::Unary(operation, Box::new(self))
    }

    /// Applies an operation of two operands.
    pub fn binary(self, operation: Binary, other: Expr) -> Expr {
        Expr::Binary(operation, Box::new(self), Box::new(other))
    }

    /// The smaller of two values.
    pub fn min(self, other: Expr) -> Expr {
        self.binary(Binary::Min, other)
    }

    /// The larger of two values.
    pub fn max(self, other: Expr) -> Expr {
        self.binary(Binary::Max, other)
    }

    /// `then` where `self` holds, else `otherwise`.
    pub fn select(self, then: Expr, otherwise: Expr) -> Expr {
        Expr::Select(Box::new([self, then, otherwise]))
    }

    /// `self * multiplier * 2^exponent` as `i32`; see `Expr::Requantize`.
    pub fn requantize(self, rounding: Rounding, multiplier: Expr, exponent: Expr) -> Expr {
        Expr::Requantize(rounding, Box::new([self, multiplier, exponent]))
    }

    /// Conversion to `dtype`; nothing when `self` is known to be of that type already.
    pub fn cast(self, dtype: DType) -> Expr {
        match &self {
            Expr::Literal(own, _) | Expr::Cast(own, _) if *own == dtype => self,
            _ => Expr::Cast(dtype, Box::new(self)),
        }
    }

    /// The element type, where `of` gives those of tensors; where operands disagree, the first operand's.
    pub fn dtype(&self, of: &dyn Fn(TensorId) -> DType) -> DType {
        match self {
            Expr::Literal(dtype, _) | Expr::Cast(dtype, _) => *dtype,
            Expr::Index(_) => DType::I64,
            Expr::Requantize(..) => DType::I32,
            Expr::Read(access) => of(access.tensor),
            Expr::Unary(Unary::IsNan, _) => DType::Bool,
            Expr::Binary(operation, ..) if operation.is_comparison() => DType::Bool,
            Expr::Unary(_, a) | Expr::Stop(a) | Expr::Binary(_, a, _) => a.dtype(of),
            Expr::Select(abc) => abc[1].dtype(of),
            Expr::MultiplyAdd(abc) => abc[0].dtype(of),
        }
    }

    /// The sub-expressions.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Literal(..) | Expr::Index(_) | Expr::Read(_) => vec![],
            Expr::Unary(_, a) | Expr::Cast(_, a) | Expr::Stop(a) => vec![a],
            Expr::Binary(_, a, b) => vec![a, b],
            Expr::Select(abc) | Expr::MultiplyAdd(abc) | Expr::Requantize(_, abc) => abc.iter().collect(),
        }
    }

    /// The same node over `f` of each sub-expression.
    pub fn map_children(&self, f: &mut dyn FnMut(&Expr) -> Expr) -> Expr {
        let three = |abc: &[Expr; 3], f: &mut dyn FnMut(&Expr) -> Expr| {
            Box::new([f(&abc[0]), f(&abc[1]), f(&abc[2])])
        };
        match self {
            Expr::Literal(..) | Expr::Index(_) | Expr::Read(_) => self.clone(),
            Expr::Unary(operation, a) => f(a).unary(*operation),
            Expr::Binary(operation, a, b) => {
                let a = f(a);
                a.binary(*operation, f(b))
            }
            Expr::Select(abc) => Expr::Select(three(abc, f)),
            Expr::MultiplyAdd(abc) => Expr::MultiplyAdd(three(abc, f)),
            Expr::Requantize(rounding, abc) => Expr::Requantize(*rounding, three(abc, f)),
            Expr::Cast(dtype, a) => Expr::Cast(*dtype, Box::new(f(a))),
            Expr::Stop(a) => Expr::Stop(Box::new(f(a))),
        }
    }

    /// Rebuilds the expression bottom-up: `f` is given each node with its children already rebuilt.
    pub fn rewrite(&self, f: &mut dyn FnMut(Expr) -> Expr) -> Expr {
        let rebuilt = self.map_children(&mut |child| child.rewrite(f));
        f(rebuilt)
    }

    /// Calls `f` with every node, outer ones first.
    pub fn visit(&self, f: &mut dyn FnMut(&Expr)) {
        f(self);
        self.children().into_iter().for_each(|child| child.visit(f));
    }

    /// Every tensor access, in the order of the text.
    pub fn accesses(&self) -> Vec<&Access> {
        let mut found = vec![];
        self.collect_accesses(&mut found);
        found
    }

    fn collect_accesses<'a>(&'a self, found: &mut Vec<&'a Access>) {
        if let Expr::Read(access) = self {
            found.push(access);
        }
        self.children().into_iter().for_each(|child| child.collect_accesses(found));
    }

    /// The same expression with every index `i` replaced by `of(i)`.
    pub fn map_indices(&self, of: &dyn Fn(&Index) -> Index) -> Expr {
        self.rewrite(&mut |node| match node {
            Expr::Index(index) => Expr::Index(of(&index)),
            Expr::Read(access) => Expr::Read(Access { at: access.at.iter().map(of).collect(), ..access }),
            other => other,
        })
    }

    /// Replaces every loop by `of(loop)`.
    pub fn substitute(&self, of: &dyn Fn(LoopId) -> Index) -> Expr {
        self.map_indices(&|index| index.substitute(of))
    }

    /// Every index that occurs: of reads, and as a value.
    pub fn indices(&self) -> Vec<&Index> {
        let mut found = vec![];
        self.collect_indices(&mut found);
        found
    }

    fn collect_indices<'a>(&'a self, found: &mut Vec<&'a Index>) {
        match self {
            Expr::Index(index) => found.push(index),
            Expr::Read(access) => found.extend(&access.at),
            _ => {}
        }
        self.children().into_iter().for_each(|child| child.collect_indices(found));
    }
}

impl From<Index> for Expr {
    fn from(index: Index) -> Expr {
        Expr::Index(index)
    }
}

macro_rules! infix { ($($Trait:ident $method:ident;)*) => { $(
    impl ops::$Trait for Expr {
        type Output = Expr;
        fn $method(self, other: Expr) -> Expr { self.binary(Binary::$Trait, other) }
    }
)* } }
infix! { Add add; Sub sub; Mul mul; Div div; Rem rem; }

impl ops::Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.unary(Unary::Neg)
    }
}
