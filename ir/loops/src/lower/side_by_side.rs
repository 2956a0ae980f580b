//! Registers of several sums: what they begin with, and what becomes of them.
//!
//! Owns the way from the initial values into such registers and from there to the last map and its stores. Where instructions do that to
//! all lanes, they do; everything else goes through memory, where each lane is an element: `put_down` is as large as the tile.

use nablac_index::{DType, Expr, Index, LoopId, TensorId, row_major_strides};

use super::dot;
use super::group::Group;
use super::nest::{Environment, Nest};
use super::probe::Probe;
use super::reduction::{Tile, wrap};
use crate::instruction::Library;
use crate::program::Statement;

/// Iterations of a loop that are the lanes of one register.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SideBySide {
    /// The statement's loop.
    pub l: usize,
    /// How many lanes there are.
    pub lanes: usize,
    /// Where registers are put down for what no instruction does to all of their lanes.
    pub put_down: TensorId,
}

/// The registers of one tile.
pub(super) struct Sums<'g, 'a> {
    pub group: &'g Group<'a>,
    pub side: &'g SideBySide,
    /// How many lanes hold a sum.
    pub filled: usize,
    /// The tile's loops.
    pub variables: Tile,
    /// The registers.
    pub sum: TensorId,
    /// Where the statement's loops are inside of the tile's loops, for the first lane.
    pub environment: Environment,
}

impl Sums<'_, '_> {
    /// One lane of a register, inside of the tile's loops.
    pub(super) fn at(&self, lane: LoopId) -> Vec<Index> {
        self.variables.iter().map(|(v, _)| *v).chain([lane]).map(Index::of_loop).collect()
    }

    /// Where a lane is in memory.
    fn in_memory(&self, lane: LoopId) -> Index {
        let extents: Vec<usize> = self.variables.iter().map(|(_, n)| *n).chain([self.side.lanes]).collect();
        let strides = row_major_strides(&extents);
        self.at(lane)
            .into_iter()
            .zip(strides)
            .fold(Index::default(), |sum, (index, stride)| sum + index * stride)
    }
}

