//! The rules of parallel loops.
//!
//! Owns the proof that parts of a loop may run side by side: what one of them writes, no other reads or writes, be it a buffer, another one
//! that shares its bytes, or a register. Two accesses never meet if one dimension of their indices, or the position in row-major order, or
//! that modulo one of its strides, is in ranges that have nothing in common.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{Atom, Expr, Index, Reduce, TensorId};

use crate::bounds::Bounds;
use crate::error::Error;
use crate::flatten::flatten;
use crate::parts::{MOST_PARTS, Parts};
use crate::program::{For, Kernel, Kind, Program, Statement};

/// Checks the parallel loops of a kernel below repetitions with these extents, all other rules of which hold.
pub(super) fn verify(program: &Program, kernel: &Kernel, counters: &[usize]) -> Result<(), Error> {
    let bounds = Bounds::new(kernel.variables.len(), counters);
    Checker { program, kernel }.body(&kernel.body, &bounds, Kind::Serial)
}

struct Checker<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
}

impl Checker<'_> {
    /// `around` is the kind of a loop around that is not serial.
    fn body(&self, body: &[Statement], bounds: &Bounds, around: Kind) -> Result<(), Error> {
        body.iter().try_for_each(|statement| match statement {
            Statement::For(nest) => {
                let kind = if nest.kind == Kind::Serial { around } else { nest.kind };
                if matches!(nest.kind, Kind::Parallel(_)) {
                    self.nest(nest, bounds, around).map_err(|problem| {
                        let name = &self.kernel.variables[nest.variable.0 as usize];
                        Error::invalid(format!("kernel `{}`, loop `{name}`", self.kernel.name), problem)
                    })?;
                }
                self.body(&nest.body, &bounds.inside(nest), kind)
            }
            Statement::If { condition, body } => self.body(body, &bounds.given(condition), around),
            Statement::Use { .. } | Statement::Store { .. } => Ok(()),
        })
    }

    fn nest(&self, nest: &For, bounds: &Bounds, around: Kind) -> Result<(), String> {
        let name = |id: TensorId| self.program.place(self.kernel, id).0;
        if around != Kind::Serial {
            return Err("a parallel loop stands in no other one, nor in one that is written out".into());
        }
        if !matches!(nest.kind, Kind::Parallel(1..=MOST_PARTS)) {
            return Err(format!("it has from 1 to {MOST_PARTS} parts"));
        }
        let constant = |bounds: &[Index]| matches!(bounds, [one] if one.as_constant().is_some());
        if !constant(&nest.lower) || !constant(&nest.upper) {
            return Err("it is parallel, but its bounds vary".into());
        }
        if let Some(register) = self.register(nest, bounds) {
            return Err(format!(
                "register `{}` is used inside and outside of a parallel loop",
                name(register)
            ));
        }
        if let Some(buffer) = shared(self.program, nest, bounds).first() {
            return Err(format!(
                "parts of it may use the same elements of `{}`, and write them",
                name(*buffer)
            ));
        }
        match self.overlap(nest) {
            Some((a, b)) => {
                Err(format!("parts of it use `{}` and `{}`, which share bytes", name(a), name(b)))
            }
            None => Ok(()),
        }
    }

    /// A register that a loop shares with what is around it.
    fn register(&self, nest: &For, bounds: &Bounds) -> Option<TensorId> {
        let all = registers(self.program, &self.kernel.body, bounds);
        let inside = registers(self.program, &nest.body, bounds);
        inside.into_iter().find(|(id, times)| all.get(id) != Some(times)).map(|(id, _)| id)
    }

    /// Two buffers of a loop, of which it writes the first, that have bytes in common.
    fn overlap(&self, nest: &For) -> Option<(TensorId, TensorId)> {
        let kernel = Kernel { body: nest.body.clone(), ..Kernel::default() };
        let count = self.program.buffers.len();
        let (reads, writes) = (kernel.reads(count), kernel.writes(count));
        let range = |id: TensorId| {
            let buffer = self.program.buffer(id);
            buffer.offset.map(|begin| (begin, begin + buffer.bytes()))
        };
        let meet = |a: TensorId, b: TensorId| match (range(a), range(b)) {
            (Some((a_begin, a_end)), Some((b_begin, b_end))) => a != b && a_begin < b_end && b_begin < a_end,
            _ => false,
        };
        writes.iter().find_map(|&a| reads.iter().chain(&writes).find(|b| meet(a, **b)).map(|b| (a, *b)))
    }
}

/// How often lines touch each register.
fn registers(program: &Program, body: &[Statement], bounds: &Bounds) -> BTreeMap<TensorId, usize> {
    let mut found = BTreeMap::new();
    reach(body, bounds, &mut |reach, _| {
        if program.is_register(reach.tensor) {
            *found.entry(reach.tensor).or_insert(0) += 1;
        }
    });
    found
}

