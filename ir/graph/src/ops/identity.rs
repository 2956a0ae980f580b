//! `y[…] = x[…]`
//!
//! TFLite's QUANTIZE, from integers to integers at another scale, is one too: it takes the quotient of the scales in double
//! precision.

use serde::{Deserialize, Serialize};

use super::quantized::{self, FixedPoint};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx};

/// The same tensor once more. A framework's node passes its operand through and makes no node of the graph; this one gives
/// an output a value of its own, where it would be an input or another output.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Identity {}

impl Operation for Identity {
    const NAME: &'static str = "identity";
    const SPELLINGS: &'static [Spelling] = &[
        onnx("Identity", 1),
        onnx("Dropout", 7),
        aten("alias.default"),
        aten("clone.default"),
        aten("detach.default"),
    ];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if let Some(training) = node.optional(2) {
            let training = node.constant_of(training)?;
            if training.to_i64() != [0] {
                return Err(node.unsupported("dropout in training mode: export the model for inference"));
            }
        }
        Ok(vec![node.input(0)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map(|x| x)
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let Some(fixed) = FixedPoint::<1>::of(definition)? else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        let scale = f64::from(fixed.inputs[0].scale) / f64::from(fixed.output.scale);
        fixed.map(definition, |x| fixed.product(x, scale))
    }
}
