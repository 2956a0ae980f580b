//! `y[…] = (a[…] - b[…])²`, broadcast
//!
//! TFLite brings quantized operands to the larger one's scale first (`quantized/addition.rs`).

use serde::{Deserialize, Serialize};

use super::broadcast;
use super::quantized::{self, Combination};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, tflite};

/// The square of the difference of two tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SquaredDifference {}

impl Operation for SquaredDifference {
    const NAME: &'static str = "squared_difference";
    const SPELLINGS: &'static [Spelling] = &[tflite("SQUARED_DIFFERENCE")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(SquaredDifference {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::pair(definition, |a, b| (a.clone() - b.clone()) * (a - b))
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let law = |definition: &mut Definition| self.define(definition);
        quantized::addition(definition, &law, Combination::SquaredDifference)
    }
}
