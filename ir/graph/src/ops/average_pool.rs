//! ```text
//! sum[n, c, i, j] += x[n, c, s*i + d*u - p, s*j + d*v - p else 0]
//! rows[i] += 0 <= s*i + d*u - p < height, columns[j] += 0 <= s*j + d*v - p < width
//! y[n, c, i, j] = sum[n, c, i, j] / (rows[i] * columns[j])
//! ```
//! Where no window stands over an edge, `rows` and `columns` are the window's extents.
//!
//! TFLite's reference kernel averages the integers themselves, without their zero point, and rounds half away from zero:
//! `y = (sum + count / 2) / count` above zero, `(sum - count / 2) / count` below.

use nablac_index::{Binary, DType, Expr, Index, Reduce, TensorId, Value};
use serde::{Deserialize, Serialize};

use super::activation;
use super::pool::{Pool, Sweep};
use super::quantized;
use super::requantize::{fixed_rounding, integer, saturated};
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
        self.check(definition)?;
        let sum = self.pool.reduce(definition, &sweep, "sum", Reduce::Sum);
        let counts = self.all_counts(definition, &sweep);
        definition.emit(sweep.dtype, &sweep.space, &[], Reduce::Set, |at| {
            let sum = Expr::read(sum, at);
            counts.at(self, sweep.dtype, at).into_iter().fold(sum, |sum, count| sum / count)
        });
        Ok(())
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let fixed = definition.requantization().and_then(fixed_rounding).is_some();
        let Some(output) = definition.quantized_output(0).cloned().filter(|_| fixed) else {
            return quantized::derive(definition, &|definition| self.define(definition));
        };
        definition.require(definition.quantization(0) == Some(&output.quantization), || {
            "its input and output have different scales".into()
        })?;
        self.check(definition)?;
        let sweep = Sweep { dtype: DType::I32, ..self.pool.sweep(definition)? };
        let sum = definition.builder.emit("sum", DType::I32, &sweep.space, &sweep.over, Reduce::Sum, |at| {
            self.pool.seen(&sweep, at, Value::Int(0)).cast(DType::I32)
        });
        let counts = self.all_counts(definition, &sweep);
        definition.emit(output.dtype, &sweep.space, &[], Reduce::Set, |at| {
            let sum = Expr::read(sum, at);
            let count = counts.at(self, DType::I32, at).unwrap_or(integer(1));
            let half = count.clone() / integer(2);
            let above = sum.clone().binary(Binary::Gt, integer(0));
            let nearest = above.select(sum.clone() + half.clone(), sum - half) / count;
            saturated(nearest, output.dtype, 0)
        });
        Ok(())
    }
}

/// How many elements windows count: so many everywhere, times what tables say along some dimensions.
struct Counts {
    full: usize,
    tables: Vec<TensorId>,
    dimensions: Vec<usize>,
}

impl Counts {
    /// The product at a point of the output; nothing where it is one.
    fn at(&self, operator: &AveragePool, dtype: DType, at: &[Index]) -> Option<Expr> {
        let output = operator.pool.point(at).output;
        let partial = self.tables.iter().zip(&self.dimensions).map(|(&t, &d)| Expr::read(t, [output[d].clone()]));
        let full = Some(Expr::integer(dtype, self.full as i64)).filter(|_| self.full > 1);
        full.into_iter().chain(partial).reduce(|a, b| a * b)
    }
}

impl AveragePool {
    fn check(&self, definition: &Definition) -> Result<(), Error> {
        let window = &self.pool.window;
        for (d, &kernel) in self.pool.kernel.iter().enumerate() {
            let [before, after] = window.padding[d];
            definition.require(before.max(after) < window.reach(d, kernel), || {
                format!("a window of {kernel} elements padded by {before} and {after} may see no element")
            })?;
        }
        Ok(())
    }

    fn all_counts(&self, definition: &mut Definition, sweep: &Sweep) -> Counts {
        let mut counts = Counts { full: 1, tables: vec![], dimensions: vec![] };
        for d in 0..sweep.input.len() {
            match self.counts(definition, sweep, d) {
                None => counts.full *= self.pool.kernel[d],
                Some(table) => {
                    counts.tables.push(table);
                    counts.dimensions.push(d);
                }
            }
        }
        counts
    }

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
