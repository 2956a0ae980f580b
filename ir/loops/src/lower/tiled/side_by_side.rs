//! Registers of several sums: what they begin with, and what becomes of them.
//!
//! Owns the way from the initial values into such registers and from there to the last map and its stores. Where instructions do that to
//! all lanes, they do; everything else goes through memory, where each lane is an element: `put_down` is as large as the tile.

use nablac_index::{Expr, Index, LoopId, TensorId};

use super::super::dot;
use super::super::lanes;
use super::super::nest::{Environment, Nest};
use super::super::reduction::{Tile, wrap};
use super::{Place, Tiled};
use crate::flatten::flatten;
use crate::program::Statement;

/// The registers of one tile.
pub(super) struct Sums<'l, 'g, 'a> {
    pub t: Tiled<'g, 'a>,
    pub place: &'l Place,
    /// The tile's loops.
    pub variables: Tile,
    /// The registers, and which of them is meant inside of the tile's loops.
    pub sum: TensorId,
    pub at: Vec<Index>,
    /// Where the statement's loops are there, for the first lane.
    pub environment: Environment,
}

impl Sums<'_, '_, '_> {
    /// The lanes, and how many of them hold a sum.
    fn lanes(&self) -> (usize, usize) {
        let count = self.t.contraction.dot.sums;
        let own = self.t.contraction.side_by_side.as_ref().map_or(count, |side| self.place.sizes[side.l]);
        (count, own.min(count))
    }
}

impl<'a> Nest<'_, 'a> {
    /// Gives the registers their initial values.
    pub(super) fn begin(&mut self, s: &Sums<'_, '_, 'a>) -> Vec<Statement> {
        let (count, filled) = s.lanes();
        let (lane, environment) = self.lane(s);
        let value = self.initial_value(s.t.group, &environment);
        let of_register: Vec<Index> = s.at.iter().cloned().chain([Index::of_loop(lane)]).collect();
        let store = dot::set(s.sum, of_register.clone(), value.clone());
        if let Some(lines) = (filled == count).then(|| lanes::lines(self, lane, count, &store)).flatten() {
            return wrap(&s.variables, lines);
        }
        let Some((memory, at)) = self.put_down(s, lane) else { return vec![] };
        let zero = Expr::literal(s.t.contraction.dot.sum(), 0.0);
        let mut lines = vec![];
        for (first, last, value) in [(0, filled, value), (filled, count, zero)] {
            if first < last {
                let line = dot::set(memory, vec![at.clone()], value);
                lines.push(Self::serial(lane, first as i64, last as i64, 1, vec![line]));
            }
        }
        let load = dot::set(s.sum, of_register, Expr::read(memory, vec![at]));
        lines.extend(lanes::lines(self, lane, count, &load).unwrap_or_default());
        wrap(&s.variables, lines)
    }

    /// Stores what becomes of the sums.
    pub(super) fn end(&mut self, s: &Sums<'_, '_, 'a>) -> Vec<Statement> {
        let (count, filled) = s.lanes();
        let (lane, environment) = self.lane(s);
        let of_register: Vec<Index> = s.at.iter().cloned().chain([Index::of_loop(lane)]).collect();
        let sum = Expr::read(s.sum, of_register);
        let store = self.last_store(s.t.group, &environment, sum.clone());
        if let Some(lines) = (filled == count).then(|| lanes::lines(self, lane, count, &store)).flatten() {
            return wrap(&s.variables, lines);
        }
        let Some((memory, at)) = self.put_down(s, lane) else { return vec![] };
        let down = dot::set(memory, vec![at.clone()], sum);
        let mut lines = lanes::lines(self, lane, count, &down).unwrap_or_default();
        let store = self.last_store(s.t.group, &environment, Expr::read(memory, vec![at]));
        lines.push(Self::serial(lane, 0, filled as i64, 1, vec![store]));
        wrap(&s.variables, lines)
    }

    /// A variable for the lanes, and where the statement's loops are with it.
    fn lane(&mut self, s: &Sums) -> (LoopId, Environment) {
        let (count, filled) = s.lanes();
        let lane = self.fresh("lane", (0, filled.min(count) as i64 - 1));
        let mut environment = s.environment.clone();
        if let Some(side) = &s.t.contraction.side_by_side {
            let first = environment[side.l].take().unwrap_or_default();
            environment[side.l] = Some(first + Index::of_loop(lane));
        }
        (lane, environment)
    }

    /// Where a lane is in memory.
    fn put_down(&self, s: &Sums, lane: LoopId) -> Option<(TensorId, Index)> {
        let (count, _) = s.lanes();
        let extents: Vec<usize> = s.variables.iter().map(|(_, n)| *n).collect();
        let register = flatten(&s.at, &extents, &self.ranges);
        let memory = s.t.contraction.side_by_side.as_ref()?.put_down;
        Some((memory, register * count as i64 + Index::of_loop(lane)))
    }
}
