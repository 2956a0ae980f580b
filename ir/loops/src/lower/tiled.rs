//! The nest of a product of packed operands.
//!
//! Owns the shape `space loops { fill the buffer; sums = initial values; reduced loop { load, take apart, multiply and add };
//! last map and stores }`. The operand with fewer words is held in registers while the other one passes through; a word that several
//! points of the tile read is loaded once.

use nablac_index::{Expr, Index, TensorId};

use super::contraction::{Contraction, Operand};
use super::dot;
use super::group::Group;
use super::nest::{Environment, Nest};
use super::reduction::{Tile, wrap};
use super::side_by_side::{Sums, in_steps};
use crate::program::{For, Kind, Statement};

mod lines;
mod words;

use lines::Lines;
use words::{Along, Words, points};

/// The most words of both operands that a step of the reduced loop may hold for the sake of those that are read twice.
const MOST_SHARED: usize = 16;

/// A nest on its way.
#[derive(Clone, Copy)]
struct Tiled<'g, 'a> {
    group: &'g Group<'a>,
    contraction: &'g Contraction,
}

/// What the loops around a place have settled.
#[derive(Clone)]
pub(super) struct Place {
    /// The first value of each of the statement's loops here.
    pub values: Vec<Index>,
    /// How many values from there on each has.
    pub sizes: Vec<usize>,
    /// The first values where the buffer was filled.
    pub base: Vec<Index>,
}

