//! The operators, one file each. Adding one: write `NAME.rs`, add one line to the list.

use crate::error::Error;
use crate::operator::{Definition, Entry, Operation, operators};

mod activation;
mod broadcast;
mod convolution;
mod layout;
mod pool;
mod reduce;
mod window;

pub use layout::{FilterLayout, Layout};
pub use max_pool::Indices;
pub use pool::Pool;
pub use reduce::Reduction;
pub use window::Window;

operators! {
    add::Add,
    average_pool::AveragePool,
    batch_normalization::BatchNormalization,
    clip::Clip,
    conv::Conv,
    conv_transpose::ConvTranspose,
    fully_connected::FullyConnected,
    gemm::Gemm,
    global_average_pool::GlobalAveragePool,
    global_max_pool::GlobalMaxPool,
    layer_normalization::LayerNormalization,
    mat_mul::MatMul,
    max_pool::MaxPool,
    reduce_max::ReduceMax,
    reduce_mean::ReduceMean,
    reduce_min::ReduceMin,
    reduce_sum::ReduceSum,
    relu::Relu,
    softmax::Softmax,
    tanh::Tanh,
}
