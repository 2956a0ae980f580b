//! ```text
//! sum[n, c, i, j] += x[n, c, s*i + d*u - p, s*j + d*v - p else 0]
//! rows[i] += 0 <= s*i + d*u - p < height, columns[j] += 0 <= s*j + d*v - p < width
//! y[n, c, i, j] = sum[n, c, i, j] / (rows[i] * columns[j])
//! ```
//! Where no window stands over an edge, `rows` and `columns` are the window's extents.

use nablac_index::{Binary, DType, Expr, Index, Reduce, TensorId};
use serde::{Deserialize, Serialize};

use super::activation;
use super::pool::{Pool, Sweep};
use super::window::{space_loops, window_loops};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// The mean of a sliding window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AveragePool {
    /// The window.
    #[serde(flatten)]
    pub pool: Pool,
    /// Whether padding counts as elements that are zero. What `ceil_mode` adds behind it never counts.
    pub count_padding: bool,
}

impl Operation for AveragePool {
    const NAME: &'static str = "average_pool";
    const SPELLINGS: &'static [Spelling] = &[onnx("AveragePool", 7), tflite("AVERAGE_POOL_2D")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let count_padding = node.int("count_include_pad", 0)? != 0;
        let pool = Pool::import(node)?;
        let y = node.same(AveragePool { pool, count_padding })?[0];
        Ok(vec![activation::fused(node, y)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let sweep = self.pool.sweep(definition)?;
        definition.require(sweep.dtype != DType::Bool, || "booleans have no mean".into())?;
        let window = &self.pool.window;
        for (d, &kernel) in self.pool.kernel.iter().enumerate() {
            let [before, after] = window.padding[d];
            definition.require(before.max(after) < window.reach(d, kernel), || {
                format!("a window of {kernel} elements padded by {before} and {after} may see no element")
            })?;
        }
        let sum = self.pool.reduce(definition, &sweep, "sum", Reduce::Sum);
        let counts: Vec<Option<TensorId>> =
            (0..sweep.input.len()).map(|d| self.counts(definition, &sweep, d)).collect();
        let full: usize =
            self.pool.kernel.iter().zip(&counts).filter(|(_, c)| c.is_none()).map(|(k, _)| k).product();
        definition.emit(sweep.dtype, &sweep.space, &[], Reduce::Set, |at| {
            let output = self.pool.point(at).output;
            let partial = counts.iter().zip(output).filter_map(|(c, i)| c.map(|c| Expr::read(c, [i])));
            let full = Some(Expr::integer(sweep.dtype, full as i64)).filter(|_| full > 1);
            let count = full.into_iter().chain(partial).reduce(|a, b| a * b);
            let sum = Expr::read(sum, at);
            count.into_iter().fold(sum, |sum, count| sum / count)
        });
        Ok(())
    }
}

impl AveragePool {
    /// How many elements the window counts along dimension `d`, per output position; `None` if that is always all.
    fn counts(&self, definition: &mut Definition, sweep: &Sweep, d: usize) -> Option<TensorId> {
        let (window, kernel, output) = (&self.pool.window, self.pool.kernel[d], sweep.output[d]);
        let (low, high) = match self.count_padding {
            true => (-(window.padding[d][0] as i64), (sweep.input[d] + window.padding[d][1]) as i64),
            false => (0, sweep.input[d] as i64),
        };
        if window.within(d, kernel, output, low, high) {
            return None;
        }
        let (space, over) = (space_loops(&sweep.output), window_loops(&self.pool.kernel));
        let (space, over) = (&space[d..=d], &over[d..=d]);
        let inside = |position: Index| {
            let bound = |bound| Expr::integer(DType::I64, bound);
            let above = Expr::Index(position.clone()).binary(Binary::Ge, bound(low));
            above.binary(Binary::And, Expr::Index(position).binary(Binary::Lt, bound(high)))
        };
        let name = format!("count_{}", space[0].0);
        let counts = definition.builder.emit(&name, sweep.dtype, space, over, Reduce::Sum, |at| {
            inside(window.position(d, &at[0], &at[1])).cast(sweep.dtype)
        });
        Some(counts)
    }
}
