//! A reduction into registers.
//!
//! Owns the shape `space loops { initial values; reduced loops { tile of terms }; last map and stores }`. Tiles are unrolled loops
//! over small register arrays. Where a tiled loop moves a read over an edge, it is cut into an untiled border, whose reduced
//! loops get bounds, and a tiled interior, which needs none.

use nablac_index::{Access, Expr, Index, LoopId, Reduce, Statement as Law, TensorId};

use super::edges;
use super::group::{self, Group};
use super::nest::{Environment, Nest};
use super::schedule::Schedule;
use super::side_by_side::{Sums, in_steps};
use super::{dot, lanes};
use crate::program::{For, Kind, Statement};

/// A register tile: its variables with their extents, outermost first.
pub(super) type Tile = Vec<(LoopId, usize)>;

/// A reduction on its way into registers.
struct Reduction<'g, 'a> {
    group: &'g Group<'a>,
    schedule: Schedule,
    /// One variable per loop, and one per tiled loop's place in the tile.
    variables: Vec<LoopId>,
    tile_variables: Vec<Option<LoopId>>,
}

/// Where terms go.
struct Terms<'t> {
    sum: TensorId,
    at: Vec<Index>,
    tile: &'t Tile,
    /// The variable of the lanes, and how many there are.
    lane: Option<(LoopId, usize)>,
}

/// What the loops around a place have settled.
#[derive(Clone)]
struct Inside {
    environment: Environment,
    tile: Tile,
    /// Whether registers have as many sums as they have lanes.
    side_by_side: bool,
}

