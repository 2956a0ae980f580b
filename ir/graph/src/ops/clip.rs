//! `y[…] = min(max(x[…], low), high)`

use nablac_index::{DType, Expr};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Limits values to a range. The bounds are the second and third inputs, each optional and of one element.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Clip {}

impl Operation for Clip {
    const NAME: &'static str = "clip";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("Clip", 6), tflite("RELU6"), tflite("RELU_N1_TO_1"), aten("clamp.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let (low, high) = match node.operator() {
            "RELU6" => (0.0, 6.0),
            "RELU_N1_TO_1" => (-1.0, 1.0),
            // Until operator set 10 the bounds are attributes; an absent one is the largest finite float.
            _ if node.has("min") || node.has("max") => {
                (node.float("min", f64::from(f32::MIN))?, node.float("max", f64::from(f32::MAX))?)
            }
            _ => return node.same(Clip {}),
        };
        clip(node, x, low, high).map(|y| vec![y])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let bounds = [definition.optional(1), definition.optional(2)];
        for bound in bounds.into_iter().flatten() {
            let (dtype, shape) = (definition.dtype(bound), definition.shape(bound));
            let single = shape.iter().all(|&n| n == 1) && dtype == definition.dtype(definition.input(0)?);
            definition.require(single, || format!("a bound {dtype}{shape:?} is not one value of its type"))?;
        }
        let bound = |t| Expr::read(t, vec![0.into(); definition.shape(t).len()]);
        let [low, high] = bounds.map(|b| b.map(bound));
        definition.map_number(|x| {
            let x = low.into_iter().fold(x, Expr::max);
            high.into_iter().fold(x, Expr::min)
        })
    }
}

/// Adds a node that limits `x` to `low..=high`.
pub(super) fn clip(node: &mut Reader, x: ValueId, low: f64, high: f64) -> Result<ValueId, Error> {
    let dtype = if node.is_quantized() { DType::F32 } else { node.dtype(x) };
    let [low, high] = [("low", low), ("high", high)].map(|(name, bound)| node.add_scalar(name, dtype, bound));
    node.add(Clip {}, &[x, low, high])
}
