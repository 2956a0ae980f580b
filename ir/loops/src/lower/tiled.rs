//! The nest of a product of packed operands.
//!
//! Owns the shape `space loops { fill the buffer; sums = initial values; reduced loop { load, take apart, multiply and add };
//! last map and stores }`. The operand with fewer words is held in registers while the other one passes through; a word that several
//! points of the tile read is loaded once.

use std::collections::BTreeMap;

use nablac_index::{Expr, Index, LoopId, Reduce, TensorId};

use super::contraction::{Contraction, Operand};
use super::dot::{self, Unpack};
use super::group::Group;
use super::nest::Nest;
use super::reduction::{Tile, wrap};
use crate::program::{For, Kind, Statement};

/// The most words of both operands that a step of the reduced loop may hold for the sake of those that are read twice.
const MOST_SHARED: usize = 16;

/// The most words of bytes that are loaded in a row.
const MOST_BYTES: usize = 4;

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
        let step = step.min(size);
        let whole = size / step * step;
        for (first, last, part) in [(0, whole, step), (whole, size, size - whole)] {
            if first == last {
                continue;
            }
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
        let tile: Vec<(usize, usize)> =
            place.sizes.iter().copied().enumerate().filter(|(l, n)| *n > 1 && self.is_space(t, *l)).collect();
        let variables: Tile = tile
            .iter()
            .map(|&(l, n)| (self.variable(&format!("{}t", law.loops[l].name), (0, n as i64 - 1)), n))
            .collect();
        let mut environment: Vec<Option<Index>> = place.values.iter().cloned().map(Some).collect();
        for ((l, _), (variable, _)) in tile.iter().zip(&variables) {
            environment[*l] = Some(place.values[*l].clone() + Index::of_loop(*variable));
        }
        let dtype = self.lowering.program.dtype(law.out);
        let sum = self.register("acc", dtype, tile.iter().map(|(_, n)| *n).collect());
        let at: Vec<Index> = variables.iter().map(|(v, _)| Index::of_loop(*v)).collect();
        let first = self.initial_value(t.group, &environment);
        let store = Statement::Store { target: sum, at: at.clone(), reduce: Reduce::Set, value: first };
        let mut statements = wrap(&variables, vec![store]);
        statements.extend(self.terms(t, &place, &tile, sum));
        statements
            .extend(wrap(&variables, vec![self.last_store(t.group, &environment, Expr::read(sum, at))]));
        statements
    }

    fn is_space(&self, t: Tiled, l: usize) -> bool {
        t.contraction.schedule.space.iter().any(|(space, _)| *space == l)
    }

    /// The reduced loop: chunks that are written out, in steps of whole instructions.
    fn terms(
        &mut self,
        t: Tiled<'_, 'a>,
        place: &Place,
        tile: &[(usize, usize)],
        sum: TensorId,
    ) -> Vec<Statement> {
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
        tile: &[(usize, usize)],
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
        let body = |nest: &mut Self, begin: Index| nest.step(t, place, &points, sum, begin, step);
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
        points: &[Vec<(usize, i64)>],
        sum: TensorId,
        begin: Index,
        step: usize,
    ) -> Vec<Statement> {
        let c = t.contraction;
        let [moving, constant] = [&c.moving, &c.constant].map(|o| Words::new(&c.dot, o, points, step));
        let moving_is_held = moving.loads.len() < constant.loads.len();
        let (held, passing) = if moving_is_held { (moving, constant) } else { (constant, moving) };
        let [held, passing] = [(held, "held"), (passing, "word")]
            .map(|(words, name)| Side { registers: self.registers(t, &words, name), words });
        let (held_operand, passing_operand) =
            if moving_is_held { (&c.moving, &c.constant) } else { (&c.constant, &c.moving) };
        let variable = self.fresh("lane", (0, c.dot.bytes as i64 - 1));
        let mut lines = Lines { nest: self, t, place, begin, variable, statements: vec![] };
        let all: Vec<usize> = (0..held.words.loads.len()).collect();
        lines.load(&held, held_operand, &all);
        for (number, run) in passing.words.runs().into_iter().enumerate() {
            lines.load(&passing, passing_operand, &run);
            // Loads in a row take a cycle less each: what is held is taken apart behind the first that passes.
            if number == 0 {
                all.iter().for_each(|&word| lines.take_apart(&held, word));
            }
            for &word in &run {
                lines.take_apart(&passing, word);
                lines.multiply(&held, &passing, word, points, sum, moving_is_held);
            }
        }
        lines.statements
    }

    /// The registers of an operand's words: for bytes that are loaded and taken apart, and for what is multiplied.
    fn registers(&mut self, t: Tiled<'_, 'a>, words: &Words, name: &str) -> Registers {
        let dot = &t.contraction.dot;
        let unpack = dot.unpack.clone().filter(|_| words.halves == 2);
        let bytes = unpack.as_ref().map(|_| {
            self.vector(&format!("{name}_bytes"), nablac_index::DType::I8, vec![words.loads.len(), dot.bytes])
        });
        let elements = self.vector(name, dot.dtype, vec![words.loads.len() * words.halves, dot.lanes]);
        Registers { bytes, elements, unpack }
    }
}

