//! `y[…] = √x[…]`; its reciprocal `1 / √x[…]` is a division by it

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use super::Div;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Square root.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sqrt {}

impl Operation for Sqrt {
    const NAME: &'static str = "sqrt";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Sqrt", 6), tflite("SQRT"), tflite("RSQRT"), aten("sqrt.default"), aten("rsqrt.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let root = node.same(Sqrt {})?;
        match node.operator() {
            "RSQRT" | "rsqrt.default" => {
                let one = node.add_scalar("one", node.dtype(root[0]), 1.0);
                Ok(vec![node.add(Div {}, &[one, root[0]])?])
            }
            _ => Ok(root),
        }
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_real(|x| x.unary(Unary::Sqrt))
    }
}
