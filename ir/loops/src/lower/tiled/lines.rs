//! The lines of a step: loads, words taken apart, products.

use nablac_index::{Expr, Index, LoopId, TensorId};

use super::super::contraction::Operand;
use super::super::dot::{self, Moving, Unpack};
use super::super::nest::Nest;
use super::words::{Along, Words};
use super::{Place, Tiled};
use crate::program::Statement;

/// Where the words of an operand are once they are loaded.
pub(super) struct Registers {
    bytes: Option<TensorId>,
    elements: TensorId,
    unpack: Option<Unpack>,
}

/// An operand of a step.
pub(super) struct Side<'c> {
    pub operand: &'c Operand,
    pub words: Words,
    pub registers: Registers,
    /// Whether it is what is computed at run time.
    pub moving: bool,
}

/// The lines of a step as they grow.
pub(super) struct Lines<'s, 'n, 'l, 'g, 'a> {
    nest: &'s mut Nest<'n, 'a>,
    t: Tiled<'g, 'a>,
    place: &'l Place,
    begin: Index,
    /// Two variables for lanes.
    variables: [LoopId; 2],
    pub statements: Vec<Statement>,
}

impl<'s, 'n, 'l, 'g, 'a> Lines<'s, 'n, 'l, 'g, 'a> {
    pub(super) fn new(nest: &'s mut Nest<'n, 'a>, t: Tiled<'g, 'a>, place: &'l Place, begin: Index) -> Self {
        let dot = &t.contraction.dot;
        let most = dot.bytes.max(dot.sums).max(dot.terms) as i64 - 1;
        let variables = ["lane", "factor"].map(|name| nest.fresh(name, (0, most)));
        Lines { nest, t, place, begin, variables, statements: vec![] }
    }

