//! How far an output must stay behind an input that dies as it is written.
//!
//! A kernel reads `input` for the last time while it writes `output`. The output may lie over the part of the input that is not
//! read any more: `distance` is the largest number of bytes by which a write, counted from the output's begin, is ahead of
//! a later read, counted from the input's begin. It is found by running the kernel's loops on addresses alone: a loop that
//! contains a store is run iteration by iteration, one that only reads is summed up by the range of its addresses.

use nablac_index::{Access, Atom, Expr, Index, TensorId, row_major_strides};

use crate::program::{For, Kernel, Program, Statement};

/// The most accesses that a run of a kernel's addresses may record.
const EVENTS: usize = 4_000_000;

/// The bytes that `output` must begin before `input`, if the kernel's addresses can be followed.
pub(super) fn distance(program: &Program, kernel: &Kernel, input: TensorId, output: TensorId) -> Option<i64> {
    let mut trace =
        Trace { program, input, output, ranges: vec![(0, 0); kernel.variables.len()], events: vec![] };
    trace.run(&kernel.body)?;
    let mut earliest = i64::MAX;
    let mut distance = i64::MIN;
    for event in trace.events.iter().rev() {
        match event {
            Event::Read(begin) => earliest = earliest.min(*begin),
            Event::Write(end) if earliest < i64::MAX => distance = distance.max(end - earliest),
            Event::Write(_) => {}
        }
    }
    // Nothing is read after the first write: the output may lie anywhere.
    Some(if distance == i64::MIN { -(program.buffer(input).bytes() as i64) } else { distance })
}

enum Event {
    /// The first byte that is read, counted from the input's begin.
    Read(i64),
    /// One past the last byte that is written, counted from the output's begin.
    Write(i64),
}

struct Trace<'a> {
    program: &'a Program,
    input: TensorId,
    output: TensorId,
    ranges: Vec<(i64, i64)>,
    events: Vec<Event>,
}

impl Trace<'_> {
    /// Records the accesses of `body` in order; `None` where there are too many.
    fn run(&mut self, body: &[Statement]) -> Option<()> {
        if self.events.len() > EVENTS {
            return None;
        }
        body.iter().try_for_each(|statement| match statement {
            Statement::For(f) => self.run_loop(f),
            Statement::If { condition, body } => {
                self.read(condition, &[]);
                self.run(body)
            }
            Statement::Store { target, at, reduce, value } => {
                self.read(value, at);
                if *target == self.input && *reduce != nablac_index::Reduce::Set {
                    self.read_at(*target, at);
                }
                if *target == self.output {
                    let bytes = self.program.buffer(*target).dtype.bytes() as i64;
                    let last = self.flat(*target, at).and_then(|i| i.range_in(&self.ranges));
                    let whole = self.program.buffer(*target).bytes() as i64;
                    let end = last.map_or(whole, |(_, high)| ((high + 1) * bytes).min(whole));
                    self.events.push(Event::Write(end));
                }
                Some(())
            }
        })
    }

    fn run_loop(&mut self, f: &For) -> Option<()> {
        let bound = |index: &Index, ranges: &[(i64, i64)]| index.range_in(ranges);
        let lower = f.lower.iter().filter_map(|i| bound(i, &self.ranges)).map(|(low, _)| low).max()?;
        let upper = f.upper.iter().filter_map(|i| bound(i, &self.ranges)).map(|(_, high)| high).min()?;
        let variable = f.variable.0 as usize;
        if stores(&f.body, self.output) {
            for value in (lower..upper).step_by(f.step) {
                self.ranges[variable] = (value, value);
                self.run(&f.body)?;
            }
            return Some(());
        }
        if lower < upper {
            self.ranges[variable] = (lower, upper - 1);
            self.run(&f.body)?;
        }
        Some(())
    }

    fn read(&mut self, value: &Expr, at: &[Index]) {
        for access in value.accesses() {
            if access.tensor == self.input {
                let Access { tensor, at, .. } = access;
                self.read_at(*tensor, at);
            }
        }
        let mut indirect = vec![];
        for index in value.indices().into_iter().chain(at) {
            index.visit_atoms(&mut |atom| {
                if let Atom::Read(tensor, at) = atom
                    && *tensor == self.input
                {
                    indirect.push(at.clone());
                }
            });
        }
        indirect.iter().for_each(|at| self.read_at(self.input, at));
    }

    fn read_at(&mut self, tensor: TensorId, at: &[Index]) {
        let bytes = self.program.buffer(tensor).dtype.bytes() as i64;
        let first =
            self.flat(tensor, at).and_then(|i| i.range_in(&self.ranges)).map_or(0, |(low, _)| low.max(0));
        self.events.push(Event::Read(first * bytes));
    }

    /// The address in elements; `None` where data decides it.
    fn flat(&self, tensor: TensorId, at: &[Index]) -> Option<Index> {
        let strides = row_major_strides(&self.program.buffer(tensor).shape);
        let flat = at.iter().zip(strides).fold(Index::default(), |flat, (index, s)| flat + index.clone() * s);
        flat.range_in(&self.ranges).map(|_| flat)
    }
}

fn stores(body: &[Statement], target: TensorId) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Store { target: own, .. } => *own == target,
        Statement::For(For { body, .. }) | Statement::If { body, .. } => stores(body, target),
    })
}
