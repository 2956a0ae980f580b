//! `y[…] = e^x[…]`
//!
//! TFLite has a table for 8-bit elements, and an interpolated one for 16 bits (`quantized/interpolation.rs`).

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use super::quantized::{self, Curve, FixedPoint};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Exponential function.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Exp {}

impl Operation for Exp {
    const NAME: &'static str = "exp";
    const SPELLINGS: &'static [Spelling] = &[onnx("Exp", 6), tflite("EXP"), aten("exp.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Exp {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_real(|x| x.unary(Unary::Exp))
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        match FixedPoint::<1>::of(definition)? {
            Some(fixed) if !fixed.inputs[0].is_narrow() => {
                Curve::map(definition, &fixed, &|x| x.unary(Unary::Exp))
            }
            _ => quantized::derive(definition, &|definition| self.define(definition)),
        }
    }
}
