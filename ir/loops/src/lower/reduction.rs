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
        self.space(&reduction, 0, vec![None; law.loops.len()], vec![])
    }

    fn interior(&self, law: &Law, l: usize) -> (i64, i64) {
        edges::interior_of(self.lowering.program, &self.lowering.counters, law, l)
    }

    /// The space loops from `level` on.
    fn space(&mut self, r: &Reduction, level: usize, environment: Environment, tile: Tile) -> Vec<Statement> {
        let Some(&(l, size)) = r.schedule.space.get(level) else { return self.point(r, environment, tile) };
        let extent = r.group.main.loops[l].extent as i64;
        let variable = r.variables[l];
        if size <= 1 {
            return self.each(r, level, environment, tile, (0, extent));
        }
        let (begin, end) = self.interior(r.group.main, l);
        let (begin, end) = (begin.min(extent), end.min(extent));
        let mut statements = self.each(r, level, environment.clone(), tile.clone(), (0, begin));
        let size = size as i64;
        let whole = begin + (end - begin) / size * size;
        for (first, last, size) in [(begin, whole, size), (whole, end, end - whole)] {
            if first == last {
                continue;
            }
            let looped = last - first > size;
            self.ranges[variable.0 as usize] = (first, last - size);
            let base = if looped { Index::of_loop(variable) } else { Index::constant(first) };
            let mut inner = (environment.clone(), tile.clone());
            inner.0[l] = Some(match r.tile_variables[l] {
                Some(place) if size > 1 => {
                    self.ranges[place.0 as usize] = (0, size - 1);
                    inner.1.push((place, size as usize));
                    base + Index::of_loop(place)
                }
                _ => base,
            });
            let body = self.space(r, level + 1, inner.0, inner.1);
            match looped {
                true => statements.push(Self::serial(variable, first, last, size as usize, body)),
                false => statements.extend(body),
            }
        }
        statements.extend(self.each(r, level, environment, tile, (end, extent)));
        statements
    }

    /// A space loop without a tile, over `begin..end`.
    fn each(
        &mut self,
        r: &Reduction,
        level: usize,
        mut environment: Environment,
        tile: Tile,
        (begin, end): (i64, i64),
    ) -> Vec<Statement> {
        let l = r.schedule.space[level].0;
        if begin >= end {
            return vec![];
        }
        let variable = r.variables[l];
        self.ranges[variable.0 as usize] = (begin, end - 1);
        let single = end - begin == 1;
        environment[l] = Some(if single { Index::constant(begin) } else { Index::of_loop(variable) });
        let body = self.space(r, level + 1, environment, tile);
        if single { body } else { vec![Self::serial(variable, begin, end, 1, body)] }
    }

    /// One tile: initial values, terms, last map and stores.
    fn point(&mut self, r: &Reduction, environment: Environment, tile: Tile) -> Vec<Statement> {
        let law = r.group.main;
        let dtype = self.lowering.program.dtype(law.out);
        let sum = self.register("acc", dtype, tile.iter().map(|(_, n)| *n).collect());
        let at: Vec<Index> = tile.iter().map(|(v, _)| Index::of_loop(*v)).collect();
        let value = self.initial_value(r.group, &environment);
        let store = Statement::Store { target: sum, at: at.clone(), reduce: Reduce::Set, value };
        let mut statements = wrap(&tile, vec![store]);
        let mut bounded = vec![];
        statements.extend(self.reduced(r, 0, environment.clone(), &tile, &mut bounded, (sum, &at)));
        statements.extend(wrap(&tile, vec![self.last_store(r.group, &environment, Expr::read(sum, at))]));
        statements
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

    /// The reduced loops from `level` on, around the tile of terms.
    fn reduced(
        &mut self,
        r: &Reduction,
        level: usize,
        mut environment: Environment,
        tile: &Tile,
        bounded: &mut Vec<(Access, usize)>,
        (sum, at): (TensorId, &[Index]),
    ) -> Vec<Statement> {
        let law = r.group.main;
        let Some(&l) = r.schedule.reduced.get(level) else {
            let value = self.expression(&law.body, &environment, bounded);
            return wrap(
                tile,
                vec![Statement::Store { target: sum, at: at.to_vec(), reduce: law.reduce, value }],
            );
        };
        let extent = law.loops[l].extent as i64;
        if extent == 1 {
            environment[l] = Some(Index::constant(0));
            return self.reduced(r, level + 1, environment, tile, bounded, (sum, at));
        }
        let variable = r.variables[l];
        environment[l] = Some(Index::of_loop(variable));
        let (lower, upper) = self.cut(law, l, variable, &environment, tile, bounded);
        let fixed = lower.len() == 1 && upper.len() == 1;
        let kind = if fixed && r.schedule.unrolled.contains(&l) { Kind::Unroll } else { Kind::Serial };
        let body = self.reduced(r, level + 1, environment, tile, bounded, (sum, at));
        vec![Statement::For(For { variable, lower, upper, step: 1, kind, body })]
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
