//! With `t` for the dimensions from `axis` on, which hold `count` elements:
//! ```text
//! sum[n] += x[n, t],  mean[n] = sum[n] / count
//! squares[n] += (x[n, t] - mean[n])^2,  inverse[n] = 1 / sqrt(squares[n] / count + epsilon)
//! y[n, t] = (x[n, t] - mean[n]) * inverse[n] * scale[t] + bias[t]
//! ```

use nablac_index::{DType, Expr, Index, Reduce, TensorId, Unary, axes};
use serde::{Deserialize, Serialize};

use super::broadcast;
use super::reduce::normal_axis;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx};

/// Normalization by mean and variance of the trailing dimensions. The inputs are `x`, scale, and a bias that may be left out;
/// the outputs are `y`, the mean, and the inverse of the standard deviation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerNormalization {
    /// The first dimension that is normalized over.
    pub axis: usize,
    /// Keeps the divisor away from zero.
    pub epsilon: f64,
}

impl Operation for LayerNormalization {
    const NAME: &'static str = "layer_normalization";
    const SPELLINGS: &'static [Spelling] = &[onnx("LayerNormalization", 17)];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let rank = node.shape(node.input(0)?).len();
        let axis = normal_axis(node, node.int("axis", -1)?, rank)?;
        let epsilon = node.float("epsilon", 1e-5)?;
        node.same(LayerNormalization { axis, epsilon })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (x, scale, bias) = (definition.input(0)?, definition.input(1)?, definition.optional(2));
        let (shape, dtype) = (definition.shape(x), definition.dtype(x));
        definition.require(self.axis < shape.len(), || format!("axis {} of shape {shape:?}", self.axis))?;
        definition.require(dtype.is_float(), || format!("an input of type {dtype}"))?;
        let weights = [Some(scale), bias].into_iter().flatten().map(|t| (t, definition.shape(t)));
        let weights: Vec<(TensorId, Vec<usize>)> = weights.collect();
        for (tensor, own) in &weights {
            let stretched = broadcast::shape_of(&[own.clone(), shape.clone()]);
            let fits = stretched.as_ref() == Some(&shape) && definition.dtype(*tensor) == dtype;
            definition.require(fits, || format!("weights of shape {own:?} for {dtype}{shape:?}"))?;
        }

        let rows = Rows { shape: &shape, axis: self.axis, dtype };
        let mean = rows.mean(definition, "mean", |at| Expr::read(x, at), |mean| mean);
        let deviation = |at: &[Index]| Expr::read(x, at) - Expr::read(mean, rows.row(at));
        let square = |at: &[Index]| deviation(at) * deviation(at);
        let inverse = rows.mean(definition, "inverse", square, |variance| {
            let spread = variance + Expr::literal(dtype, self.epsilon);
            Expr::literal(dtype, 1.0) / spread.unary(Unary::Sqrt)
        });
        definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
            let mut weights = weights.iter().map(|(tensor, own)| broadcast::read(*tensor, own, at));
            let normal = deviation(at) * Expr::read(inverse, rows.row(at));
            let scaled = weights.next().into_iter().fold(normal, |y, scale| y * scale);
            weights.fold(scaled, |y, bias| y + bias)
        });
        definition.output(mean);
        definition.output(inverse);
        Ok(())
    }
}

/// A tensor whose dimensions from `axis` on make up rows.
struct Rows<'a> {
    shape: &'a [usize],
    axis: usize,
    dtype: DType,
}

impl Rows<'_> {
    /// The place of a row's statistic, where the row's own dimensions are of extent 1.
    fn row(&self, at: &[Index]) -> Vec<Index> {
        let own = vec![Index::constant(0); self.shape.len() - self.axis];
        [at[..self.axis].to_vec(), own].concat()
    }

    /// `sum[n] += term[n, t]`, then `name[n, 0] = result(sum[n] / count)`.
    fn mean(
        &self,
        definition: &mut Definition,
        name: &str,
        term: impl FnOnce(&[Index]) -> Expr,
        result: impl FnOnce(Expr) -> Expr,
    ) -> TensorId {
        let loops = axes(self.shape);
        let (space, over) = loops.split_at(self.axis);
        let builder = &mut definition.builder;
        let sum = builder.emit(&format!("{name}.sum"), self.dtype, space, over, Reduce::Sum, term);
        let count: usize = over.iter().map(|l| l.1).product();
        let shape: Vec<usize> =
            self.shape.iter().enumerate().map(|(d, &n)| if d < self.axis { n } else { 1 }).collect();
        let out = builder.local(name, self.dtype, &shape);
        builder.write(out, Reduce::Set, space, |at| {
            (self.row(at), result(Expr::read(sum, at) / Expr::integer(self.dtype, count as i64)))
        });
        out
    }
}
