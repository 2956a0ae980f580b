//! How far an output must stay behind an input that dies as it is written.
//!
//! A kernel reads `input` for the last time while it writes `output`. The output may lie over the part of the input that is not
//! read any more: `distance` is the largest number of bytes by which a write, counted from the output's begin, is ahead of
//! a later read, counted from the input's begin. It is found by running the kernel's loops on addresses alone: a loop that
//! contains a store is run iteration by iteration, one that only reads is summed up by the range of its addresses.

use nablac_index::{Access, Atom, Expr, Index, Reduce, TensorId, row_major_strides};

use crate::program::{For, Kernel, Program, Statement};

/// The most accesses that a run of a kernel's addresses may record, and the most iterations that it may make.
const EVENTS: usize = 4_000_000;

/// The bytes that `output` must begin before `input`, if the kernel's addresses can be followed. Where a loop is parallel, one part may
/// be done with writing before another one begins to read.
pub(crate) fn distance(program: &Program, kernel: &Kernel, input: TensorId, output: TensorId) -> Option<i64> {
    if kernel.parts() > 1 {
        return None;
    }
    let traced = Traced { program, input, output };
    let mut run = Run { ranges: vec![(0, 0); kernel.variables.len()], events: vec![], iterations: 0 };
    run.all(&traced.body(&kernel.body))?;
    let mut earliest = i64::MAX;
    let mut distance = i64::MIN;
    for event in run.events.iter().rev() {
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

/// A kernel's code with everything but addresses taken away.
enum Step {
    Loop {
        variable: usize,
        lower: Vec<Address>,
        upper: Vec<Address>,
        step: usize,
        writes: bool,
        body: Vec<Step>,
    },
    /// A read of the input, at a byte address.
    Read(Address),
    /// A write of the output: the byte address behind it.
    Write(Address),
}

/// An index, quick to evaluate where it is affine.
enum Address {
    Affine(Vec<(usize, i64)>, i64),
    General(Index),
    /// Data decides.
    Unknown,
}

impl Address {
    fn new(index: Index) -> Address {
        let term = |(atom, factor): &(Atom, i64)| match atom {
            Atom::Loop(id) => Some((id.0 as usize, *factor)),
            _ => None,
        };
        match index.terms().iter().map(term).collect::<Option<_>>() {
            Some(terms) => Address::Affine(terms, index.offset()),
            None => Address::General(index),
        }
    }

    /// The smallest and largest value.
    fn range(&self, ranges: &[(i64, i64)]) -> Option<(i64, i64)> {
        match self {
            Address::Affine(terms, constant) => {
                Some(terms.iter().fold((*constant, *constant), |(low, high), &(variable, factor)| {
                    let (a, b) = ranges[variable];
                    (low + (a * factor).min(b * factor), high + (a * factor).max(b * factor))
                }))
            }
            Address::General(index) => index.range_in(ranges),
            Address::Unknown => None,
        }
    }
}

/// Takes a kernel's addresses out of its code.
struct Traced<'a> {
    program: &'a Program,
    input: TensorId,
    output: TensorId,
}

impl Traced<'_> {
    fn body(&self, body: &[Statement]) -> Vec<Step> {
        let mut steps = vec![];
        for statement in body {
            match statement {
                Statement::For(f) => steps.push(self.nest(f)),
                Statement::Use { body, .. } => steps.extend(self.body(body)),
                Statement::If { condition, body } => {
                    self.reads(condition, &[], &mut steps);
                    steps.extend(self.body(body));
                }
                Statement::Store { target, at, reduce, value } => {
                    self.reads(value, at, &mut steps);
                    if *target == self.input && *reduce != Reduce::Set {
                        steps.push(Step::Read(self.address(*target, at, 0)));
                    }
                    if *target == self.output {
                        steps.push(Step::Write(self.address(*target, at, 1)));
                    }
                }
            }
        }
        steps
    }

    fn nest(&self, f: &For) -> Step {
        let addresses = |bounds: &[Index]| bounds.iter().cloned().map(Address::new).collect();
        let body = self.body(&f.body);
        let writes = body.iter().any(|step| matches!(step, Step::Write(_) | Step::Loop { writes: true, .. }));
        let (lower, upper) = (addresses(&f.lower), addresses(&f.upper));
        Step::Loop { variable: f.variable.0 as usize, lower, upper, step: f.step, writes, body }
    }

    fn reads(&self, value: &Expr, at: &[Index], steps: &mut Vec<Step>) {
        for Access { tensor, at, .. } in value.accesses() {
            if *tensor == self.input {
                steps.push(Step::Read(self.address(*tensor, at, 0)));
            }
        }
        for index in value.indices().into_iter().chain(at) {
            index.visit_atoms(&mut |atom| {
                if let Atom::Read(tensor, at) = atom
                    && *tensor == self.input
                {
                    steps.push(Step::Read(self.address(*tensor, at, 0)));
                }
            });
        }
    }

    /// The byte address of the element `beyond` places behind `at`.
    fn address(&self, tensor: TensorId, at: &[Index], beyond: i64) -> Address {
        let buffer = self.program.buffer(tensor);
        let strides = row_major_strides(&buffer.shape);
        let flat = at.iter().zip(strides).fold(Index::constant(beyond), |flat, (i, s)| flat + i.clone() * s);
        let mut indirect = false;
        flat.visit_atoms(&mut |atom| indirect |= matches!(atom, Atom::Read(..)));
        if indirect { Address::Unknown } else { Address::new(flat * buffer.dtype.bytes() as i64) }
    }
}

/// A run of a kernel's addresses.
struct Run {
    ranges: Vec<(i64, i64)>,
    events: Vec<Event>,
    /// Of all loops; one over nothing takes time, too.
    iterations: usize,
}

impl Run {
    /// Records accesses in order; `None` where there are too many, or where a loop's bounds or a write's address is unknown.
    fn all(&mut self, steps: &[Step]) -> Option<()> {
        self.iterations += 1;
        if self.events.len().max(self.iterations) > EVENTS {
            return None;
        }
        for step in steps {
            match step {
                // A guarded read may lie before the begin; it is then not made.
                Step::Read(address) => {
                    let first = address.range(&self.ranges).map_or(0, |(low, _)| low.max(0));
                    self.events.push(Event::Read(first));
                }
                Step::Write(address) => {
                    let (_, end) = address.range(&self.ranges)?;
                    self.events.push(Event::Write(end));
                }
                Step::Loop { variable, lower, upper, step, writes, body } => {
                    let lower =
                        lower.iter().filter_map(|a| a.range(&self.ranges)).map(|(low, _)| low).max()?;
                    let upper =
                        upper.iter().filter_map(|a| a.range(&self.ranges)).map(|(_, high)| high).min()?;
                    if *writes {
                        for value in (lower..upper).step_by(*step) {
                            self.ranges[*variable] = (value, value);
                            self.all(body)?;
                        }
                    } else if lower < upper {
                        self.ranges[*variable] = (lower, upper - 1);
                        self.all(body)?;
                    }
                }
            }
        }
        Some(())
    }
}
