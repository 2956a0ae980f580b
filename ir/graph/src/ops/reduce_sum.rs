//! `y[n] += x[n, t]`

use nablac_index::Reduce;
use serde::{Deserialize, Serialize};

use super::reduce::Reduction;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Sum over some dimensions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReduceSum {
    /// Over which dimensions.
    #[serde(flatten)]
    pub reduction: Reduction,
}

impl Operation for ReduceSum {
    const NAME: &'static str = "reduce_sum";
    const SPELLINGS: &'static [Spelling] = &[onnx("ReduceSum", 1), tflite("SUM")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        Reduction::import(node, |reduction| ReduceSum { reduction })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        self.reduction.define(definition, Reduce::Sum, None)
    }
}
