//! `y[…] = 1 / (1 + e^(-x[…]))`
//!
//! TFLite has a table for 8-bit elements, and an interpolated one for 16 bits (`quantized/interpolation.rs`).

use nablac_index::{Expr, Unary};
use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint, Sigmoidal};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Logistic function. Where the exponential overflows, the quotient is the right limit, 0.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sigmoid {}

impl Operation for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Sigmoid", 6), tflite("LOGISTIC"), aten("sigmoid.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Sigmoid {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let dtype = definition.dtype(definition.input(0)?);
        let one = || Expr::literal(dtype, 1.0);
        definition.map_real(|x| one() / (one() + (-x).unary(Unary::Exp)))
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        match FixedPoint::<1>::of(definition)? {
            Some(fixed) if !fixed.inputs[0].is_narrow() => {
                quantized::sigmoid_curve(definition, &fixed, Sigmoidal::Sigmoid)
            }
            _ => quantized::derive(definition, &|definition| self.define(definition)),
        }
    }
}
