//! `y[…] = tanh(x[…])`
//!
//! TFLite has a table for 8-bit elements, and an interpolated one for 16 bits (`quantized/interpolation.rs`).

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint, Sigmoidal};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Hyperbolic tangent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tanh {}

impl Operation for Tanh {
    const NAME: &'static str = "tanh";
    const SPELLINGS: &'static [Spelling] = &[onnx("Tanh", 1), tflite("TANH"), aten("tanh.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Tanh {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_real(|x| x.unary(Unary::Tanh))
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        match FixedPoint::<1>::of(definition)? {
            Some(fixed) if !fixed.inputs[0].is_narrow() => {
                quantized::sigmoid_curve(definition, &fixed, Sigmoidal::Tanh)
            }
            _ => quantized::derive(definition, &|definition| self.define(definition)),
        }
    }
}
