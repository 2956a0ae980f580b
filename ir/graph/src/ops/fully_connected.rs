//! ```text
//! y[b, o] = bias[o]
//! y[b, o] += x[b, i] * w[o, i]
//! ```
//! The leading dimensions of `x` together are `b`, its trailing dimensions together are `i`.

use nablac_index::{Expr, Index, Reduce, TensorId, axes, row_major_strides};
use serde::{Deserialize, Serialize};

use super::activation;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, tflite};
use crate::quantization::Requantization;

/// A dense layer. The inputs are `x`, the weights, and a bias that may be left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FullyConnected {
    /// Whether the leading dimensions of `x` stay apart in `y`.
    pub keep_dimensions: bool,
}

impl Operation for FullyConnected {
    const NAME: &'static str = "fully_connected";
    const SPELLINGS: &'static [Spelling] = &[tflite("FULLY_CONNECTED")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.int("weights_format", 0)? != 0 {
            return Err(node.unsupported("weights in shuffled order: convert the model without them"));
        }
        node.requantize_by(Requantization::F64);
        let keep_dimensions = node.int("keep_num_dims", 0)? != 0;
        let y = node.same(FullyConnected { keep_dimensions })?[0];
        Ok(vec![activation::fused(node, y)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (x, w, bias) = (definition.input(0)?, definition.input(1)?, definition.optional(2));
        let (shape, w_shape, dtype) = (definition.shape(x), definition.shape(w), definition.dtype(x));
        let &[features, inner] = &w_shape[..] else {
            return Err(definition.malformed(format!("weights of shape {w_shape:?}")));
        };
        definition.require(definition.dtype(w) == dtype, || "weights of another type than the input".into())?;
        // A trailing extent of one is the row's own.
        let lead = (0..shape.len()).rev().chain([shape.len()]).find(|&d| shape[d..].iter().product::<usize>() == inner);
        let lead = lead.filter(|&d| !self.keep_dimensions || d + 1 == shape.len()).ok_or_else(|| {
            definition.unsupported(format!(
                "weights of shape {w_shape:?} divide a dimension of the input's {shape:?}: reshape it before"
            ))
        })?;
        let batch = match self.keep_dimensions {
            true => shape[..lead].to_vec(),
            false => vec![shape[..lead].iter().product()],
        };
        let y = definition.builder.local("", dtype, &[batch.clone(), vec![features]].concat());
        start(definition, y, bias, features)?;
        // One row of loops over the leading dimensions, the features, and the trailing dimensions.
        let all = axes(&shape);
        let loops = [&all[..lead], &[("o", features)], &all[lead..]].concat();
        definition.builder.write(y, Reduce::Sum, &loops, |at| {
            let (outer, o, inner) = (&at[..lead], at[lead].clone(), &at[lead + 1..]);
            let read = Expr::read(x, [outer, inner].concat());
            let weight = Expr::read(w, [o.clone(), flat(inner, &shape[lead..])]);
            let row = if self.keep_dimensions { outer.to_vec() } else { vec![flat(outer, &shape[..lead])] };
            ([row, vec![o]].concat(), read * weight)
        });
        definition.output(y);
        Ok(())
    }
}

/// `y[…, o] = bias[o]`.
fn start(
    definition: &mut Definition,
    y: TensorId,
    bias: Option<TensorId>,
    features: usize,
) -> Result<(), Error> {
    let Some(bias) = bias else { return Ok(()) };
    let (own, dtype) = (definition.shape(bias), definition.dtype(bias));
    definition.require(own == [features] && dtype == definition.dtype(y), || {
        format!("a bias of {dtype}{own:?} for {features} features")
    })?;
    let shape = definition.shape(y);
    definition.builder.write(y, Reduce::Set, &axes(&shape), |at| {
        (at.to_vec(), Expr::read(bias, [at[at.len() - 1].clone()]))
    });
    Ok(())
}

/// The row-major position of `at` within `shape`.
fn flat(at: &[Index], shape: &[usize]) -> Index {
    at.iter().zip(row_major_strides(shape)).fold(Index::constant(0), |sum, (i, s)| sum + i.clone() * s)
}
