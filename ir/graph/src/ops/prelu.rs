//! `y[…] = x[…]` where `x[…] ≥ 0`, else `slope[…] * x[…]`; the slope is stretched to the shape of `x`

use nablac_index::{Binary, Expr};
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Rectified linear unit with a trained slope on the negative side.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PRelu {}

impl Operation for PRelu {
    const NAME: &'static str = "prelu";
    const SPELLINGS: &'static [Spelling] = &[onnx("PRelu", 7), tflite("PRELU")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(PRelu {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let shapes = [definition.shape(definition.input(0)?), definition.shape(definition.input(1)?)];
        let stretched = broadcast::shape_of(&shapes).is_some_and(|shape| shape == shapes[0]);
        definition.require(stretched, || {
            format!("a slope of shape {:?} does not stretch to {:?}", shapes[1], shapes[0])
        })?;
        let dtype = definition.dtype(definition.input(0)?);
        broadcast::pair(definition, |x, slope| {
            let negative = x.clone().binary(Binary::Lt, Expr::literal(dtype, 0.0));
            negative.select(slope * x.clone(), x)
        })
    }
}
