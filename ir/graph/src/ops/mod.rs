//! The operators, one file each. Adding one: write `NAME.rs`, add one line to the list.

use crate::error::Error;
use crate::operator::{Definition, Entry, Operation, compositions, operators};

pub(crate) use dequantize::dequantize;
pub use layout::{FilterLayout, Layout};
pub use max_pool::Indices;
pub use pool::Pool;
pub use reduce::Reduction;
pub use window::Window;

mod activation;
pub mod attribute;
mod broadcast;
mod convolution;
mod layout;
mod linear_quantization;
mod pool;
pub(crate) mod quantized;
mod reduce;
mod repetition;
mod requantize;
mod window;

operators! {
    abs::Abs,
    add::Add,
    arg_max::ArgMax,
    average_pool::AveragePool,
    batch_normalization::BatchNormalization,
    cast::Cast,
    clip::Clip,
    compare::Compare,
    concat::Concat,
    conv::Conv,
    conv_transpose::ConvTranspose,
    dequantize::Dequantize,
    div::Div,
    elu::Elu,
    erf::Erf,
    exp::Exp,
    expand::Expand,
    fill::Fill,
    fully_connected::FullyConnected,
    gather::Gather,
    gelu::Gelu,
    gemm::Gemm,
    global_average_pool::GlobalAveragePool,
    global_max_pool::GlobalMaxPool,
    hard_sigmoid::HardSigmoid,
    hard_swish::HardSwish,
    identity::Identity,
    if_::If,
    layer_normalization::LayerNormalization,
    leaky_relu::LeakyRelu,
    log::Log,
    logic::Logic,
    loop_::Loop,
    lstm::Lstm,
    mat_mul::MatMul,
    max::Max,
    max_pool::MaxPool,
    min::Min,
    mul::Mul,
    neg::Neg,
    not::Not,
    pad::Pad,
    pow::Pow,
    prelu::PRelu,
    quantize::Quantize,
    reduce_max::ReduceMax,
    reduce_mean::ReduceMean,
    reduce_min::ReduceMin,
    reduce_sum::ReduceSum,
    relu::Relu,
    reshape::Reshape,
    resize::Resize,
    round::Round,
    scan::Scan,
    sigmoid::Sigmoid,
    slice::Slice,
    softmax::Softmax,
    sqrt::Sqrt,
    squared_difference::SquaredDifference,
    sub::Sub,
    svdf::Svdf,
    tanh::Tanh,
    tile::Tile,
    transpose::Transpose,
    where_::Where,
}

compositions! {
    constant,
    conv_integer,
    dynamic_quantize_linear,
    flatten,
    mat_mul_integer,
    pack,
    q_gemm,
    qlinear,
    qlinear_conv,
    qlinear_mat_mul,
    range,
    shape,
    split,
    squeeze,
    strided_slice,
    unpack,
    unsqueeze,
}

/// The entries of all operators and compositions: every spelling that an import understands.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().chain(COMPOSITIONS)
}
