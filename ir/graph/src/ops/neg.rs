//! `y[…] = -x[…]`

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Negation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Neg {}

impl Operation for Neg {
    const NAME: &'static str = "neg";
    const SPELLINGS: &'static [Spelling] = &[onnx("Neg", 6), tflite("NEG"), aten("neg.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Neg {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_number(|x| x.unary(Unary::Neg))
    }
}