impl<'a> Nest<'_, 'a> {
    /// Gives the registers their initial values.
    pub(super) fn begin(&mut self, s: &Sums<'_, 'a>) -> Vec<Statement> {
        let (lane, environment) = self.lane(s);
        let value = self.initial_value(s.group, &environment);
        if s.filled == s.side.lanes
            && let Some(lines) = self.lanes(lane, s.side.lanes, &dot::set(s.sum, s.at(lane), value.clone()))
        {
            return wrap(&s.variables, lines);
        }
        let (memory, at) = (s.side.put_down, s.in_memory(lane));
        let zero = Expr::literal(self.dtype(s), 0.0);
        let mut lines = vec![];
        for (first, last, value) in [(0, s.filled, value), (s.filled, s.side.lanes, zero)] {
            if first < last {
                let line = dot::set(memory, vec![at.clone()], value);
                lines.push(Self::serial(lane, first as i64, last as i64, 1, vec![line]));
            }
        }
        let load = dot::set(s.sum, s.at(lane), Expr::read(memory, vec![at]));
        lines.extend(self.lanes(lane, s.side.lanes, &load).unwrap_or_default());
        wrap(&s.variables, lines)
    }

    /// Stores what becomes of the sums.
    pub(super) fn end(&mut self, s: &Sums<'_, 'a>) -> Vec<Statement> {
        let (lane, environment) = self.lane(s);
        let sum = Expr::read(s.sum, s.at(lane));
        let store = self.last_store(s.group, &environment, sum.clone());
        if s.filled == s.side.lanes
            && let Some(lines) = self.lanes(lane, s.side.lanes, &store)
        {
            return wrap(&s.variables, lines);
        }
        let (memory, at) = (s.side.put_down, s.in_memory(lane));
        let mut lines =
            self.lanes(lane, s.side.lanes, &dot::set(memory, vec![at.clone()], sum)).unwrap_or_default();
        let store = self.last_store(s.group, &environment, Expr::read(memory, vec![at]));
        lines.push(Self::serial(lane, 0, s.filled as i64, 1, vec![store]));
        wrap(&s.variables, lines)
    }

    /// Stores what becomes of sums that have a register each, where neighbours along a tile's loop can go into the lanes of one, and
    /// instructions do the rest to all of them; `None` where they cannot. `l` is the statement's loop that is the tile's loop `place`.
    pub(super) fn end_together(
        &mut self,
        group: &Group<'a>,
        (tile, place, l): (&Tile, usize, usize),
        sums: TensorId,
        environment: &Environment,
    ) -> Option<Vec<Statement>> {
        let (variable, count) = tile[place];
        let dtype = self.lowering.program.dtype(group.main.out);
        let (lanes, gather) = gathering(self.lowering.library?, dtype, count)?;
        let before = self.kernel.registers.len();
        let together = self.vector("together", dtype, vec![lanes]);
        let lane = self.fresh("lane", (0, lanes as i64 - 1));
        let mut outer = tile.clone();
        let first = match count / lanes {
            1 => {
                outer.remove(place);
                Index::default()
            }
            registers => {
                outer[place].1 = registers;
                Index::of_loop(variable) * lanes as i64
            }
        };
        let put = |k: usize| {
            let mut at: Vec<Index> = tile.iter().map(|(v, _)| Index::of_loop(*v)).collect();
            at[place] = first.clone() + k as i64;
            dot::set(together, vec![Index::constant(k as i64)], Expr::read(sums, at))
        };
        let mut lines = vec![Statement::Use { instruction: gather, body: (0..lanes).map(put).collect() }];
        let mut environment = environment.clone();
        let own = environment[l].take()? - Index::of_loop(variable);
        environment[l] = Some(own + first.clone() + Index::of_loop(lane));
        let sum = Expr::read(together, vec![Index::of_loop(lane)]);
        let store = self.last_store(group, &environment, sum);
        let Some(stored) = self.lanes(lane, lanes, &store) else {
            self.kernel.registers.truncate(before);
            return None;
        };
        lines.extend(stored);
        Some(wrap(&outer, lines))
    }

    /// A variable for the lanes, and where the statement's loops are with it.
    pub(super) fn lane(&mut self, s: &Sums) -> (LoopId, Environment) {
        let lane = self.fresh("lane", (0, s.filled as i64 - 1));
        let mut environment = s.environment.clone();
        let first = environment[s.side.l].take().unwrap_or_default();
        environment[s.side.l] = Some(first + Index::of_loop(lane));
        (lane, environment)
    }

    fn dtype(&self, s: &Sums) -> DType {
        self.lowering.program.dtype(s.group.main.out)
    }
}

/// The most lanes that a whole number of registers with so many sums together have, and the instruction that puts single registers
/// into one's lanes.
fn gathering(library: &Library, dtype: DType, count: usize) -> Option<(usize, String)> {
    let mut widths: Vec<usize> =
        library.vectors.iter().filter(|v| v.dtype == dtype).map(|v| v.lanes).collect();
    widths.sort_unstable();
    widths.into_iter().rev().filter(|lanes| count.is_multiple_of(*lanes)).find_map(|lanes| {
        let mut probe = Probe::new(library);
        let to = probe.vector(dtype, lanes).0;
        let line = |k: usize| {
            let value = Expr::read(probe.scalar(dtype), vec![]);
            dot::set(to, vec![Index::default(), Index::constant(k as i64)], value)
        };
        let lines: Vec<Statement> = (0..lanes).map(line).collect();
        Some((lanes, probe.find_all(&lines)?))
    })
}

/// A loop's iterations in steps: first iteration, one past the last, and the step. What lies side by side fills registers as far as it
/// goes, and what does not fill one comes last.
pub(super) fn in_steps(size: usize, step: usize, lanes: usize) -> Vec<(usize, usize, usize)> {
    let step = step.min(size).max(1);
    let step = if step > lanes { step / lanes * lanes } else { step };
    let whole = size / step * step;
    let filled = whole + (size - whole) / lanes * lanes;
    let parts = [(0, whole, step), (whole, filled, filled - whole), (filled, size, size - filled)];
    parts.into_iter().filter(|(first, last, _)| first < last).collect()
}
