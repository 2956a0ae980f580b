//! ```text
//! y[n, c, i, j] max= x[n, c, s*i + d*u - p, s*j + d*v - p else -inf]
//! ```

use nablac_index::{DType, Expr, Index, Reduce, TensorId, row_major_strides};
use serde::{Deserialize, Serialize};

use super::activation;
use super::pool::{Pool, Sweep};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// The largest value in a sliding window, and where it stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MaxPool {
    /// The window.
    #[serde(flatten)]
    pub pool: Pool,
    /// Whether there is a second output, and what it counts.
    pub indices: Indices,
}

/// The second output: the position of the largest value in `x` as one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Indices {
    /// There is none.
    None,
    /// The last dimension of space counts fastest.
    RowMajor,
    /// The first dimension of space counts fastest.
    ColumnMajor,
}

impl Operation for MaxPool {
    const NAME: &'static str = "max_pool";
    const SPELLINGS: &'static [Spelling] = &[onnx("MaxPool", 1), tflite("MAX_POOL_2D")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let indices = match (node.has_output(1), node.int("storage_order", 0)?) {
            (false, _) => Indices::None,
            (true, 0) => Indices::RowMajor,
            (true, 1) => Indices::ColumnMajor,
            (true, other) => return Err(node.malformed(format!("storage_order is {other}"))),
        };
        let pool = Pool::import(node)?;
        let mut outputs = node.same(MaxPool { pool, indices })?;
        outputs[0] = activation::fused(node, outputs[0])?;
        Ok(outputs)
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let sweep = self.pool.sweep(definition)?;
        definition.require(sweep.dtype != DType::Bool, || "booleans have no largest value".into())?;
        let y = self.pool.reduce(definition, &sweep, "", Reduce::Max);
        definition.output(y);
        let shape = definition.shape(sweep.x);
        let strides = match self.indices {
            Indices::None => return Ok(()),
            Indices::RowMajor => row_major_strides(&sweep.input),
            Indices::ColumnMajor => {
                let reversed: Vec<usize> = sweep.input.iter().rev().copied().collect();
                row_major_strides(&reversed).into_iter().rev().collect()
            }
        };
        self.define_indices(definition, &sweep, shape, &strides);
        Ok(())
    }
}

impl MaxPool {
    /// `best[n, c, i, j] argmax= x[…]` within the window, then that offset as a position in `x`.
    fn define_indices(&self, definition: &mut Definition, sweep: &Sweep, shape: Vec<usize>, strides: &[i64]) {
        let pool = &self.pool;
        let builder = &mut definition.builder;
        let outside = Reduce::Max.identity(sweep.dtype).unwrap_or(nablac_index::Value::Int(0));
        let best: TensorId =
            builder.emit("best", DType::I64, &sweep.space, &sweep.over, Reduce::ArgMax, |at| {
                pool.seen(sweep, at, outside)
            });
        let planes = row_major_strides(&shape);
        let indices = builder.emit("indices", DType::I64, &sweep.space, &[], Reduce::Set, |at| {
            let point = pool.point(at);
            let offset = Index::of_read(best, at.to_vec());
            let within = row_major_strides(&pool.kernel);
            let mut position = point.batch * planes[0] + point.channel * planes[1];
            for (d, i) in point.output.iter().enumerate() {
                let u = offset.clone() / within[d] % pool.kernel[d] as i64;
                position = position + pool.window.position(d, i, &u) * strides[d];
            }
            Expr::Index(position)
        });
        definition.output(indices);
    }
}
