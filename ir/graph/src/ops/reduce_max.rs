//! `y[n] max= x[n, t]`

use nablac_index::{DType, Reduce};
use serde::{Deserialize, Serialize};

use super::reduce::Reduction;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Largest value over some dimensions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReduceMax {
    /// Over which dimensions.
    #[serde(flatten)]
    pub reduction: Reduction,
}

impl Operation for ReduceMax {
    const NAME: &'static str = "reduce_max";
    const SPELLINGS: &'static [Spelling] = &[onnx("ReduceMax", 1), tflite("REDUCE_MAX")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        Reduction::import(node, |reduction| ReduceMax { reduction })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        // The larger of two booleans is true where either is.
        let boolean = definition.dtype(definition.input(0)?) == DType::Bool;
        self.reduction.define(definition, if boolean { Reduce::Or } else { Reduce::Max })
    }
}
