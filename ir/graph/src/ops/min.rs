//! `y[…] = min(a[…], b[…], …)`, broadcast; the first where one is not a number

use nablac_index::Expr;
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// The smallest of one or more tensors, element by element.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Min {}

impl Operation for Min {
    const NAME: &'static str = "min";
    const SPELLINGS: &'static [Spelling] = &[onnx("Min", 6), tflite("MINIMUM"), aten("minimum.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Min {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::reduce(definition, Expr::min)
    }
}
