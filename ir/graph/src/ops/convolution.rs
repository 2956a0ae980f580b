//! What convolutions have in common: channels in groups, and the order of the loops.

use std::ops::Range;

use nablac_index::{Index, Reduce, TensorId};

use super::layout::Layout;
use super::window::space_loops;
use crate::error::Error;
use crate::operator::Definition;

/// A row of loops: name and extent.
type Row = Vec<(&'static str, usize)>;

/// Channels in groups: outputs `outputs*g + m` see inputs `inputs*g + c`. Loops over `g`, `m` and `c` need no division.
pub(super) struct Groups {
    /// How many groups.
    pub count: usize,
    /// Input channels of each group.
    pub inputs: usize,
    /// Output channels of each group.
    pub outputs: usize,
}

/// The channels at one point of the loops.
pub(super) struct Channels {
    pub output: Index,
    pub input: Index,
    /// Counted from the group's first.
    pub output_in_group: Index,
    /// Counted from the group's first.
    pub input_in_group: Index,
}

impl Groups {
    /// Checks that `inputs` and `outputs`, both in all groups together, are multiples of the number of groups.
    pub fn new(
        definition: &Definition,
        count: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Groups, Error> {
        let fits = count > 0 && inputs.is_multiple_of(count) && outputs.is_multiple_of(count);
        definition
            .require(fits, || format!("{inputs} input and {outputs} output channels in {count} groups"))?;
        Ok(Groups { count, inputs: inputs / count, outputs: outputs / count })
    }

    fn depthwise(&self) -> bool {
        self.count > 1 && self.inputs == 1 && self.outputs == 1
    }

    /// The loops over output channels, and those over the input channels that each of them sees.
    pub fn loops(&self) -> (Row, Row) {
        match self.count {
            1 => (vec![("f", self.outputs)], vec![("c", self.inputs)]),
            count if self.depthwise() => (vec![("c", count)], vec![]),
            count => (vec![("g", count), ("m", self.outputs)], vec![("c", self.inputs)]),
        }
    }

    /// The channels at a point of `loops`.
    pub fn channels(&self, outer: &[Index], inner: &[Index]) -> Channels {
        let (group, output_in_group, input_in_group) = match (outer, inner) {
            ([f], [c]) => (Index::constant(0), f.clone(), c.clone()),
            ([g, m], [c]) => (g.clone(), m.clone(), c.clone()),
            _ => (outer[0].clone(), Index::constant(0), Index::constant(0)),
        };
        Channels {
            output: self.output(outer),
            input: group * self.inputs as i64 + input_in_group.clone(),
            output_in_group,
            input_in_group,
        }
    }

    /// The output channel at a point of the loops over output channels.
    fn output(&self, outer: &[Index]) -> Index {
        match outer {
            [g, m] => g.clone() * self.outputs as i64 + m.clone(),
            _ => outer[0].clone(),
        }
    }
}

/// Loops put together from rows, each of which remembers where it stands.
pub(super) struct Loops {
    pub all: Row,
}

impl Loops {
    /// Loops over the batch, and nothing else yet.
    pub fn over_batch(extent: usize) -> Loops {
        Loops { all: vec![("n", extent)] }
    }

    /// Adds a row over channels and one over space, in the order of the layout; says where each stands.
    pub fn add(&mut self, layout: Layout, channels: Row, space: Row) -> (Range<usize>, Range<usize>) {
        match layout {
            Layout::ChannelsFirst => (self.push(channels), self.push(space)),
            Layout::ChannelsLast => {
                let space = self.push(space);
                (self.push(channels), space)
            }
        }
    }

    fn push(&mut self, row: Row) -> Range<usize> {
        let start = self.all.len();
        self.all.extend(row);
        start..self.all.len()
    }
}

/// `y[n, f, i, j, …] = bias[f]`, the value that a convolution starts from; without a bias sums start from zero anyway.
pub(super) fn start(
    definition: &mut Definition,
    layout: Layout,
    groups: &Groups,
    bias: Option<TensorId>,
    y: TensorId,
) -> Result<(), Error> {
    let Some(bias) = bias else { return Ok(()) };
    let features = groups.count * groups.outputs;
    let (own, dtype) = (definition.shape(bias), definition.dtype(bias));
    let fits = own == [features] && dtype == definition.dtype(y);
    definition.require(fits, || format!("a bias of {dtype}{own:?} for {features} channels"))?;
    let Some((batch, _, space)) = layout.split(&definition.shape(y)) else { return Ok(()) };
    let mut loops = Loops::over_batch(batch);
    let (outer, space) = loops.add(layout, groups.loops().0, space_loops(&space));
    definition.builder.write(y, Reduce::Set, &loops.all, |at| {
        let channel = groups.output(&at[outer]);
        let value = nablac_index::Expr::read(bias, [channel.clone()]);
        (layout.arrange(at[0].clone(), channel, &at[space]), value)
    });
    Ok(())
}