impl<'a> Nest<'_, 'a> {
    pub(super) fn tiled(&mut self, group: &Group<'a>, contraction: &Contraction) -> Vec<Statement> {
        let sizes: Vec<usize> = group.main.loops.iter().map(|l| l.extent).collect();
        let zero = vec![Index::default(); sizes.len()];
        self.lowering.begun.push(group.main.out);
        self.level(Tiled { group, contraction }, 0, Place { values: zero.clone(), sizes, base: zero })
    }

    /// The space loops from `level` on.
    fn level(&mut self, t: Tiled<'_, 'a>, level: usize, mut place: Place) -> Vec<Statement> {
        let schedule = &t.contraction.schedule;
        let mut statements = vec![];
        if let Some(staged) = t.contraction.staged.as_ref().filter(|_| schedule.staged == Some(level)) {
            place.base = place.values.clone();
            statements.extend(self.stage(staged, t.contraction, &place));
        }
        let Some(&(l, step)) = schedule.space.get(level) else {
            statements.extend(self.product(t, place));
            return statements;
        };
        let size = place.sizes[l];
        let lanes =
            t.contraction.side_by_side.as_ref().filter(|side| side.l == l).map_or(1, |side| side.lanes);
        for (first, last, part) in in_steps(size, step, lanes) {
            let mut inner = place.clone();
            inner.sizes[l] = part;
            if last - first == part {
                inner.values[l] = place.values[l].clone() + first as i64;
                statements.extend(self.level(t, level + 1, inner));
                continue;
            }
            let name = &t.group.main.loops[l].name;
            // What is left of a step has a loop of its own.
            let again = schedule.space[..level].iter().any(|(outer, _)| *outer == l);
            let range = (first as i64, (last - part) as i64);
            let variable = match again {
                true => self.fresh(&format!("{name}_within"), range),
                false => self.variable(name, range),
            };
            inner.values[l] = place.values[l].clone() + Index::of_loop(variable);
            let body = self.level(t, level + 1, inner);
            statements.push(Self::serial(variable, first as i64, last as i64, part, body));
        }
        statements
    }

    /// One tile: initial values, terms, last map and stores.
    fn product(&mut self, t: Tiled<'_, 'a>, place: Place) -> Vec<Statement> {
        let law = t.group.main;
        let dot = &t.contraction.dot;
        let side_by_side = t.contraction.side_by_side.as_ref();
        let along = |(l, &n): (usize, &usize)| match side_by_side.is_some_and(|side| side.l == l) {
            true => Along { l, count: n.div_ceil(dot.sums), step: dot.sums },
            false => Along { l, count: n, step: 1 },
        };
        let wide = |along: &Along| (along.count > 1 || along.step > 1) && self.is_space(t, along.l);
        let tile: Vec<Along> = place.sizes.iter().enumerate().map(along).filter(wide).collect();
        let variables: Tile = tile
            .iter()
            .map(|along| {
                let name = format!("{}t", law.loops[along.l].name);
                (self.variable(&name, (0, along.count as i64 - 1)), along.count)
            })
            .collect();
        let mut environment: Environment = place.values.iter().cloned().map(Some).collect();
        for (along, (variable, _)) in tile.iter().zip(&variables) {
            let index = Index::of_loop(*variable) * along.step as i64;
            environment[along.l] = Some(place.values[along.l].clone() + index);
        }
        let dtype = self.lowering.program.dtype(law.out);
        let counts: Vec<usize> = tile.iter().map(|along| along.count).collect();
        if let Some(side) = side_by_side {
            let sum = self.vector("acc", dtype, counts.iter().copied().chain([side.lanes]).collect());
            let filled = place.sizes[side.l].min(side.lanes);
            let sums = Sums { group: t.group, side, filled, variables, sum, environment };
            let mut statements = self.begin(&sums);
            statements.extend(self.terms(t, &place, &tile, sum));
            statements.extend(self.end(&sums));
            return statements;
        }
        let at: Vec<Index> = variables.iter().map(|(v, _)| Index::of_loop(*v)).collect();
        let sum = self.register("acc", dtype, counts);
        let first = self.initial_value(t.group, &environment);
        let mut statements = wrap(&variables, vec![dot::set(sum, at.clone(), first)]);
        statements.extend(self.terms(t, &place, &tile, sum));
        let together = (0..tile.len()).rev().find_map(|place| {
            self.end_together(t.group, (&variables, place, tile[place].l), sum, &environment)
        });
        let one_by_one = |nest: &mut Self| {
            wrap(&variables, vec![nest.last_store(t.group, &environment, Expr::read(sum, at))])
        };
        statements.extend(together.unwrap_or_else(|| one_by_one(self)));
        statements
    }

    fn is_space(&self, t: Tiled, l: usize) -> bool {
        t.contraction.schedule.space.iter().any(|(space, _)| *space == l)
    }

    /// The reduced loop: chunks that are written out, in steps of whole instructions.
    fn terms(&mut self, t: Tiled<'_, 'a>, place: &Place, tile: &[Along], sum: TensorId) -> Vec<Statement> {
        let (length, chunk) = (t.contraction.length, t.contraction.schedule.chunk.min(t.contraction.length));
        let whole = length / chunk * chunk;
        let mut statements = vec![];
        for (first, last, part) in [(0, whole, chunk), (whole, length, length - whole)] {
            if first == last {
                continue;
            }
            let looped = last - first > part;
            let (variable, begin) = match looped {
                true => {
                    let variable = self.fresh("term", (first as i64, (last - part) as i64));
                    (Some(variable), Index::of_loop(variable))
                }
                false => (None, Index::constant(first as i64)),
            };
            let body = self.chunk(t, place, tile, sum, begin, part);
            match variable {
                Some(variable) => {
                    statements.push(Self::serial(variable, first as i64, last as i64, part, body));
                }
                None => statements.extend(body),
            }
        }
        statements
    }

    /// `part` terms from `begin` on, written out.
    fn chunk(
        &mut self,
        t: Tiled<'_, 'a>,
        place: &Place,
        tile: &[Along],
        sum: TensorId,
        begin: Index,
        part: usize,
    ) -> Vec<Statement> {
        let dot = &t.contraction.dot;
        let points = points(tile);
        let width = |o: &Operand| Words::new(dot, o, &points, 1).width;
        let step = width(&t.contraction.moving).max(width(&t.contraction.constant)).min(part);
        // Where neighbours read the same words, all terms go together.
        let distinct = |step: usize| {
            let words = |o: &Operand| Words::new(dot, o, &points, step).registers();
            (words(&t.contraction.moving), words(&t.contraction.constant))
        };
        let ((once, _), (together, held)) = (distinct(step), distinct(part));
        let shared = together < once * (part / step) && together + held <= 2 * MOST_SHARED;
        let step = if shared { part } else { step };
        let body = |nest: &mut Self, begin: Index| nest.step(t, place, tile, sum, begin, step);
        if step == part {
            return body(self, begin);
        }
        let variable = self.fresh("group", (0, (part - step) as i64));
        let body = body(self, begin + Index::of_loop(variable));
        let (lower, upper) = (vec![Index::constant(0)], vec![Index::constant(part as i64)]);
        vec![Statement::For(For { variable, lower, upper, step, kind: Kind::Unroll, body })]
    }

    /// `step` terms of every point.
    fn step(
        &mut self,
        t: Tiled<'_, 'a>,
        place: &Place,
        tile: &[Along],
        sum: TensorId,
        begin: Index,
        step: usize,
    ) -> Vec<Statement> {
        let c = t.contraction;
        let points = points(tile);
        let [moving, constant] = [&c.moving, &c.constant].map(|o| Words::new(&c.dot, o, &points, step));
        let moving_is_held = moving.loads.len() < constant.loads.len();
        let mut lines = Lines::new(self, t, place, begin);
        let names = if moving_is_held { ["held", "word"] } else { ["word", "held"] };
        let moving = lines.side(&c.moving, true, moving, names[0]);
        let constant = lines.side(&c.constant, false, constant, names[1]);
        let (held, passing) = if moving_is_held { (moving, constant) } else { (constant, moving) };
        let all: Vec<usize> = (0..held.words.loads.len()).collect();
        lines.load(&held, &all);
        for (number, run) in passing.words.runs().into_iter().enumerate() {
            lines.load(&passing, &run);
            // Loads in a row take a cycle less each: what is held is taken apart behind the first that passes.
            if number == 0 {
                all.iter().for_each(|&word| lines.take_apart(&held, word));
            }
            for &word in &run {
                lines.take_apart(&passing, word);
                lines.multiply(&held, &passing, word, tile, &points, sum);
            }
        }
        lines.statements
    }
}
