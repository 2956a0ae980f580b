//! ```text
//! y[i, j] = beta * c[i, j]
//! y[i, j] += a[i, k] * b[k, j]
//! ```
//! `c` is broadcast. With an `alpha`, the product stands alone: `y[i, j] = alpha * product[i, j] + beta * c[i, j]`.

use nablac_index::{DType, Expr, Index, Reduce, TensorId};
use serde::{Deserialize, Serialize};

use super::broadcast;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx};

/// Product of two matrices, scaled, plus a scaled summand that may be left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Gemm {
    /// Scales the product.
    pub alpha: f64,
    /// Scales the summand.
    pub beta: f64,
    /// Whether the first matrix is `a[k, i]`.
    pub transpose_a: bool,
    /// Whether the second matrix is `b[j, k]`.
    pub transpose_b: bool,
}

impl Operation for Gemm {
    const NAME: &'static str = "gemm";
    const SPELLINGS: &'static [Spelling] = &[onnx("Gemm", 7)];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let gemm = Gemm {
            alpha: node.float("alpha", 1.0)?,
            beta: node.float("beta", 1.0)?,
            transpose_a: node.int("transA", 0)? != 0,
            transpose_b: node.int("transB", 0)? != 0,
        };
        node.same(gemm)
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (a, b) = (definition.input(0)?, definition.input(1)?);
        let c = definition.optional(2).filter(|_| self.beta != 0.0);
        let shapes = (definition.shape(a), definition.shape(b));
        let sizes = sizes(&shapes.0, self.transpose_a).zip(sizes(&shapes.1, self.transpose_b));
        let sizes = sizes.filter(|((_, k), (l, _))| k == l);
        let ((m, k), (_, n)) =
            sizes.ok_or_else(|| definition.malformed(format!("matrices of shape {shapes:?}")))?;
        let dtype = definition.dtype(a);
        definition.require(definition.dtype(b) == dtype, || "matrices of two types".into())?;
        self.check_scales(definition, dtype)?;
        let space = [("i", m), ("j", n)];
        let start = c.map(|c| self.summand(definition, c, dtype, &space)).transpose()?;

        let y = definition.builder.local("", dtype, &[m, n]);
        let product = match (self.alpha == 1.0, &start) {
            (true, Some(start)) => {
                definition.builder.write(y, Reduce::Set, &space, |at| (at.to_vec(), start(at)));
                y
            }
            (true, None) => y,
            (false, _) => definition.builder.local("product", dtype, &[m, n]),
        };
        definition.builder.write(product, Reduce::Sum, &[("i", m), ("j", n), ("k", k)], |at| {
            let element = |tensor, row: usize, column: usize, transposed| match transposed {
                false => Expr::read(tensor, [at[row].clone(), at[column].clone()]),
                true => Expr::read(tensor, [at[column].clone(), at[row].clone()]),
            };
            (at[..2].to_vec(), element(a, 0, 2, self.transpose_a) * element(b, 2, 1, self.transpose_b))
        });
        if self.alpha != 1.0 {
            definition.builder.write(y, Reduce::Set, &space, |at| {
                let scaled = scaled(Expr::read(product, at), self.alpha, dtype);
                (at.to_vec(), start.iter().fold(scaled, |sum, start| sum + start(at)))
            });
        }
        definition.output(y);
        Ok(())
    }
}

impl Gemm {
    fn check_scales(&self, definition: &Definition, dtype: DType) -> Result<(), Error> {
        let whole = self.alpha.fract() == 0.0 && self.beta.fract() == 0.0;
        match dtype.is_float() || whole {
            true => Ok(()),
            false => Err(definition.unsupported(format!("{dtype} scaled by {} and {}", self.alpha, self.beta))),
        }
    }

    /// `beta * c[i, j]` as a function of the position.
    fn summand(
        &self,
        definition: &Definition,
        c: TensorId,
        dtype: DType,
        space: &[(&str, usize); 2],
    ) -> Result<impl Fn(&[Index]) -> Expr + use<>, Error> {
        let own = definition.shape(c);
        let shape = vec![space[0].1, space[1].1];
        let fits = broadcast::shape_of(&[own.clone(), shape.clone()]) == Some(shape.clone());
        let same = definition.dtype(c) == dtype;
        definition.require(fits && same, || format!("a summand of shape {own:?} for {dtype}{shape:?}"))?;
        let beta = self.beta;
        Ok(move |at: &[Index]| scaled(broadcast::read(c, &own, at), beta, dtype))
    }
}

/// Rows and columns of a matrix, before it is transposed if it is given transposed.
fn sizes(shape: &[usize], transposed: bool) -> Option<(usize, usize)> {
    match (shape, transposed) {
        (&[rows, columns], false) | (&[columns, rows], true) => Some((rows, columns)),
        _ => None,
    }
}

fn scaled(x: Expr, scale: f64, dtype: DType) -> Expr {
    if scale == 1.0 { x } else { Expr::literal(dtype, scale) * x }
}
