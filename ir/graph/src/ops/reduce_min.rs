//! `y[n] min= x[n, t]`

use nablac_index::Reduce;
use serde::{Deserialize, Serialize};

use super::reduce::Reduction;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Smallest value over some dimensions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReduceMin {
    /// Over which dimensions.
    #[serde(flatten)]
    pub reduction: Reduction,
}

impl Operation for ReduceMin {
    const NAME: &'static str = "reduce_min";
    const SPELLINGS: &'static [Spelling] = &[onnx("ReduceMin", 1), tflite("REDUCE_MIN")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        Reduction::import(node, |reduction| ReduceMin { reduction })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        self.reduction.define(definition, Reduce::Min)
    }
}
