//! `y[…] = a[…] < b[…]`, broadcast, or another comparison
//!
//! TFLite compares the steps of quantized operands, shifted up by eight bits and multiplied by their scales in fixed point.

use nablac_index::{Binary, DType, Expr};
use serde::{Deserialize, Serialize};

use super::broadcast;
use super::quantized::{self, Scaled};
use super::requantize::{Fixed, fixed_rounding, integer};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Which comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the meaning
pub enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Comparison of two tensors, element by element.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Compare {
    /// What holds where the result is true.
    pub relation: Relation,
}

/// The spellings, each with what it means.
const RELATIONS: &[(Spelling, Relation)] = &[
    (onnx("Equal", 7), Relation::Equal),
    (onnx("Less", 7), Relation::Less),
    (onnx("LessOrEqual", 12), Relation::LessEqual),
    (onnx("Greater", 7), Relation::Greater),
    (onnx("GreaterOrEqual", 12), Relation::GreaterEqual),
    (tflite("EQUAL"), Relation::Equal),
    (tflite("NOT_EQUAL"), Relation::NotEqual),
    (tflite("LESS"), Relation::Less),
    (tflite("LESS_EQUAL"), Relation::LessEqual),
    (tflite("GREATER"), Relation::Greater),
    (tflite("GREATER_EQUAL"), Relation::GreaterEqual),
    (aten("eq.Tensor"), Relation::Equal),
    (aten("ne.Tensor"), Relation::NotEqual),
    (aten("lt.Tensor"), Relation::Less),
    (aten("le.Tensor"), Relation::LessEqual),
    (aten("gt.Tensor"), Relation::Greater),
    (aten("ge.Tensor"), Relation::GreaterEqual),
];

impl Operation for Compare {
    const NAME: &'static str = "compare";
    const SPELLINGS: &'static [Spelling] = &{
        let mut spellings = [RELATIONS[0].0; RELATIONS.len()];
        let mut row = 0;
        while row < RELATIONS.len() {
            spellings[row] = RELATIONS[row].0;
            row += 1;
        }
        spellings
    };

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let (framework, name) = (node.framework(), node.operator());
        let row = RELATIONS.iter().find(|(s, _)| s.framework == framework && s.name == name);
        let relation = row.map(|row| row.1).ok_or_else(|| node.malformed("it is no comparison"))?;
        node.same(Compare { relation })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let operation = self.operation();
        let ordered = !matches!(self.relation, Relation::Equal | Relation::NotEqual);
        let dtype = definition.dtype(definition.input(0)?);
        definition.require(dtype != DType::Bool || !ordered, || "booleans have no order".into())?;
        broadcast::pair_to(definition, DType::Bool, |a, b| a.binary(operation, b))
    }
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(rounding) = definition.requantization().and_then(fixed_rounding) else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        let scaled = [Scaled::input(definition, 0)?, Scaled::input(definition, 1)?];
        if !scaled.iter().all(Scaled::is_narrow) {
            return Err(definition.unsupported("comparison of 16-bit values: keep them in float"));
        }
        let operation = self.operation();
        broadcast::mixed(definition, DType::Bool, |operands| {
            let reals = operands.into_iter().zip(&scaled).map(|(x, input)| {
                let steps = input.centred(x).binary(Binary::Shl, integer(8));
                Fixed::of(f64::from(input.scale)).apply(rounding, steps)
            });
            reals.reduce(|a, b| a.binary(operation, b)).unwrap_or(Expr::integer(DType::Bool, 0))
        })
    }
}

impl Compare {
    fn operation(&self) -> Binary {
        match self.relation {
            Relation::Equal => Binary::Eq,
            Relation::NotEqual => Binary::Ne,
            Relation::Less => Binary::Lt,
            Relation::LessEqual => Binary::Le,
            Relation::Greater => Binary::Gt,
            Relation::GreaterEqual => Binary::Ge,
        }
    }
}
