//! `y[…] = a[…]` where `condition[…]`, else `b[…]`; broadcast

use nablac_index::{DType, Expr};
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Choice between two tensors, element by element.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Where {}

impl Operation for Where {
    const NAME: &'static str = "where";
    const SPELLINGS: &'static [Spelling] = &[onnx("Where", 9), tflite("SELECT_V2"), aten("where.self")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Where {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let [condition, a, b] =
            [0, 1, 2].map(|position| definition.input(position).map(|input| definition.dtype(input)));
        let (condition, a, b) = (condition?, a?, b?);
        definition.require(condition == DType::Bool && a == b && definition.inputs().len() == 3, || {
            format!("{condition} chooses between {a} and {b}")
        })?;
        broadcast::mixed(definition, a, |operands| match <[Expr; 3]>::try_from(operands) {
            Ok([condition, a, b]) => condition.select(a, b),
            Err(_) => Expr::literal(a, 0.0), // the number of operands was checked
        })
    }
}
