//! What passes its operand through: it is the same value, and no node is made.

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, aten, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[
    onnx("Identity", 1),
    onnx("Dropout", 7),
    aten("alias.default"),
    aten("clone.default"),
    aten("detach.default"),
];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    if let Some(training) = node.optional(2) {
        let training = node.constant_of(training)?;
        if training.to_i64() != [0] {
            return Err(node.unsupported("dropout in training mode: export the model for inference"));
        }
    }
    Ok(vec![node.input(0)?])
}
