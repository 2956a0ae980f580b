//! `y[…] = x[…]`, rounded to the nearest integer, half to even

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// The nearest integer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Round {}

impl Operation for Round {
    const NAME: &'static str = "round";
    const SPELLINGS: &'static [Spelling] = &[onnx("Round", 11), tflite("ROUND"), aten("round.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Round {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_real(|x| x.unary(Unary::Round))
    }
}
