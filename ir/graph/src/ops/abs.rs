//! `y[…] = |x[…]|`
//!
//! TFLite multiplies the magnitude of a quantized element's steps by `scale_x / scale_y` in single precision.

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Magnitude.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Abs {}

impl Operation for Abs {
    const NAME: &'static str = "abs";
    const SPELLINGS: &'static [Spelling] = &[onnx("Abs", 6), tflite("ABS"), aten("abs.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Abs {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_number(|x| x.unary(Unary::Abs))
    }
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(fixed) = FixedPoint::<1>::of(definition)? else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        let scale = f64::from(fixed.inputs[0].scale / fixed.output.scale);
        fixed.map(definition, |x| fixed.product(x.unary(Unary::Abs), scale))
    }
}
