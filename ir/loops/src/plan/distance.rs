//! How far an output must stay behind an input that dies as it is written.
//!
//! A kernel reads `input` for the last time while it writes `output`. The output may lie over the part of the input that is not
//! read any more: `distance` is the largest number of bytes by which a write, counted from the output's begin, is ahead of
//! a later read, counted from the input's begin. It is found by running the kernel's loops on addresses alone: a loop that
//! only reads is summed up by the range of its addresses; one in which all reads move by the same step from iteration to iteration, and
//! all writes too, by its first iteration; any other loop that contains a store is run iteration by iteration.

use nablac_index::{Access, Atom, Expr, Index, LoopId, Reduce, TensorId, row_major_strides};

use crate::program::{For, Kernel, Program, Statement};

/// The most iterations that a run of a kernel's addresses may make: tenths of a second.
const ITERATIONS: usize = 4_000_000;

/// On which side of its input's begin an output begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Writes follow reads from low addresses to high ones.
    Below,
    /// Writes follow reads from high addresses to low ones.
    Above,
}

/// The bytes that `output` must begin before `input`, or behind it, if the kernel's addresses can be followed. Where a loop is parallel,
/// one part may be done with writing before another one begins to read.
pub(super) fn distance(
    program: &Program,
    kernel: &Kernel,
    input: TensorId,
    output: TensorId,
    side: Side,
) -> Option<i64> {
    measured(program, kernel, (input, output), side, true)
}

/// The same, with every loop that contains a store run iteration by iteration.
#[cfg(test)]
pub(super) fn distance_by_iterations(
    program: &Program,
    kernel: &Kernel,
    input: TensorId,
    output: TensorId,
    side: Side,
) -> Option<i64> {
    measured(program, kernel, (input, output), side, false)
}

fn measured(
    program: &Program,
    kernel: &Kernel,
    (input, output): (TensorId, TensorId),
    side: Side,
    sums_up: bool,
) -> Option<i64> {
    if kernel.parts() > 1 {
        return None;
    }
    let traced = Traced { program, input, output };
    let body = traced.body(&kernel.body);
    let bytes = |id: TensorId| program.buffer(id).bytes() as i64;
    let ranges = vec![(0, 0); kernel.variables.len()];
    let mut run = Run { ranges, side, input_bytes: bytes(input), iterations: 0, cut: false, sums_up };
    let summary = run.all(&body)?;
    // Nothing is read after the first write: the output may lie anywhere.
    let anywhere = match side {
        Side::Below => -bytes(input),
        Side::Above => -bytes(output),
    };
    Some(summary.distance.unwrap_or(anywhere))
}

/// What is left of a piece of code. Addresses are those of bytes, counted from the input's or the output's begin; on the side
/// `Above` they are negative, so that a piece that runs from high addresses to low ones looks like the others.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    /// The first byte that is read.
    earliest: Option<i64>,
    /// One past the last byte that is written.
    latest: Option<i64>,
    /// The largest difference between one past a byte that is written and one that is read later.
    distance: Option<i64>,
}

impl Summary {
    /// One piece, then another one.
    fn then(self, next: Summary) -> Summary {
        let across = self.latest.zip(next.earliest).map(|(latest, earliest)| latest - earliest);
        Summary {
            earliest: [self.earliest, next.earliest].into_iter().flatten().min(),
            latest: self.latest.max(next.latest),
            distance: self.distance.max(next.distance).max(across),
        }
    }

    /// `count` iterations, the first of which is this, with reads that move by `read` bytes from each to the next, and writes by `write`.
    fn repeated(self, count: i64, read: i64, write: i64) -> Summary {
        let last = count - 1;
        let within = self.distance.map(|distance| distance + (0).max((write - read) * last));
        // The best of all pairs of an iteration and a later one is at a corner of their triangle.
        let corners = [(0, 1), (0, last), (last - 1, last)];
        let ahead = corners.map(|(early, late)| write * early - read * late).into_iter().max().unwrap_or(0);
        let across = self.latest.zip(self.earliest).map(|(latest, earliest)| latest - earliest + ahead);
        Summary {
            earliest: self.earliest.map(|earliest| earliest + (read * last).min(0)),
            latest: self.latest.map(|latest| latest + (write * last).max(0)),
            distance: within.max(across.filter(|_| count > 1)),
        }
    }
}

