//! Filling a buffer with a part of an operand.
//!
//! Owns the copy `rows[…] = i16(x[…])`, or `u8(x[…]) + 128` for a product that takes no signs, in front of the loops that read it, with
//! what stands beyond the operand's edges written there, so that no reader asks whether it is inside. Each dimension is cut where the operand begins and ends.

use nablac_index::{Access, Expr, Index, LoopId, Reduce, TensorId};

use super::contraction::{Contraction, Staged};
use super::nest::Nest;
use super::tiled::Place;
use crate::program::{For, Kind, Statement};

/// Elements that are copied in a row, written out.
const WRITTEN_OUT: usize = 4;

/// A copy on its way.
struct Copy<'c> {
    staged: &'c Staged,
    rows: TensorId,
    /// The operand's first index in each dimension, and how many from there on are copied.
    begins: Vec<Index>,
    counts: Vec<usize>,
}

/// A part of a dimension, from `max(begin)` to `min(end)`.
struct Part {
    begin: Vec<Index>,
    end: Vec<Index>,
    inside: bool,
}

impl Nest<'_, '_> {
    /// Fills the buffer of a contraction for the loops inside of `place`.
    pub(super) fn stage(
        &mut self,
        staged: &Staged,
        contraction: &Contraction,
        place: &Place,
    ) -> Vec<Statement> {
        let values: Vec<Option<Index>> = place.values.iter().cloned().map(Some).collect();
        let begins: Vec<Index> = staged.access.at.iter().map(|index| self.index(index, &values)).collect();
        let reach = |index: &Index| {
            let along =
                |(l, &n): (usize, &usize)| index.factor(LoopId((self.depth + l) as u32)) as usize * (n - 1);
            place.sizes.iter().enumerate().map(along).sum::<usize>() + 1
        };
        let counts = staged.access.at.iter().map(reach).collect();
        let copy = Copy { staged, rows: contraction.moving.tensor, begins, counts };
        self.dimension(&copy, 0, vec![], true)
    }

    /// The loops over the dimensions from `d` on; `at` are the variables of those before, `inside` says whether all of them are
    /// inside of the operand.
    fn dimension(&mut self, copy: &Copy, d: usize, at: Vec<Index>, inside: bool) -> Vec<Statement> {
        let Some(&count) = copy.counts.get(d) else { return vec![self.element(copy, &at, inside)] };
        let mut statements = vec![];
        for part in self.parts(copy, d, count, inside) {
            let fixed = |limits: &[Index]| match limits {
                [one] => one.as_constant(),
                _ => None,
            };
            let inside = inside && part.inside;
            let next = |nest: &mut Self, index: Index| {
                let at = at.iter().cloned().chain([index]).collect();
                nest.dimension(copy, d + 1, at, inside)
            };
            match (fixed(&part.begin), fixed(&part.end)) {
                (Some(begin), Some(end)) if end - begin == 1 => statements.extend(next(self, begin.into())),
                (Some(begin), Some(end)) if copy.counts[d + 1..].iter().all(|count| *count == 1) => {
                    statements.extend(self.in_a_row(begin, end, &mut |nest, index| next(nest, index)));
                }
                _ => {
                    let range = (0, count as i64 - 1);
                    let variable = self.fresh(&format!("r{d}"), range);
                    let body = next(self, Index::of_loop(variable));
                    let Part { begin: lower, end: upper, .. } = part;
                    let kind = Kind::Serial;
                    statements.push(Statement::For(For { variable, lower, upper, step: 1, kind, body }));
                }
            }
        }
        statements
    }

    /// A loop over the last dimension, written out a few elements at a time.
    fn in_a_row(
        &mut self,
        begin: i64,
        end: i64,
        body: &mut dyn FnMut(&mut Self, Index) -> Vec<Statement>,
    ) -> Vec<Statement> {
        let count = end - begin;
        if count <= 0 {
            return vec![];
        }
        if let Some(lines) = self.row_in_lanes(begin, end, body) {
            return lines;
        }
        let group = if count <= 2 * WRITTEN_OUT as i64 { count } else { WRITTEN_OUT as i64 };
        let whole = begin + count / group * group;
        let mut statements = vec![];
        for (first, last, part) in [(begin, whole, group), (whole, end, end - whole)] {
            if first == last {
                continue;
            }
            let looped = last - first > part;
            let base = looped.then(|| self.fresh("run", (first, last - part)));
            let within = self.fresh("lane", (0, part - 1));
            let index = base.map_or(Index::constant(first), Index::of_loop) + Index::of_loop(within);
            let inner = body(self, index);
            let (lower, upper) = (vec![Index::constant(0)], vec![Index::constant(part)]);
            let kind = Kind::Unroll;
            let inner =
                vec![Statement::For(For { variable: within, lower, upper, step: 1, kind, body: inner })];
            match base {
                Some(base) => statements.push(Self::serial(base, first, last, part as usize, inner)),
                None => statements.extend(inner),
            }
        }
        statements
    }

