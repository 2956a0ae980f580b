//! `sum[n] += x[n, t]`, then `y[n] = sum[n] / count`

use nablac_index::Reduce;
use serde::{Deserialize, Serialize};

use super::reduce::Reduction;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Mean over some dimensions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReduceMean {
    /// Over which dimensions.
    #[serde(flatten)]
    pub reduction: Reduction,
}

impl Operation for ReduceMean {
    const NAME: &'static str = "reduce_mean";
    const SPELLINGS: &'static [Spelling] = &[onnx("ReduceMean", 1), tflite("MEAN")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        Reduction::import(node, |reduction| ReduceMean { reduction })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        self.reduction.define(definition, Reduce::Sum, Some(|sum, count| sum / count))
    }
}
