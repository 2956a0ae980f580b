//! `y[…] = max(a[…], b[…], …)`, broadcast; the first where one is not a number

use nablac_index::Expr;
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// The largest of one or more tensors, element by element.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Max {}

impl Operation for Max {
    const NAME: &'static str = "max";
    const SPELLINGS: &'static [Spelling] = &[onnx("Max", 6), tflite("MAXIMUM"), aten("maximum.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Max {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::reduce(definition, Expr::max)
    }
}
