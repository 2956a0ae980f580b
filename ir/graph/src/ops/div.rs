//! `y[…] = a[…] / b[…]`, broadcast; integers round towards zero

use serde::{Deserialize, Serialize};

use super::{activation, broadcast};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Quotient of two tensors, element by element; a reciprocal is the quotient of 1.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Div {}

impl Operation for Div {
    const NAME: &'static str = "div";
    const SPELLINGS: &'static [Spelling] = &[
        onnx("Div", 7),
        onnx("Reciprocal", 6),
        tflite("DIV"),
        aten("div.Tensor"),
        aten("reciprocal.default"),
    ];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let a = node.input(0)?;
        let y = match node.operator() {
            "Reciprocal" | "reciprocal.default" => {
                let one = node.add_scalar("one", node.dtype(a), 1.0);
                node.add(Div {}, &[one, a])?
            }
            "div.Tensor" if !node.dtype(a).is_float() => {
                return Err(node.unsupported("PyTorch divides integers as floats: convert them first"));
            }
            _ => node.same(Div {})?[0],
        };
        Ok(vec![activation::fused(node, y)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        broadcast::pair(definition, |a, b| a / b)
    }
}