/// A kernel's code with everything but addresses taken away.
enum Step {
    Loop {
        variable: usize,
        lower: Vec<Address>,
        upper: Vec<Address>,
        step: usize,
        writes: bool,
        /// By how many bytes all reads and all writes move with the variable, where they agree.
        moves: Option<(i64, i64)>,
        body: Vec<Step>,
    },
    /// A read of the input: the byte addresses of the element's begin and end.
    Read(Address, i64),
    /// A write of the output, likewise.
    Write(Address, i64),
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

    /// By how much it grows with a variable, if that is always the same.
    fn factor(&self, variable: usize) -> Option<i64> {
        match self {
            Address::Affine(terms, _) => {
                Some(terms.iter().filter(|(id, _)| *id == variable).map(|(_, factor)| factor).sum())
            }
            Address::General(index) => (!index.loops().contains(&LoopId(variable as u32))).then_some(0),
            Address::Unknown => Some(0),
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
                        steps.push(self.read(at));
                    }
                    if *target == self.output {
                        let bytes = self.program.buffer(*target).dtype.bytes() as i64;
                        steps.push(Step::Write(self.address(*target, at), bytes));
                    }
                }
            }
        }
        steps
    }

    fn nest(&self, f: &For) -> Step {
        let addresses = |bounds: &[Index]| bounds.iter().cloned().map(Address::new).collect();
        let body = self.body(&f.body);
        let writes =
            body.iter().any(|step| matches!(step, Step::Write(..) | Step::Loop { writes: true, .. }));
        let (lower, upper) = (addresses(&f.lower), addresses(&f.upper));
        let variable = f.variable.0 as usize;
        let moves = Moves::of(&body, variable).map(|moves| (moves.read, moves.write));
        let moves = moves.map(|(read, write)| (read.unwrap_or(0), write.unwrap_or(0)));
        Step::Loop { variable, lower, upper, step: f.step, writes, moves, body }
    }

    fn read(&self, at: &[Index]) -> Step {
        let bytes = self.program.buffer(self.input).dtype.bytes() as i64;
        Step::Read(self.address(self.input, at), bytes)
    }

    fn reads(&self, value: &Expr, at: &[Index], steps: &mut Vec<Step>) {
        for Access { tensor, at, .. } in value.accesses() {
            if *tensor == self.input {
                steps.push(self.read(at));
            }
        }
        for index in value.indices().into_iter().chain(at) {
            index.visit_atoms(&mut |atom| {
                if let Atom::Read(tensor, at) = atom
                    && *tensor == self.input
                {
                    steps.push(self.read(at));
                }
            });
        }
    }

    /// The byte address of an element.
    fn address(&self, tensor: TensorId, at: &[Index]) -> Address {
        let buffer = self.program.buffer(tensor);
        let strides = row_major_strides(&buffer.shape);
        let flat = at.iter().zip(strides).fold(Index::constant(0), |flat, (i, s)| flat + i.clone() * s);
        let mut indirect = false;
        flat.visit_atoms(&mut |atom| indirect |= matches!(atom, Atom::Read(..)));
        if indirect { Address::Unknown } else { Address::new(flat * buffer.dtype.bytes() as i64) }
    }
}

/// By how many bytes all reads and all writes of a body move with a variable.
#[derive(Clone, Copy, Default)]
struct Moves {
    read: Option<i64>,
    write: Option<i64>,
}

impl Moves {
    /// `None` where they do not agree, or where the variable says what inner loops run over.
    fn of(body: &[Step], variable: usize) -> Option<Moves> {
        let mut moves = Moves::default();
        moves.add(body, variable)?;
        Some(moves)
    }

