//! The operators, one file each. Adding one: write `NAME.rs`, add one line to the list.

use crate::error::Error;
use crate::operator::{Definition, Entry, Operation, compositions, operators};

mod activation;
pub mod attribute;
mod broadcast;
mod repetition;

operators! {
    abs::Abs,
    add::Add,
    cast::Cast,
    clip::Clip,
    compare::Compare,
    concat::Concat,
    div::Div,
    elu::Elu,
    erf::Erf,
    exp::Exp,
    expand::Expand,
    fill::Fill,
    gather::Gather,
    gelu::Gelu,
    hard_sigmoid::HardSigmoid,
    hard_swish::HardSwish,
    identity::Identity,
    if_::If,
    leaky_relu::LeakyRelu,
    log::Log,
    logic::Logic,
    loop_::Loop,
    max::Max,
    min::Min,
    mul::Mul,
    neg::Neg,
    not::Not,
    pad::Pad,
    pow::Pow,
    prelu::PRelu,
    relu::Relu,
    reshape::Reshape,
    scan::Scan,
    sigmoid::Sigmoid,
    slice::Slice,
    sqrt::Sqrt,
    sub::Sub,
    tanh::Tanh,
    tile::Tile,
    transpose::Transpose,
    where_::Where,
}

compositions! {
    constant,
    flatten,
    pack,
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
