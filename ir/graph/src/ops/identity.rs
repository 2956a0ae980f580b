//! `y[…] = x[…]`

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx};

/// The same tensor once more. A framework's node passes its operand through and makes no node of the graph; this one gives
/// an output a value of its own, where it would be an input or another output.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Identity {}

impl Operation for Identity {
    const NAME: &'static str = "identity";
    const SPELLINGS: &'static [Spelling] = &[
        onnx("Identity", 1),
        onnx("Dropout", 7),
        aten("alias.default"),
        aten("clone.default"),
        aten("detach.default"),
    ];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if let Some(training) = node.optional(2) {
            let training = node.constant_of(training)?;
            if training.to_i64() != [0] {
                return Err(node.unsupported("dropout in training mode: export the model for inference"));
            }
        }
        Ok(vec![node.input(0)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map(|x| x)
    }
}
