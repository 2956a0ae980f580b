//! ```text
//! y[n, c, 0, 0] max= x[n, c, i, j]
//! ```

use nablac_index::{Expr, Index, Reduce};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::window::{check_rank, input_extents, space_loops};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx};

/// The largest value of each channel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GlobalMaxPool {
    /// The order of the dimensions of `x` and `y`.
    pub layout: Layout,
}

impl Operation for GlobalMaxPool {
    const NAME: &'static str = "global_max_pool";
    const SPELLINGS: &'static [Spelling] = &[onnx("GlobalMaxPool", 1)];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(GlobalMaxPool { layout: Layout::ChannelsFirst })
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (batch, channels, space) = input_extents(definition, self.layout, &definition.shape(x))?;
        check_rank(definition, space.len())?;
        let shape = self.layout.arrange(batch, channels, &vec![1; space.len()]);
        let y = definition.builder.local("", definition.dtype(x), &shape);
        let loops = [vec![("n", batch), ("c", channels)], space_loops(&space)].concat();
        definition.builder.write(y, Reduce::Max, &loops, |at| {
            let place = |space: &[Index]| self.layout.arrange(at[0].clone(), at[1].clone(), space);
            (place(&vec![Index::constant(0); space.len()]), Expr::read(x, place(&at[2..])))
        });
        definition.output(y);
        Ok(())
    }
}