/// Every point of a tile: the tiled loops with their places.
fn points(tile: &[(usize, usize)]) -> Vec<Vec<(usize, i64)>> {
    tile.iter().fold(vec![vec![]], |points, &(l, n)| {
        let along = |point: &Vec<(usize, i64)>| {
            let point = point.clone();
            (0..n as i64)
                .map(move |at| point.iter().copied().chain([(l, at)]).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        points.iter().flat_map(along).collect()
    })
}

/// The words of an operand that a step reads.
struct Words {
    /// One load each: how far it is from the first element, with a point and a term that read it.
    loads: Vec<(i64, usize, usize)>,
    /// The terms of one load.
    width: usize,
    /// Into how many registers a load is taken apart.
    halves: usize,
    /// How far each point's first element is from that of the first point.
    offsets: Vec<i64>,
    /// The terms of each point.
    terms: usize,
}

impl Words {
    fn new(dot: &dot::Dot, operand: &Operand, points: &[Vec<(usize, i64)>], step: usize) -> Words {
        let halves = if operand.unpacked && dot.unpack.is_some() { 2 } else { 1 };
        let width = if halves == 2 { dot.bytes } else { dot.lanes };
        let offset =
            |point: &Vec<(usize, i64)>| point.iter().map(|&(l, at)| operand.strides[l] * at).sum::<i64>();
        let offsets: Vec<i64> = points.iter().map(offset).collect();
        let mut loads = BTreeMap::new();
        for (point, offset) in offsets.iter().enumerate() {
            for term in (0..step).step_by(width) {
                loads.entry(offset + term as i64).or_insert((point, term));
            }
        }
        let loads = loads.into_iter().map(|(offset, (point, term))| (offset, point, term)).collect();
        Words { loads, width, halves, offsets, terms: step }
    }

    fn registers(&self) -> usize {
        self.loads.len() * self.halves
    }

    /// Words that are loaded in a row: neighbours, or bytes, which take one register until they are taken apart.
    fn runs(&self) -> Vec<Vec<usize>> {
        let mut runs: Vec<Vec<usize>> = vec![];
        for word in 0..self.loads.len() {
            let neighbours = word > 0 && self.loads[word].0 == self.loads[word - 1].0 + self.width as i64;
            let most = if self.halves == 2 { MOST_BYTES } else { 2 };
            match runs.last_mut().filter(|run| (neighbours || self.halves == 2) && run.len() < most) {
                Some(run) => run.push(word),
                None => runs.push(vec![word]),
            }
        }
        runs
    }

    /// The load that holds a term of a point.
    fn position(&self, point: usize, term: usize) -> Option<usize> {
        let begin = self.offsets[point] + (term - term % self.width) as i64;
        self.loads.iter().position(|(offset, ..)| *offset == begin)
    }
}

struct Registers {
    bytes: Option<TensorId>,
    elements: TensorId,
    unpack: Option<Unpack>,
}

struct Side {
    registers: Registers,
    words: Words,
}

/// The lines of a step as they grow.
struct Lines<'s, 'n, 'l, 'g, 'a> {
    nest: &'s mut Nest<'n, 'a>,
    t: Tiled<'g, 'a>,
    place: &'l Place,
    begin: Index,
    variable: LoopId,
    statements: Vec<Statement>,
}

impl Lines<'_, '_, '_, '_, '_> {
    fn instruction(&mut self, instruction: &str, statement: Statement) {
        self.statements.push(Statement::Use { instruction: instruction.into(), body: vec![statement] });
    }

    /// Loads words.
    fn load(&mut self, side: &Side, operand: &Operand, words: &[usize]) {
        let dot = &self.t.contraction.dot;
        let variable = self.variable;
        for &word in words {
            let (offset, ..) = side.words.loads[word];
            let at = self.element(operand, offset);
            let value = Expr::read(operand.tensor, at);
            let row = Index::constant(word as i64);
            let (register, load, lanes) = match (&side.registers.bytes, &side.registers.unpack) {
                (Some(bytes), Some(unpack)) => (*bytes, &unpack.load, dot.bytes),
                _ => (side.registers.elements, &dot.load, dot.lanes),
            };
            self.instruction(load, dot::load_at(register, row, value, lanes, variable));
        }
    }

    /// From a word of bytes to its even and its odd ones, where it is one.
    fn take_apart(&mut self, side: &Side, word: usize) {
        let dot = &self.t.contraction.dot;
        let (Some(bytes), Some(unpack)) = (side.registers.bytes, &side.registers.unpack) else { return };
        for (half, instruction) in unpack.halves.iter().enumerate() {
            let row = Index::constant((word * 2 + half) as i64);
            let from = Index::constant(word as i64);
            let elements = side.registers.elements;
            let line =
                dot::unpack(elements, bytes, dot.dtype, row, from, half as i64, dot.lanes, self.variable);
            self.instruction(instruction, line);
        }
    }

    /// Where lane `l` of the word at `offset` of an operand is.
    fn element(&self, operand: &Operand, offset: i64) -> Vec<Index> {
        let k = self.begin.clone() + Index::of_loop(self.variable) + offset;
        let c = self.t.contraction;
        let program = self.nest.lowering.program;
        if operand.tensor == c.constant.tensor {
            let length = c.length as i64;
            let row = self.along(operand, &|l| self.place.values[l].clone());
            return vec![
                divided(&row, length) + offset.div_euclid(length),
                k - offset.div_euclid(length) * length,
            ];
        }
        if c.staged.is_some() {
            let row = self.along(operand, &|l| self.place.values[l].clone() - self.place.base[l].clone());
            return vec![row + k];
        }
        // The operand itself: what the space loops do to its last dimension, if anything, they do to the term too.
        let values: Vec<Option<Index>> = self.place.values.iter().cloned().map(Some).collect();
        let mut at: Vec<Index> = c.access.at.iter().map(|index| self.nest.index(index, &values)).collect();
        let strides = nablac_index::row_major_strides(program.shape(operand.tensor));
        let mut rest = offset;
        let last = at.len() - 1;
        for (index, stride) in at.iter_mut().zip(&strides).take(last) {
            *index = index.clone() + rest.div_euclid(*stride);
            rest = rest.rem_euclid(*stride);
        }
        at[last] = at[last].clone() + self.begin.clone() + Index::of_loop(self.variable) + rest;
        at
    }

    fn along(&self, operand: &Operand, value: &dyn Fn(usize) -> Index) -> Index {
        operand
            .strides
            .iter()
            .enumerate()
            .filter(|(_, stride)| **stride != 0)
            .fold(Index::default(), |sum, (l, stride)| sum + value(l) * *stride)
    }

    /// All products of one word of the passing operand.
    fn multiply(
        &mut self,
        held: &Side,
        passing: &Side,
        word: usize,
        points: &[Vec<(usize, i64)>],
        sum: TensorId,
        moving_is_held: bool,
    ) {
        let dot = &self.t.contraction.dot;
        // How many products a word of each side makes: those of a shared term order meet in as many.
        let (offset, ..) = passing.words.loads[word];
        let width = held.words.width.max(passing.words.width);
        let count = width / dot.lanes;
        let mut terms = vec![];
        for (point, begin) in passing.words.offsets.iter().enumerate() {
            let term = offset - begin;
            let begins = term % passing.words.width as i64 == 0;
            if begins && (0..passing.words.terms as i64).contains(&term) {
                terms.push((point, term as usize));
            }
        }
        let products = passing.words.width / dot.lanes;
        for product in 0..products {
            for &(point, term) in &terms {
                // The product's place within a whole group of terms.
                let within = term % width / dot.lanes + product;
                let row_of = |side: &Side, start: usize| {
                    let words_per_group = width / side.words.width;
                    let per_word = count / words_per_group;
                    let load = side
                        .words
                        .position(point, start - start % width + within / per_word * side.words.width)?;
                    Some(load * side.words.halves + within % per_word)
                };
                let (Some(a), Some(b)) = (row_of(passing, term), row_of(held, term)) else { continue };
                let at: Vec<Index> = points[point].iter().map(|(_, at)| Index::constant(*at)).collect();
                let (a, b) = (
                    (passing.registers.elements, Index::constant(a as i64)),
                    (held.registers.elements, Index::constant(b as i64)),
                );
                let (a, b) = if moving_is_held { (b, a) } else { (a, b) };
                let line = dot::multiply(sum, &at, a, b, dot.lanes, self.variable);
                let multiply = dot.multiply.clone();
                self.instruction(&multiply, line);
            }
        }
    }
}

/// `index / n`, whose terms are all multiples of `n`.
fn divided(index: &Index, n: i64) -> Index {
    let terms = index.loops().into_iter().map(|id| Index::of_loop(id) * (index.factor(id) / n));
    terms.fold(Index::constant(index.offset() / n), |sum, term| sum + term)
}
