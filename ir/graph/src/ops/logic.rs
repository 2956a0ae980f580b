//! `y[…] = a[…] and b[…]`, broadcast, or another connective of booleans

use nablac_index::{Binary, DType};
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Which connective.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the meaning
pub enum Connective {
    And,
    Or,
    Xor,
}

/// Connection of two boolean tensors, element by element.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Logic {
    /// How they are connected.
    pub connective: Connective,
}

impl Operation for Logic {
    const NAME: &'static str = "logic";
    const SPELLINGS: &'static [Spelling] = &[
        onnx("And", 7),
        onnx("Or", 7),
        onnx("Xor", 7),
        tflite("LOGICAL_AND"),
        tflite("LOGICAL_OR"),
        aten("logical_and.default"),
        aten("logical_or.default"),
        aten("logical_xor.default"),
    ];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let connective = match node.operator() {
            "And" | "LOGICAL_AND" | "logical_and.default" => Connective::And,
            "Or" | "LOGICAL_OR" | "logical_or.default" => Connective::Or,
            _ => Connective::Xor,
        };
        node.same(Logic { connective })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let operation = match self.connective {
            Connective::And => Binary::And,
            Connective::Or => Binary::Or,
            Connective::Xor => Binary::Xor,
        };
        let dtype = definition.dtype(definition.input(0)?);
        definition.require(dtype == DType::Bool, || format!("its operands are {dtype}, not booleans"))?;
        broadcast::pair_to(definition, DType::Bool, |a, b| a.binary(operation, b))
    }
}