    fn add(&mut self, body: &[Step], variable: usize) -> Option<()> {
        for step in body {
            match step {
                Step::Read(address, _) => agree(&mut self.read, address.factor(variable)?)?,
                Step::Write(address, _) => agree(&mut self.write, address.factor(variable)?)?,
                Step::Loop { lower, upper, body, .. } => {
                    let fixed = |bound: &Address| bound.factor(variable) == Some(0);
                    if !lower.iter().chain(upper).all(fixed) {
                        return None;
                    }
                    self.add(body, variable)?;
                }
            }
        }
        Some(())
    }
}

fn agree(known: &mut Option<i64>, factor: i64) -> Option<()> {
    (*known.get_or_insert(factor) == factor).then_some(())
}

/// A run of a kernel's addresses.
struct Run {
    ranges: Vec<(i64, i64)>,
    side: Side,
    input_bytes: i64,
    /// Of all loops; one over nothing takes time, too.
    iterations: usize,
    /// Whether loops whose accesses move evenly are summed up.
    sums_up: bool,
    /// Whether an address was cut to what is inside, so that it does not move as it seems to.
    cut: bool,
}

impl Run {
    /// Sums up accesses in order; `None` where there are too many, or where a loop's bounds or a write's address is unknown.
    fn all(&mut self, steps: &[Step]) -> Option<Summary> {
        self.iterations += 1;
        if self.iterations > ITERATIONS {
            return None;
        }
        let mut whole = Summary::default();
        for step in steps {
            let part = match step {
                Step::Read(address, bytes) => {
                    Summary { earliest: Some(self.first_read(address, *bytes)), ..Summary::default() }
                }
                Step::Write(address, bytes) => {
                    let (low, high) = address.range(&self.ranges)?;
                    let end = if self.side == Side::Below { high + bytes } else { -low };
                    Summary { latest: Some(end), ..Summary::default() }
                }
                Step::Loop { variable, lower, upper, step, writes, moves, body } => {
                    let lower =
                        lower.iter().filter_map(|a| a.range(&self.ranges)).map(|(low, _)| low).max()?;
                    let upper =
                        upper.iter().filter_map(|a| a.range(&self.ranges)).map(|(_, high)| high).min()?;
                    match writes {
                        true => self.writing(*variable, (lower, upper, *step as i64), *moves, body)?,
                        false if lower < upper => {
                            self.ranges[*variable] = (lower, upper - 1);
                            self.all(body)?
                        }
                        false => Summary::default(),
                    }
                }
            };
            whole = whole.then(part);
        }
        Some(whole)
    }

    /// A loop that contains a store.
    fn writing(
        &mut self,
        variable: usize,
        (lower, upper, step): (i64, i64, i64),
        moves: Option<(i64, i64)>,
        body: &[Step],
    ) -> Option<Summary> {
        let count = (upper - lower + step - 1).div_euclid(step);
        let at = |run: &mut Self, iteration: i64| {
            run.ranges[variable] = (lower + iteration * step, lower + iteration * step);
            run.all(body)
        };
        if let Some((read, write)) = moves.filter(|_| count > 2 && self.sums_up) {
            let cut_before = std::mem::replace(&mut self.cut, false);
            let first = at(self, 0)?;
            at(self, count - 1)?;
            // What is inside at both ends is inside between them.
            let cut = std::mem::replace(&mut self.cut, cut_before);
            if !cut {
                let sign = if self.side == Side::Below { step } else { -step };
                return Some(first.repeated(count, read * sign, write * sign));
            }
        }
        (0..count).try_fold(Summary::default(), |whole, iteration| Some(whole.then(at(self, iteration)?)))
    }

    /// The first byte that is read. A guarded read may lie outside; it is then not made.
    fn first_read(&mut self, address: &Address, bytes: i64) -> i64 {
        let range = address.range(&self.ranges);
        let (first, inside) = match self.side {
            Side::Below => range.map_or((0, 0), |(low, _)| (low, low.max(0))),
            Side::Above => {
                let whole = -self.input_bytes;
                range.map_or((whole, whole), |(_, high)| (-high - bytes, (-high - bytes).max(whole)))
            }
        };
        self.cut |= first != inside;
        inside
    }
}
