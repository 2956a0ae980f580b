//! ```text
//! a[c] = scale[c] / sqrt(variance[c] + epsilon)
//! b[c] = bias[c] - mean[c] * a[c]
//! y[n, c, …] = x[n, c, …] * a[c] + b[c]
//! ```

use nablac_index::{Expr, Reduce, Unary, axes};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx};

/// Normalization of each channel by mean and variance known from training. The inputs are `x`, scale, bias, mean, variance.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BatchNormalization {
    /// Keeps the divisor away from zero.
    pub epsilon: f64,
    /// The dimension of the channels.
    pub axis: usize,
}

impl Operation for BatchNormalization {
    const NAME: &'static str = "batch_normalization";
    const SPELLINGS: &'static [Spelling] = &[onnx("BatchNormalization", 7)];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.int("training_mode", 0)? != 0 {
            return Err(node.unsupported("it is in training mode: export the model for inference"));
        }
        if node.int("spatial", 1)? == 0 {
            return Err(node.unsupported("statistics per element instead of per channel"));
        }
        let epsilon = node.float("epsilon", 1e-5)?;
        node.same(BatchNormalization { epsilon, axis: 1 })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (shape, dtype) = (definition.shape(x), definition.dtype(x));
        let channels = shape.get(self.axis).copied();
        let channels =
            channels.ok_or_else(|| definition.malformed(format!("no channels in shape {shape:?}")))?;
        definition.require(dtype.is_float(), || format!("an input of type {dtype}"))?;
        let mut parameters = vec![];
        for position in 1..5 {
            let parameter = definition.input(position)?;
            let (own, own_dtype) = (definition.shape(parameter), definition.dtype(parameter));
            definition.require(own == [channels] && own_dtype == dtype, || {
                format!("input {position} is {own_dtype}{own:?} for {channels} channels of {dtype}")
            })?;
            parameters.push(parameter);
        }
        let &[scale, bias, mean, variance] = &parameters[..] else { return Ok(()) };
        let each = [("c", channels)];
        let builder = &mut definition.builder;
        let a = builder.emit("scale", dtype, &each, &[], Reduce::Set, |c| {
            let spread = Expr::read(variance, c) + Expr::literal(dtype, self.epsilon);
            Expr::read(scale, c) / spread.unary(Unary::Sqrt)
        });
        let b = builder.emit("shift", dtype, &each, &[], Reduce::Set, |c| {
            Expr::read(bias, c) - Expr::read(mean, c) * Expr::read(a, c)
        });
        definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
            let c = [at[self.axis].clone()];
            Expr::read(x, at) * Expr::read(a, c.clone()) + Expr::read(b, c)
        });
        Ok(())
    }
}
