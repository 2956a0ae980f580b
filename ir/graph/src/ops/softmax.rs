//! Over the dimensions `t` that the probabilities are of, the others being `n`:
//! ```text
//! largest[n] max= x[n, t]
//! exponential[n, t] = exp(beta * (x[n, t] - stop(largest[n])))
//! sum[n] += exponential[n, t]
//! y[n, t] = exponential[n, t] / sum[n]
//! ```
//! Subtracting the largest value changes nothing but overflow, so that no gradient flows through it. TFLite's form for integers is
//! `quantized/softmax.rs`.

use nablac_index::{Expr, Reduce, Unary, axes};
use serde::{Deserialize, Serialize};

use super::quantized;
use super::reduce::{Split, normal_axis};
use super::requantize::fixed_rounding;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};
use crate::source::Framework;

/// Probabilities in proportion to exponentials.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Softmax {
    /// The dimensions over which probabilities sum to one.
    pub axes: Vec<usize>,
    /// Scales the logits.
    pub beta: f64,
}

impl Operation for Softmax {
    const NAME: &'static str = "softmax";
    const SPELLINGS: &'static [Spelling] = &[onnx("Softmax", 1), tflite("SOFTMAX")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let rank = node.shape(node.input(0)?).len();
        let (axes, beta) = match (node.framework(), node.version()) {
            (Framework::Tflite, _) => {
                (vec![normal_axis(node, -1, rank)?], node.float("beta", 1.0)?)
            }
            // Until operator set 12 the input is seen as a matrix, whose rows are the dimensions from `axis` on.
            (_, ..13) => ((normal_axis(node, node.int("axis", 1)?, rank)?..rank).collect(), 1.0),
            _ => (vec![normal_axis(node, node.int("axis", -1)?, rank)?], 1.0),
        };
        node.same(Softmax { axes, beta })
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        match definition.requantization().and_then(fixed_rounding) {
            Some(_) => quantized::softmax(definition, &self.axes, self.beta),
            None => quantized::derive(definition, &|definition| self.define(definition)),
        }
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (shape, dtype) = (definition.shape(x), definition.dtype(x));
        definition.require(dtype.is_float(), || format!("an input of type {dtype}"))?;
        let split = Split::new(definition, &shape, &self.axes)?;
        let builder = &mut definition.builder;
        let largest = split.emit(builder, "largest", dtype, Reduce::Max, |at| Expr::read(x, at));
        let exponential = builder.map("exponential", dtype, &shape, |at| {
            let below = Expr::read(x, at) - Expr::Stop(Box::new(Expr::read(largest, split.kept(at))));
            let scaled = if self.beta == 1.0 { below } else { Expr::literal(dtype, self.beta) * below };
            scaled.unary(Unary::Exp)
        });
        let sum = split.emit(builder, "sum", dtype, Reduce::Sum, |at| Expr::read(exponential, at));
        definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
            Expr::read(exponential, at) / Expr::read(sum, split.kept(at))
        });
        Ok(())
    }
}
