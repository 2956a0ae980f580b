//! What quantization has to know of each operator.
//!
//! Owns one table, by the names of ONNX: whether an operator multiplies weights, passes elements on, or computes new ones, and which
//! of its inputs hold data. An operator that is not listed stays in float.

/// What an operator does to elements.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Role {
    /// Sums products of data and weights.
    Linear,
    /// Computes elements that have a range of their own.
    Arithmetic,
    /// The same, and may be computed where its input is made: a bound.
    Bound,
    /// Passes elements on: what it reads and writes has one scale.
    View,
    /// Computes elements of a range that is known beforehand.
    Ranged(Known),
}

/// A range that the operator's definition gives.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Known {
    /// 0 to 1: steps of 1/256, the smallest integer is 0.
    Unit,
    /// -1 to 1: steps of 1/128, 0 is 0.
    Symmetric,
}

/// Which inputs hold data; the others hold bounds, shapes and the like.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Data {
    /// The first.
    First,
    /// All.
    All,
}

use Data::*;
use Role::*;

/// The operators that are computed with integers.
const TABLE: &[(&str, Role, Data)] = &[
    ("Conv", Linear, First),
    ("ConvTranspose", Linear, First),
    ("Gemm", Linear, First),
    ("MatMul", Linear, First),
    ("Relu", Bound, First),
    ("Clip", Bound, First),
    ("Add", Arithmetic, All),
    ("Sub", Arithmetic, All),
    ("Mul", Arithmetic, All),
    ("Max", Arithmetic, All),
    ("Min", Arithmetic, All),
    ("PRelu", Arithmetic, All),
    ("LeakyRelu", Arithmetic, First),
    ("Elu", Arithmetic, First),
    ("Gelu", Arithmetic, First),
    ("HardSwish", Arithmetic, First),
    ("Abs", Arithmetic, First),
    ("Neg", Arithmetic, First),
    ("Erf", Arithmetic, First),
    ("Exp", Arithmetic, First),
    ("Log", Arithmetic, First),
    ("Sqrt", Arithmetic, First),
    ("AveragePool", Arithmetic, First),
    ("GlobalAveragePool", Arithmetic, First),
    ("ReduceMean", Arithmetic, First),
    ("ReduceSum", Arithmetic, First),
    ("Sigmoid", Ranged(Known::Unit), First),
    ("HardSigmoid", Ranged(Known::Unit), First),
    ("Softmax", Ranged(Known::Unit), First),
    ("Tanh", Ranged(Known::Symmetric), First),
    ("MaxPool", View, First),
    ("GlobalMaxPool", View, First),
    ("ReduceMax", View, First),
    ("ReduceMin", View, First),
    ("Reshape", View, First),
    ("Flatten", View, First),
    ("Squeeze", View, First),
    ("Unsqueeze", View, First),
    ("Transpose", View, First),
    ("Identity", View, First),
    ("Dropout", View, First),
    ("Slice", View, First),
    ("Split", View, First),
    ("Gather", View, First),
    ("Expand", View, First),
    ("Tile", View, First),
    ("Pad", View, First),
    ("Concat", View, All),
];

/// The operators of a model that is quantized already.
pub const QUANTIZED: &[&str] = &[
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
];

/// The row of an operator.
pub fn role(operator: &str) -> Option<(Role, Data)> {
    TABLE.iter().find(|(name, ..)| *name == operator).map(|&(_, role, data)| (role, data))
}