/// The buffers that one part of a loop writes and another one may use at the same place.
pub(crate) fn shared(program: &Program, nest: &For, bounds: &Bounds) -> Vec<TensorId> {
    let Some(parts) = Parts::of(nest).filter(|parts| parts.count > 1) else { return vec![] };
    let mut written = BTreeSet::new();
    reach(&nest.body, &bounds.inside(nest), &mut |reach, _| {
        if reach.write && !program.is_register(reach.tensor) {
            written.insert(reach.tensor);
        }
    });
    let conflict = |id: &TensorId| {
        let views = views(program, nest, bounds, *id);
        let mut ranges = vec![vec![Range::Nothing; parts.count]; views.len()];
        for part in 0..parts.count {
            let (begin, end) = parts.range(part);
            let (lower, upper) = (vec![begin.into()], vec![end.into()]);
            let own = For { lower, upper, body: vec![], ..*nest };
            reach(&nest.body, &bounds.inside(&own), &mut |reach, bounds| {
                if reach.tensor == *id && !bounds.is_empty() {
                    let all = views.iter().zip(&mut ranges);
                    all.for_each(|(view, ranges)| ranges[part].join(view.range(program, &reach, bounds)));
                }
            });
        }
        !ranges.into_iter().any(apart)
    };
    written.into_iter().filter(conflict).collect()
}

/// An access.
struct Reach<'a> {
    tensor: TensorId,
    at: &'a [Index],
    /// Whether nothing is read where it is outside.
    guarded: bool,
    write: bool,
}

/// Calls `f` with each access, and what is known there.
fn reach(body: &[Statement], bounds: &Bounds, f: &mut dyn FnMut(Reach, &Bounds)) {
    for statement in body {
        match statement {
            Statement::For(nest) => {
                nest.lower.iter().chain(&nest.upper).for_each(|index| reads_of(index, bounds, f));
                reach(&nest.body, &bounds.inside(nest), f);
            }
            Statement::Use { body, .. } => reach(body, bounds, f),
            Statement::If { condition, body } => {
                reads(condition, bounds, f);
                reach(body, &bounds.given(condition), f);
            }
            Statement::Store { target, at, reduce, value } => {
                reads(value, bounds, f);
                at.iter().for_each(|index| reads_of(index, bounds, f));
                let access = |write| Reach { tensor: *target, at, guarded: false, write };
                if *reduce != Reduce::Set {
                    f(access(false), bounds);
                }
                f(access(true), bounds);
            }
        }
    }
}

fn reads(value: &Expr, bounds: &Bounds, f: &mut dyn FnMut(Reach, &Bounds)) {
    for access in value.accesses() {
        let guarded = access.outside.is_some();
        f(Reach { tensor: access.tensor, at: &access.at, guarded, write: false }, bounds);
    }
    value.indices().into_iter().for_each(|index| reads_of(index, bounds, f));
}

fn reads_of(index: &Index, bounds: &Bounds, f: &mut dyn FnMut(Reach, &Bounds)) {
    index.visit_atoms(&mut |atom| {
        if let Atom::Read(tensor, at) = atom {
            f(Reach { tensor: *tensor, at, guarded: false, write: false }, bounds);
        }
    });
}

/// A number that tells two elements of a buffer apart where it differs.
enum View {
    /// The index of one dimension.
    Dimension(usize),
    /// The row-major position.
    Position,
    /// The remainder of it.
    Modulo(i64),
}

/// All views of a buffer that the accesses of a loop suggest.
fn views(program: &Program, nest: &For, bounds: &Bounds, id: TensorId) -> Vec<View> {
    let shape = &program.buffer(id).shape;
    let mut strides = BTreeSet::new();
    reach(&nest.body, &bounds.inside(nest), &mut |reach, bounds| {
        if reach.tensor == id {
            let position = flatten(reach.at, shape, bounds.ranges());
            strides.extend(position.terms().iter().map(|(_, factor)| factor.abs()).filter(|n| *n > 1));
        }
    });
    let dimensions = (0..shape.len()).map(View::Dimension);
    dimensions.chain([View::Position]).chain(strides.into_iter().map(View::Modulo)).collect()
}

impl View {
    /// What the number of an access may be.
    fn range(&self, program: &Program, reach: &Reach, bounds: &Bounds) -> Range {
        let shape = &program.buffer(reach.tensor).shape;
        let position = || flatten(reach.at, shape, bounds.ranges());
        let index = match self {
            View::Dimension(d) => reach.at[*d].clone(),
            View::Position => position(),
            View::Modulo(n) => (position() % *n).simplify_in(bounds.ranges()),
        };
        match (bounds.range(&index), self) {
            (None, _) => Range::Anything,
            (Some((low, high)), View::Dimension(d)) if reach.guarded => {
                let (low, high) = (low.max(0), high.min(shape[*d] as i64 - 1));
                if low > high { Range::Nothing } else { Range::Between(low, high) }
            }
            (Some((low, high)), _) => Range::Between(low, high),
        }
    }
}

/// Where numbers are.
#[derive(Clone, Copy)]
enum Range {
    Nothing,
    /// Both included.
    Between(i64, i64),
    Anything,
}

impl Range {
    fn join(&mut self, other: Range) {
        *self = match (*self, other) {
            (Range::Nothing, own) | (own, Range::Nothing) => own,
            (Range::Between(a, b), Range::Between(c, d)) => Range::Between(a.min(c), b.max(d)),
            _ => Range::Anything,
        };
    }
}

/// Whether no two ranges have a number in common.
fn apart(ranges: Vec<Range>) -> bool {
    let mut known = vec![];
    for range in ranges {
        match range {
            Range::Nothing => {}
            Range::Between(low, high) => known.push((low, high)),
            Range::Anything => return false,
        }
    }
    known.sort_unstable();
    known.windows(2).all(|pair| pair[0].1 < pair[1].0)
}
