//! `y[…] = ln x[…]`

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Natural logarithm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Log {}

impl Operation for Log {
    const NAME: &'static str = "log";
    const SPELLINGS: &'static [Spelling] = &[onnx("Log", 6), tflite("LOG"), aten("log.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Log {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_real(|x| x.unary(Unary::Log))
    }
}