    /// An operand with registers for its words: for bytes that are loaded and taken apart, and for what is multiplied.
    pub(super) fn side(&mut self, operand: &'g Operand, moving: bool, words: Words, name: &str) -> Side<'g> {
        let dot = &self.t.contraction.dot;
        let unpack = dot.unpack.clone().filter(|_| words.halves == 2);
        let bytes = unpack.as_ref().map(|_| {
            let shape = vec![words.loads.len(), dot.bytes];
            self.nest.vector(&format!("{name}_bytes"), nablac_index::DType::I8, shape)
        });
        let count = words.loads.len() * words.halves;
        let dtype = if moving { dot.takes } else { dot.dtype };
        let elements = match dot.moving {
            Moving::Scalar if moving => self.nest.register(name, dtype, vec![count]),
            _ => self.nest.vector(name, dtype, vec![count, dot.terms * dot.sums]),
        };
        Side { operand, words, registers: Registers { bytes, elements, unpack }, moving }
    }

    fn instruction(&mut self, instruction: &str, statement: Statement) {
        self.statements.push(Statement::Use { instruction: instruction.into(), body: vec![statement] });
    }

    /// Loads words.
    pub(super) fn load(&mut self, side: &Side, words: &[usize]) {
        let dot = &self.t.contraction.dot;
        let [lane, term] = self.variables;
        for &word in words {
            let (offset, ..) = side.words.loads[word];
            let row = Index::constant(word as i64);
            let (elements, along) = (side.registers.elements, Index::of_loop(lane));
            let read = |at: Vec<Index>| Expr::read(side.operand.tensor, at);
            let (load, line) = match (&dot.moving, &side.registers.bytes, &side.registers.unpack) {
                (Moving::Scalar, ..) if side.moving => {
                    let value = read(self.element(side.operand, offset, Index::default()));
                    self.statements.push(dot::set(elements, vec![row], value));
                    continue;
                }
                (Moving::Broadcast(load), ..) if side.moving => {
                    let within = if dot.terms > 1 { Index::of_loop(term) } else { Index::default() };
                    let value = read(self.element(side.operand, offset, within));
                    (load, dot::broadcast(elements, row, value, dot, self.variables))
                }
                (_, Some(bytes), Some(unpack)) => {
                    let value = read(self.element(side.operand, offset, along));
                    (&unpack.load, dot::load_at(*bytes, row, value, dot.bytes, lane))
                }
                _ => {
                    let value = read(self.element(side.operand, offset, along));
                    let widens = dot.sums > 1 && dot.packed != dot.dtype;
                    let value = if widens { value.cast(dot.dtype) } else { value };
                    (&dot.load, dot::load_at(elements, row, value, dot.terms * dot.sums, lane))
                }
            };
            self.instruction(load, line);
        }
    }

    /// From a word of bytes to its even and its odd ones, where it is one.
    pub(super) fn take_apart(&mut self, side: &Side, word: usize) {
        let dot = &self.t.contraction.dot;
        let (Some(bytes), Some(unpack)) = (side.registers.bytes, &side.registers.unpack) else { return };
        for (half, instruction) in unpack.halves.iter().enumerate() {
            let row = Index::constant((word * 2 + half) as i64);
            let from = Index::constant(word as i64);
            let elements = side.registers.elements;
            let [lane, _] = self.variables;
            let line = dot::unpack(elements, bytes, dot.dtype, row, from, half as i64, dot.terms, lane);
            self.instruction(instruction, line);
        }
    }

    /// Where lane `lane` of the word at `offset` of an operand is.
    fn element(&self, operand: &Operand, offset: i64, lane: Index) -> Vec<Index> {
        let c = self.t.contraction;
        let program = self.nest.lowering.program;
        let k = self.begin.clone() * operand.apart + lane.clone() + offset;
        if operand.tensor == c.constant.tensor {
            let row = self.along(operand, &|l| self.place.values[l].clone());
            if c.dot.sums > 1 {
                return vec![row + k];
            }
            let length = c.length as i64;
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
        at[last] = at[last].clone() + self.begin.clone() + lane + rest;
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
    pub(super) fn multiply(
        &mut self,
        held: &Side,
        passing: &Side,
        word: usize,
        tile: &[Along],
        points: &[Vec<(usize, i64)>],
        sum: TensorId,
    ) {
        let dot = &self.t.contraction.dot;
        // How many products a word of each side makes: those of a shared term order meet in as many.
        let width = held.words.width.max(passing.words.width);
        let count = width / dot.terms;
        let terms = passing.words.readers(word);
        let products = passing.words.width / dot.terms;
        for product in 0..products {
            for &(point, term) in &terms {
                // The product's place within a whole group of terms.
                let within = term % width / dot.terms + product;
                let row_of = |side: &Side, start: usize| {
                    let words_per_group = width / side.words.width;
                    let per_word = count / words_per_group;
                    let load = side
                        .words
                        .position(point, start - start % width + within / per_word * side.words.width)?;
                    Some(load * side.words.halves + within % per_word)
                };
                let (Some(a), Some(b)) = (row_of(passing, term), row_of(held, term)) else { continue };
                let place =
                    |(along, (_, at)): (&Along, &(usize, i64))| Index::constant(at / along.step as i64);
                let at: Vec<Index> = tile.iter().zip(&points[point]).map(place).collect();
                let (a, b) = (
                    (passing.registers.elements, Index::constant(a as i64)),
                    (held.registers.elements, Index::constant(b as i64)),
                );
                // What is computed at run time comes first.
                let (a, b) = if held.moving { (b, a) } else { (a, b) };
                let line = dot::multiply(dot, sum, &at, a, b, self.variables);
                self.instruction(&dot.multiply.clone(), line);
            }
        }
    }
}

/// `index / n`, whose terms are all multiples of `n`.
fn divided(index: &Index, n: i64) -> Index {
    let terms = index.loops().into_iter().map(|id| Index::of_loop(id) * (index.factor(id) / n));
    terms.fold(Index::constant(index.offset() / n), |sum, term| sum + term)
}
