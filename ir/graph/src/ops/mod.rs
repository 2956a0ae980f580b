//! The operators, one file each. Adding one: write `NAME.rs`, add one line to the list.

use crate::error::Error;
use crate::operator::{Definition, Entry, Operation, operators};

mod activation;
mod broadcast;

operators! {
    add::Add,
    clip::Clip,
    relu::Relu,
    tanh::Tanh,
}