    /// The same with neighbours as lanes as far as they fill registers, if there are instructions for that.
    fn row_in_lanes(
        &mut self,
        begin: i64,
        end: i64,
        body: &mut dyn FnMut(&mut Self, Index) -> Vec<Statement>,
    ) -> Option<Vec<Statement>> {
        let count = end - begin;
        let mut widths: Vec<i64> = self.lowering.library?.vectors.iter().map(|v| v.lanes as i64).collect();
        widths.sort_unstable();
        widths.dedup();
        for lanes in widths.into_iter().rev().filter(|lanes| *lanes <= count) {
            let filled = begin + count / lanes * lanes;
            let base = (filled - begin > lanes).then(|| self.fresh("run", (begin, filled - lanes)));
            let lane = self.fresh("lane", (0, lanes - 1));
            let first = base.map_or(Index::constant(begin), Index::of_loop);
            let inner = body(self, first + Index::of_loop(lane));
            let [store] = &inner[..] else { return None };
            let Some(lines) = self.lanes(lane, lanes as usize, store) else { continue };
            let mut statements = match base {
                Some(base) => vec![Self::serial(base, begin, filled, lanes as usize, lines)],
                None => lines,
            };
            if filled < end {
                statements.extend(self.in_a_row(filled, end, body));
            }
            return Some(statements);
        }
        None
    }

    /// A dimension's parts before, inside of and behind the operand; only those that can have an element.
    fn parts(&self, copy: &Copy, d: usize, count: usize, inside: bool) -> Vec<Part> {
        let n = Index::constant(count as i64);
        let whole = Part { begin: vec![0.into()], end: vec![n.clone()], inside: true };
        if !inside || copy.staged.access.outside.is_none() {
            return vec![whole];
        }
        let extent = self.lowering.program.shape(copy.staged.access.tensor)[d] as i64;
        let first = -copy.begins[d].clone();
        let behind = Index::constant(extent) - copy.begins[d].clone();
        let range = |index: &Index| index.range_in(&self.ranges).unwrap_or((i64::MIN, i64::MAX));
        let ((low, high), (least, most)) = (range(&first), range(&behind));
        let joined = |mut limits: Vec<Index>, join: fn(i64, i64) -> i64| {
            let constant = limits.iter().filter_map(Index::as_constant).reduce(join);
            limits.retain(|limit| limit.as_constant().is_none());
            constant.map(Index::constant).into_iter().chain(limits).collect::<Vec<Index>>()
        };
        let from_first = if high <= 0 {
            vec![0.into()]
        } else if low >= 0 {
            vec![first.clone()]
        } else {
            vec![0.into(), first.clone()]
        };
        let to_behind = if least >= count as i64 {
            vec![n.clone()]
        } else if most <= count as i64 {
            vec![behind.clone()]
        } else {
            vec![n.clone(), behind.clone()]
        };
        let mut parts = vec![];
        if high > 0 {
            let end =
                if high <= count as i64 { vec![first] } else { joined(vec![n.clone(), first], i64::min) };
            parts.push(Part { begin: vec![0.into()], end, inside: false });
        }
        parts.push(Part {
            begin: joined(from_first, i64::max),
            end: joined(to_behind, i64::min),
            inside: true,
        });
        if least < count as i64 {
            let begin = if least >= 0 { vec![behind] } else { joined(vec![0.into(), behind], i64::max) };
            parts.push(Part { begin, end: vec![n], inside: false });
        }
        parts
    }

    /// One element.
    fn element(&self, copy: &Copy, at: &[Index], inside: bool) -> Statement {
        let flat = at
            .iter()
            .zip(&copy.staged.strides)
            .fold(Index::default(), |sum, (index, &stride)| sum + index.clone() * stride);
        let value = match inside {
            true => {
                let tensor = copy.staged.access.tensor;
                let at = at.iter().zip(&copy.begins).map(|(index, begin)| begin.clone() + index.clone());
                let value =
                    Expr::Read(Access { tensor, at: at.collect(), outside: None }).cast(copy.staged.dtype);
                match copy.staged.offset {
                    0 => value,
                    offset => value + Expr::integer(copy.staged.dtype, offset),
                }
            }
            false => Expr::Literal(copy.staged.dtype, copy.staged.zero),
        };
        Statement::Store { target: copy.rows, at: vec![flat], reduce: Reduce::Set, value }
    }
}