impl<'a> Nest<'_, 'a> {
    pub(super) fn reduction(&mut self, group: &Group<'a>) -> Vec<Statement> {
        let law = group.main;
        let schedule =
            self.lowering.chosen.plain.get(&self.lowering.position(law)).cloned().unwrap_or_default();
        let variables = law.loops.iter().map(|l| self.loop_variable(l)).collect();
        let tile_variables = (0..law.loops.len())
            .map(|l| {
                let tile = schedule.space.iter().find(|(s, _)| *s == l).map_or(1, |(_, tile)| *tile);
                (tile > 1).then(|| self.variable(&format!("{}t", law.loops[l].name), (0, tile as i64 - 1)))
            })
            .collect();
        self.lowering.begun.push(law.out);
        let reduction = Reduction { group, schedule, variables, tile_variables };
        let environment = vec![None; law.loops.len()];
        self.space(&reduction, 0, Inside { environment, tile: vec![], side_by_side: false })
    }

    fn interior(&self, law: &Law, l: usize) -> (i64, i64) {
        edges::interior_of(self.lowering.program, &self.lowering.counters, law, l)
    }

    /// The space loops from `level` on.
    fn space(&mut self, r: &Reduction<'_, 'a>, level: usize, inside: Inside) -> Vec<Statement> {
        let Some(&(l, size)) = r.schedule.space.get(level) else { return self.point(r, inside) };
        let extent = r.group.main.loops[l].extent;
        let lanes = r.schedule.vector.as_ref().filter(|side| side.l == l).map(|side| side.lanes);
        if size <= 1 {
            return self.each(r, level, inside, (0, extent as i64));
        }
        let (begin, end) = if lanes.is_some() { (0, extent as i64) } else { self.interior(r.group.main, l) };
        let (begin, end) = (begin.min(extent as i64), end.min(extent as i64));
        let mut statements = self.each(r, level, inside.clone(), (0, begin));
        for (first, last, part) in in_steps((end - begin).max(0) as usize, size, lanes.unwrap_or(1)) {
            let (first, last) = (begin + first as i64, begin + last as i64);
            statements.extend(self.tiled_space(r, level, &inside, (first, last, part), lanes));
        }
        statements.extend(self.each(r, level, inside, (end, extent as i64)));
        statements
    }

    /// A space loop in steps of a tile.
    fn tiled_space(
        &mut self,
        r: &Reduction<'_, 'a>,
        level: usize,
        inside: &Inside,
        (first, last, size): (i64, i64, usize),
        lanes: Option<usize>,
    ) -> Vec<Statement> {
        let (l, variable) = (r.schedule.space[level].0, r.variables[r.schedule.space[level].0]);
        // Points of the tile, each with so many iterations.
        let lanes = lanes.filter(|lanes| size.is_multiple_of(*lanes));
        let each = lanes.unwrap_or(1);
        let points = size / each;
        let looped = last - first > size as i64;
        self.ranges[variable.0 as usize] = (first, last - size as i64);
        let base = if looped { Index::of_loop(variable) } else { Index::constant(first) };
        let mut inner = inside.clone();
        inner.side_by_side |= lanes.is_some();
        inner.environment[l] = Some(match r.tile_variables[l] {
            Some(place) if points > 1 => {
                self.ranges[place.0 as usize] = (0, points as i64 - 1);
                inner.tile.push((place, points));
                base + Index::of_loop(place) * each as i64
            }
            _ => base,
        });
        let body = self.space(r, level + 1, inner);
        match looped {
            true => vec![Self::serial(variable, first, last, size, body)],
            false => body,
        }
    }

    /// A space loop without a tile, over `begin..end`.
    fn each(
        &mut self,
        r: &Reduction<'_, 'a>,
        level: usize,
        mut inside: Inside,
        (begin, end): (i64, i64),
    ) -> Vec<Statement> {
        let l = r.schedule.space[level].0;
        if begin >= end {
            return vec![];
        }
        let variable = r.variables[l];
        self.ranges[variable.0 as usize] = (begin, end - 1);
        let single = end - begin == 1;
        inside.environment[l] = Some(if single { Index::constant(begin) } else { Index::of_loop(variable) });
        let body = self.space(r, level + 1, inside);
        if single { body } else { vec![Self::serial(variable, begin, end, 1, body)] }
    }

    /// One tile: initial values, terms, last map and stores.
    fn point(&mut self, r: &Reduction<'_, 'a>, inside: Inside) -> Vec<Statement> {
        let law = r.group.main;
        let dtype = self.lowering.program.dtype(law.out);
        let Inside { environment, tile, .. } = &inside;
        let extents = tile.iter().map(|(_, n)| *n);
        if let Some(side) = r.schedule.vector.as_ref().filter(|_| inside.side_by_side) {
            let sum = self.vector("acc", dtype, extents.chain([side.lanes]).collect());
            let (variables, environment) = (tile.clone(), environment.clone());
            let sums = Sums { group: r.group, side, filled: side.lanes, variables, sum, environment };
            let (lane, with_lane) = self.lane(&sums);
            let terms = Terms { sum, at: sums.at(lane), tile, lane: Some((lane, side.lanes)) };
            let mut statements = self.begin(&sums);
            return match self.reduced(r, 0, with_lane, &mut vec![], &terms) {
                Some(terms) => {
                    statements.extend(terms);
                    statements.extend(self.end(&sums));
                    statements
                }
                None => self.lane_by_lane(r, inside),
            };
        }
        let sum = self.register("acc", dtype, extents.collect());
        let at: Vec<Index> = tile.iter().map(|(v, _)| Index::of_loop(*v)).collect();
        let value = self.initial_value(r.group, environment);
        let mut statements = wrap(tile, vec![dot::set(sum, at.clone(), value)]);
        let terms = Terms { sum, at: at.clone(), tile, lane: None };
        statements.extend(self.reduced(r, 0, environment.clone(), &mut vec![], &terms).unwrap_or_default());
        statements.extend(wrap(tile, vec![self.last_store(r.group, environment, Expr::read(sum, at))]));
        statements
    }

    /// A tile whose lanes have no instructions: one after the other.
    fn lane_by_lane(&mut self, r: &Reduction<'_, 'a>, mut inside: Inside) -> Vec<Statement> {
        let Some(side) = &r.schedule.vector else { return vec![] };
        let lane = self.fresh("lane", (0, side.lanes as i64 - 1));
        let first = inside.environment[side.l].take().unwrap_or_default();
        inside.environment[side.l] = Some(first + Index::of_loop(lane));
        inside.side_by_side = false;
        let body = self.point(r, inside);
        vec![Self::serial(lane, 0, side.lanes as i64, 1, body)]
    }

    /// What a sum begins with, at a point of the main statement's loops.
    pub(super) fn initial_value(&self, group: &Group, environment: &Environment) -> Expr {
        let law = group.main;
        let dtype = self.lowering.program.dtype(law.out);
        match group.initial {
            Some(initial) => {
                let own = self.environment_of(initial, &initial.at, law, environment);
                self.expression(&initial.body, &own, &[])
            }
            None => Expr::Literal(dtype, law.reduce.identity(dtype).unwrap_or(nablac_index::Value::Int(0))),
        }
    }

    /// Stores what becomes of a sum, at a point of the main statement's loops.
    pub(super) fn last_store(&self, group: &Group, environment: &Environment, sum: Expr) -> Statement {
        let law = group.main;
        let store = |target, at, value| Statement::Store { target, at, reduce: Reduce::Set, value };
        let Some(map) = group.last else {
            return store(law.out, law.at.iter().map(|i| self.index(i, environment)).collect(), sum);
        };
        let through = map.accesses().into_iter().find(|a| a.tensor == law.out).map(|a| a.at.clone());
        let own = self.environment_of(map, &through.unwrap_or_default(), law, environment);
        let value = map.body.rewrite(&mut |node| match node {
            Expr::Read(access) if access.tensor == law.out => sum.clone(),
            other => self.moved(other, &own),
        });
        store(map.out, map.at.iter().map(|i| self.index(i, &own)).collect(), value)
    }

    /// One node of another statement's expression, in the kernel's variables.
    fn moved(&self, node: Expr, environment: &Environment) -> Expr {
        match node {
            Expr::Read(_) | Expr::Index(_) => self.expression(&node, environment, &[]),
            other => other,
        }
    }

    /// The loops of a statement of the group that touches the main statement's tensor at `at`.
    fn environment_of(&self, law: &Law, at: &[Index], main: &Law, environment: &Environment) -> Environment {
        let values = group::follow(law, at, main, self.depth).unwrap_or_default();
        values.iter().map(|value| Some(self.index(value, environment))).collect()
    }

    /// The reduced loops from `level` on, around the tile of terms; `None` where lanes have no instructions for them.
    fn reduced(
        &mut self,
        r: &Reduction<'_, 'a>,
        level: usize,
        mut environment: Environment,
        bounded: &mut Vec<(Access, usize)>,
        terms: &Terms,
    ) -> Option<Vec<Statement>> {
        let law = r.group.main;
        let Some(&l) = r.schedule.reduced.get(level) else {
            let value = self.expression(&law.body, &environment, bounded);
            let Some((lane, lanes)) = terms.lane else {
                let (target, at) = (terms.sum, terms.at.clone());
                return Some(wrap(
                    terms.tile,
                    vec![Statement::Store { target, at, reduce: law.reduce, value }],
                ));
            };
            let combinations = lanes::combinations(terms.sum, &terms.at, law.reduce, &value);
            let lines = combinations.iter().find_map(|line| self.lanes(lane, lanes, line))?;
            return Some(wrap(terms.tile, lines));
        };
        let extent = law.loops[l].extent as i64;
        if extent == 1 {
            environment[l] = Some(Index::constant(0));
            return self.reduced(r, level + 1, environment, bounded, terms);
        }
        let variable = r.variables[l];
        environment[l] = Some(Index::of_loop(variable));
        let (lower, upper) = self.cut(law, l, variable, &environment, terms.tile, bounded);
        let fixed = lower.len() == 1 && upper.len() == 1;
        let kind = if fixed && r.schedule.unrolled.contains(&l) { Kind::Unroll } else { Kind::Serial };
        let body = self.reduced(r, level + 1, environment, bounded, terms)?;
        Some(vec![Statement::For(For { variable, lower, upper, step: 1, kind, body })])
    }

    /// The bounds of a reduced loop: its extent, and the edges of what it moves. Dimensions that a bound keeps inside are added
    /// to `bounded`.
    fn cut(
        &self,
        law: &Law,
        l: usize,
        variable: LoopId,
        environment: &Environment,
        tile: &Tile,
        bounded: &mut Vec<(Access, usize)>,
    ) -> (Vec<Index>, Vec<Index>) {
        let (mut lower, mut upper) =
            (vec![Index::constant(0)], vec![Index::constant(law.loops[l].extent as i64)]);
        for access in law.accesses() {
            if !edges::vanishes_outside(self.lowering.program, law.reduce, &law.body, access) {
                continue;
            }
            for (d, (index, &extent)) in
                access.at.iter().zip(self.lowering.program.shape(access.tensor)).enumerate()
            {
                let own = LoopId((self.depth + l) as u32);
                let open = index.loops().iter().all(|id| {
                    (id.0 as usize).checked_sub(self.depth).is_none_or(|o| environment[o].is_some())
                });
                if !index.loops().contains(&own) || !open {
                    continue;
                }
                let index = self.index(index, environment);
                let tiled = index.loops().iter().any(|id| tile.iter().any(|(place, _)| place == id));
                let Some((low, high)) = edges::bounds(&index, variable, extent).filter(|_| !tiled) else {
                    continue;
                };
                let keep = |list: &mut Vec<Index>, bound: Index, decided: bool| {
                    if !decided && !list.contains(&bound) {
                        list.push(bound);
                    }
                };
                let [low, high] = [low, high].map(|b| b.simplify_in(&self.ranges));
                let below = low.range_in(&self.ranges).is_some_and(|(_, max)| max <= 0);
                let above =
                    high.range_in(&self.ranges).is_some_and(|(min, _)| min >= law.loops[l].extent as i64);
                keep(&mut lower, low, below);
                keep(&mut upper, high, above);
                bounded.push((access.clone(), d));
            }
        }
        (joined(lower, i64::max), joined(upper, i64::min))
    }
}

/// Bounds with all constants among them joined to one.
fn joined(bounds: Vec<Index>, join: fn(i64, i64) -> i64) -> Vec<Index> {
    let constant = bounds.iter().filter_map(Index::as_constant).reduce(join);
    let others = bounds.into_iter().filter(|bound| bound.as_constant().is_none());
    constant.map(Index::constant).into_iter().chain(others).collect()
}

/// The tile's loops around `body`, written out.
pub(super) fn wrap(tile: &Tile, body: Vec<Statement>) -> Vec<Statement> {
    tile.iter().rev().fold(body, |body, &(variable, extent)| {
        let (lower, upper) = (vec![Index::constant(0)], vec![Index::constant(extent as i64)]);
        vec![Statement::For(For { variable, lower, upper, step: 1, kind: Kind::Unroll, body })]
    })
}
