//! ```text
//! sum[n, c] += x[n, c, i, j]
//! y[n, c, 0, 0] = sum[n, c] / (height * width)
//! ```

use nablac_index::{Expr, Index, Reduce};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::window::{check_rank, input_extents, space_loops};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx};

/// The mean of each channel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GlobalAveragePool {
    /// The order of the dimensions of `x` and `y`.
    pub layout: Layout,
}

impl Operation for GlobalAveragePool {
    const NAME: &'static str = "global_average_pool";
    const SPELLINGS: &'static [Spelling] = &[onnx("GlobalAveragePool", 1)];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(GlobalAveragePool { layout: Layout::ChannelsFirst })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let dtype = definition.dtype(x);
        let (batch, channels, space) = input_extents(definition, self.layout, &definition.shape(x))?;
        check_rank(definition, space.len())?;
        let loops = [("n", batch), ("c", channels)];
        let sum = definition.builder.emit("sum", dtype, &loops, &space_loops(&space), Reduce::Sum, |at| {
            Expr::read(x, self.layout.arrange(at[0].clone(), at[1].clone(), &at[2..]))
        });
        let y = definition.builder.local("", dtype, &self.layout.arrange(batch, channels, &vec![1; space.len()]));
        definition.builder.write(y, Reduce::Set, &loops, |at| {
            let mean = Expr::read(sum, at) / Expr::integer(dtype, space.iter().product::<usize>() as i64);
            (self.layout.arrange(at[0].clone(), at[1].clone(), &vec![Index::constant(0); space.len()]), mean)
        });
        definition.output(y);
        Ok(())
    }
}
