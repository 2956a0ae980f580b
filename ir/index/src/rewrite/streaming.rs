//! A network over a window in time becomes one that is given what is new.
//!
//! Owns that rewrite. Of a tensor with rows in time, the rows of the next window are those of this one, moved up, but for rows near its two ends:
//! those see where the window begins and ends, through padding. A run computes the rows at the top that see the beginning, those at the bottom that
//! see the end, and those that are new; a state holds the rows between, from the run before. What adds up rows, or cannot be told apart by them,
//! is computed as before from whole tensors.
//!
//! In symbols: rows `i` of `y` read rows `s*i + low` to `s*i + high` of `x`. If `x` has `a` rows that see the beginning, then `y` has those with
//! `s*i + low < a`, and likewise at the end; and if the window moves by `q` rows of `x`, it moves by `q / s` rows of `y`.

use std::collections::{BTreeMap, BTreeSet};

use crate::array::Array;
use crate::dtype::Value;
use crate::error::Error;
use crate::expression::{Access, Expr};
use crate::index::{Atom, Index};
use crate::interpret::run;
use crate::program::{LoopId, Program, Reduce, Role, State, Statement, Step, TensorId};

use super::simplify;

/// A program that is given what is new.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// The program; its input has as many rows as a run takes.
    pub program: Program,
    /// How many that are.
    pub hop: usize,
}

/// Gives a program new rows of its input along dimension `along` run by run. Before the first run, all rows are `silence`.
pub fn stream(program: &Program, input: TensorId, along: usize, silence: Value) -> Result<Streamed, Error> {
    let name = &program.tensor(input).name;
    let refuse = |why: &str| Err(Error::invalid(format!("input `{name}`"), why));
    if along >= program.shape(input).len() {
        return refuse(&format!("it has no dimension {along}"));
    }
    if program.states().next().is_some() {
        return refuse("the network keeps states of its own: it is one over time already");
    }
    let analysis = Analysis::new(program, input, along);
    let hop = analysis.hop();
    if hop >= analysis.times[&input].extent {
        return refuse(&format!("its windows move by {hop} rows, which leaves nothing of the one before"));
    }
    let kept = analysis.kept(hop);
    if kept.len() < 2 {
        return refuse("no layer has rows that the next window has, too");
    }
    let pasts = analysis.pasts(&kept, input, silence)?;
    let program = simplify(Writer { analysis: &analysis, hop, kept: &kept }.program(input, pasts));
    Ok(Streamed { program, hop })
}

/// The rows in time of a tensor.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Time {
    /// The dimension along which they lie.
    along: usize,
    /// How many there are.
    extent: usize,
    /// How many rows of the input its window moves by when it moves by one.
    rate: usize,
    /// The rows that see the beginning of the window.
    top: usize,
    /// The rows that see its end.
    bottom: usize,
}

impl Time {
    /// How many rows are new when the input moves by `hop`.
    fn new_rows(&self, hop: usize) -> usize {
        hop / self.rate
    }

    /// The rows that the next window has, too.
    fn reused(&self, hop: usize) -> usize {
        self.extent.saturating_sub(self.top + self.bottom + self.new_rows(hop))
    }

    /// The first of the rows that are new or see the end.
    fn bottom_begin(&self, hop: usize) -> usize {
        self.extent - self.bottom - self.new_rows(hop)
    }

    /// The parts that are computed: the first row and how many.
    fn parts(&self, hop: usize) -> Vec<(Part, usize, usize)> {
        let begin = self.bottom_begin(hop);
        let parts = [(Part::Top, 0, self.top), (Part::Bottom, begin, self.extent - begin)];
        parts.into_iter().filter(|(_, _, count)| *count > 0).collect()
    }
}

/// A part of a tensor that is computed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Top,
    Bottom,
}

/// Row `i` of a statement's output reads rows `stride * i + low` to `stride * i + high` of a tensor.
#[derive(Clone, Copy, Debug)]
struct Reach {
    tensor: TensorId,
    stride: usize,
    low: i64,
    high: i64,
}

struct Analysis<'p> {
    program: &'p Program,
    times: BTreeMap<TensorId, Time>,
}

impl<'p> Analysis<'p> {
    fn new(program: &'p Program, input: TensorId, along: usize) -> Analysis<'p> {
        let extent = program.shape(input)[along];
        let first = Time { along, extent, rate: 1, top: 0, bottom: 0 };
        let mut analysis = Analysis { program, times: [(input, first)].into() };
        let mut written: BTreeSet<TensorId> = BTreeSet::new();
        for step in &program.steps {
            let Step::Statement(statement) = step else { continue };
            if written.insert(statement.out)
                && let Some(time) = analysis.time_of(statement.out)
            {
                analysis.times.insert(statement.out, time);
            }
        }
        analysis
    }

    fn writers(&self, out: TensorId) -> Vec<&'p Statement> {
        self.program.statements().into_iter().filter(|statement| statement.out == out).collect()
    }

    /// The rows in time of what statements at the top of the program write, if it has any.
    fn time_of(&self, out: TensorId) -> Option<Time> {
        let writers = self.writers(out);
        let at_top =
            self.program.steps.iter().filter(|s| matches!(s, Step::Statement(s) if s.out == out)).count();
        let along = writers.iter().find_map(|statement| self.along(statement))?;
        let extent = self.program.shape(out)[along];
        let mut time: Option<Time> = None;
        for statement in writers.iter().filter(|_| at_top == writers.len()) {
            for reach in self.reaches(statement, along)? {
                let read = self.times[&reach.tensor];
                let (stride, last) = (reach.stride as i64, read.extent as i64 - 1 - read.bottom as i64);
                let top =
                    (read.top as i64 - reach.low + stride - 1).div_euclid(stride).clamp(0, extent as i64);
                let inside = (last - reach.high).div_euclid(stride).clamp(-1, extent as i64 - 1);
                let bottom = (extent as i64 - 1 - inside) as usize;
                let own = Time { along, extent, rate: read.rate * reach.stride, top: top as usize, bottom };
                time = Some(match time {
                    None => own,
                    Some(before) if before.rate == own.rate => {
                        Time { top: before.top.max(own.top), bottom: before.bottom.max(own.bottom), ..own }
                    }
                    Some(_) => return None,
                });
            }
        }
        time
    }

    /// The dimension of what a statement writes that runs with rows in time which it reads.
    fn along(&self, statement: &Statement) -> Option<usize> {
        statement.accesses().into_iter().find_map(|access| {
            let time = self.times.get(&access.tensor)?;
            let loops = access.at[time.along].loops();
            statement.at.iter().position(|index| index.as_loop().is_some_and(|id| loops.contains(&id)))
        })
    }

    /// What each row along a dimension reads of tensors in time; none where rows are not alike.
    fn reaches(&self, statement: &Statement, along: usize) -> Option<Vec<Reach>> {
        let row = statement.at[along].as_loop()?;
        let uses = |index: &Index| index.loops().contains(&row);
        let covers = statement.loops[row.0 as usize].extent == self.program.shape(statement.out)[along];
        let elsewhere = statement.at.iter().enumerate().any(|(d, index)| d != along && uses(index));
        if !covers || elsewhere || statement.reduce == Reduce::ArgMax {
            return None;
        }
        let mut as_value = false;
        statement.body.visit(&mut |node| as_value |= matches!(node, Expr::Index(index) if uses(index)));
        if as_value {
            return None;
        }
        let extents: Vec<usize> = statement.loops.iter().map(|own| own.extent).collect();
        let mut found = vec![];
        for access in statement.accesses() {
            let time = self.times.get(&access.tensor);
            let other =
                access.at.iter().enumerate().any(|(d, i)| Some(d) != time.map(|t| t.along) && uses(i));
            let read = access.at.iter().any(|index| {
                let mut found = false;
                index.visit_atoms(&mut |atom| found |= matches!(atom, Atom::Read(..)));
                found
            });
            if other || (read && access.at.iter().any(uses)) {
                return None;
            }
            let Some(time) = time else { continue };
            let index = &access.at[time.along];
            let stride = index.factor(row);
            let rest = index.clone() - Index::of_loop(row) * stride;
            let (low, high) = rest.range(&extents).filter(|_| index.is_affine() && stride > 0)?;
            found.push(Reach { tensor: access.tensor, stride: stride as usize, low, high });
        }
        Some(found)
    }

    /// The rows of the input that windows move by: all tensors then move by whole rows.
    fn hop(&self) -> usize {
        fn gcd(a: usize, b: usize) -> usize {
            if b == 0 { a } else { gcd(b, a % b) }
        }
        self.times.values().fold(1, |hop, time| hop / gcd(hop, time.rate) * time.rate)
    }

    /// Whether a run computes parts of a tensor only.
    fn is_partial(&self, tensor: TensorId, hop: usize) -> bool {
        self.times.get(&tensor).is_some_and(|time| time.reused(hop) > 0)
    }

    /// The tensors whose other rows states keep, since somebody reads them: all others are needed in their computed parts only.
    fn kept(&self, hop: usize) -> BTreeSet<TensorId> {
        let partial = |id: &TensorId| self.is_partial(*id, hop);
        let mut kept: BTreeSet<TensorId> = self
            .times
            .keys()
            .copied()
            .filter(|id| partial(id) && matches!(self.program.tensor(*id).role, Role::Input | Role::Output))
            .collect();
        self.program.visit_statements(&mut |counters, statement| {
            let reaches = match self.times.get(&statement.out).filter(|_| partial(&statement.out)) {
                Some(time) if counters.is_empty() => self.reaches(statement, time.along),
                _ => None,
            };
            let Some(reaches) = reaches else {
                kept.extend(statement.reads().into_iter().filter(partial));
                return;
            };
            let own = self.times[&statement.out];
            for reach in reaches.into_iter().filter(|reach| partial(&reach.tensor)) {
                let read = self.times[&reach.tensor];
                let within = |&(part, first, count): &(Part, usize, usize)| {
                    let low = (reach.stride * first) as i64 + reach.low;
                    let high = (reach.stride * (first + count - 1)) as i64 + reach.high;
                    match part {
                        Part::Top => high.min(read.extent as i64 - 1) < read.top as i64,
                        Part::Bottom => low.max(0) >= read.bottom_begin(hop) as i64,
                    }
                };
                if !own.parts(hop).iter().all(within) {
                    kept.insert(reach.tensor);
                }
            }
        });
        kept
    }

    /// What the states hold before the first run: the rows that a window of silence has.
    fn pasts(
        &self,
        kept: &BTreeSet<TensorId>,
        input: TensorId,
        silence: Value,
    ) -> Result<BTreeMap<TensorId, Array>, Error> {
        let mut program = self.program.clone();
        for (id, tensor) in program.tensors.iter_mut().enumerate() {
            let shown = kept.contains(&TensorId(id as u32)) && tensor.role == Role::Local;
            if shown || tensor.role == Role::Output {
                tensor.role = Role::Output;
            }
        }
        let silent = |id: &TensorId| {
            let tensor = program.tensor(*id);
            let value = if *id == input { silence } else { Value::from_i64(tensor.dtype, 0) };
            Array::from_values(
                tensor.dtype,
                &tensor.shape,
                std::iter::repeat_n(value, tensor.shape.iter().product()),
            )
        };
        let inputs: Vec<Array> = program.inputs().iter().map(silent).collect();
        let outputs = run(&program, &inputs)?;
        let mut found: BTreeMap<TensorId, Array> = program.outputs().into_iter().zip(outputs).collect();
        found.extend(program.inputs().into_iter().zip(inputs));
        found.retain(|id, _| kept.contains(id));
        Ok(found)
    }
}

/// Writes the program that is given what is new.
struct Writer<'a> {
    analysis: &'a Analysis<'a>,
    hop: usize,
    kept: &'a BTreeSet<TensorId>,
}

impl Writer<'_> {
    fn program(&self, input: TensorId, pasts: BTreeMap<TensorId, Array>) -> Program {
        let source = self.analysis.program;
        let mut program = Program { steps: vec![], ..source.clone() };
        let partial: Vec<TensorId> = self
            .analysis
            .times
            .keys()
            .copied()
            .filter(|id| self.analysis.is_partial(*id, self.hop))
            .collect();
        // The input keeps its place and name, and what was the input is a window of it.
        let window = program.tensor(input).clone();
        let time = self.analysis.times[&input];
        program.tensors[input.0 as usize].shape[time.along] = self.hop;
        let name = format!("{}.window", window.name);
        let window = program.add_tensor(&name, window.dtype, &window.shape, Role::Local);
        let mut pieces: BTreeMap<(TensorId, Part), TensorId> = [((input, Part::Bottom), input)].into();
        for &id in partial.iter().filter(|id| **id != input) {
            let time = self.analysis.times[&id];
            let tensor = source.tensor(id).clone();
            for (part, _, count) in time.parts(self.hop) {
                let mut shape = tensor.shape.clone();
                shape[time.along] = count;
                let name = format!("{}.{}", tensor.name, if part == Part::Top { "top" } else { "new" });
                pieces.insert((id, part), program.add_tensor(&name, tensor.dtype, &shape, Role::Local));
            }
        }
        let whole = |id: TensorId| if id == input { window } else { id };
        let mut built = Built { writer: self, pieces, program };
        built.assemble(input, window, &pasts[&input]);
        for (position, step) in source.steps.iter().enumerate() {
            match step {
                Step::Statement(statement) if partial.contains(&statement.out) => {
                    built.parts(statement, &whole);
                    let later = &source.steps[position + 1..];
                    let again = |s: &Step| matches!(s, Step::Statement(s) if s.out == statement.out);
                    if self.kept.contains(&statement.out) && !later.iter().any(again) {
                        built.assemble(statement.out, statement.out, &pasts[&statement.out]);
                    }
                }
                step => {
                    let step = with_tensors(step.clone(), &whole);
                    built.program.steps.push(step);
                }
            }
        }
        built.program
    }
}

/// A step with other tensors read in the place of some.
fn with_tensors(step: Step, of: &dyn Fn(TensorId) -> TensorId) -> Step {
    let all = |steps: Vec<Step>| steps.into_iter().map(|step| with_tensors(step, of)).collect();
    match step {
        Step::Statement(statement) => {
            let body = statement.body.rewrite(&mut |node| match node {
                Expr::Read(a) => Expr::Read(Access { tensor: of(a.tensor), ..a }),
                other => other,
            });
            let statement = Statement { body, ..statement };
            Step::Statement(super::map_indices(statement, &|index| index.map_tensors(of)))
        }
        Step::Repeat(repeat) => {
            let mut repeat = repeat;
            repeat.carried.iter_mut().for_each(|carry| carry.initial = of(carry.initial));
            repeat.body = all(repeat.body);
            Step::Repeat(repeat)
        }
        Step::Branch(branch) => {
            let mut branch = branch;
            branch.condition = of(branch.condition);
            branch.then = all(branch.then);
            branch.otherwise = all(branch.otherwise);
            Step::Branch(branch)
        }
    }
}

/// The program so far.
struct Built<'a> {
    writer: &'a Writer<'a>,
    pieces: BTreeMap<(TensorId, Part), TensorId>,
    program: Program,
}

impl Built<'_> {
    /// The parts of what a statement writes.
    fn parts(&mut self, statement: &Statement, whole: &dyn Fn(TensorId) -> TensorId) {
        let Writer { analysis, hop, kept } = *self.writer;
        let time = analysis.times[&statement.out];
        let Some(row) = statement.at[time.along].as_loop() else { return };
        for (part, first, count) in time.parts(hop) {
            let mut loops = statement.loops.clone();
            loops[row.0 as usize].extent = count;
            // Row `i` of the part is row `first + i` of the tensor.
            let shifted = |index: &Index| {
                index.substitute(&|id| {
                    if id == row { Index::of_loop(id) + first as i64 } else { Index::of_loop(id) }
                })
            };
            let body = statement.body.rewrite(&mut |node| match node {
                Expr::Read(access) => {
                    let mut at: Vec<Index> = access.at.iter().map(&shifted).collect();
                    let partial = analysis.is_partial(access.tensor, hop) && !kept.contains(&access.tensor);
                    let tensor = match self.pieces.get(&(access.tensor, part)).filter(|_| partial) {
                        Some(&piece) => {
                            let read = analysis.times[&access.tensor];
                            let begin = if part == Part::Top { 0 } else { read.bottom_begin(hop) };
                            at[read.along] = at[read.along].clone() - begin as i64;
                            piece
                        }
                        None => whole(access.tensor),
                    };
                    Expr::Read(Access { tensor, at, ..access })
                }
                other => other,
            });
            let out = self.pieces[&(statement.out, part)];
            self.program.steps.push(Step::Statement(Statement { loops, out, body, ..statement.clone() }));
        }
    }

    /// Puts a tensor together from its parts and what is kept of the run before, and keeps what the next one needs.
    fn assemble(&mut self, id: TensorId, whole: TensorId, past: &Array) {
        let hop = self.writer.hop;
        let time = self.writer.analysis.times[&id];
        let tensor = self.program.tensor(whole).clone();
        let (reused, shift) = (time.reused(hop), time.new_rows(hop));
        let mut shape = tensor.shape.clone();
        shape[time.along] = reused;
        let next =
            self.program.add_tensor(&format!("{}.next", tensor.name), tensor.dtype, &shape, Role::Local);
        let initial = rows_of(past, time.along, time.top + shift, reused);
        let state = Role::State(State { initial, next });
        let past = self.program.add_tensor(&format!("{}.past", tensor.name), tensor.dtype, &shape, state);
        for (part, first, count) in time.parts(hop) {
            let piece = self.pieces[&(id, part)];
            self.copy((whole, first), (piece, 0), time.along, count);
        }
        self.copy((whole, time.top), (past, 0), time.along, reused);
        self.copy((next, 0), (whole, time.top + shift), time.along, reused);
    }

    /// `to[i + first] = from[i + first]` for so many rows.
    fn copy(&mut self, to: (TensorId, usize), from: (TensorId, usize), along: usize, rows: usize) {
        let mut extents = self.program.shape(to.0).to_vec();
        extents[along] = rows;
        let axes = crate::build::axes(&extents).into_iter();
        let loops = axes.map(|(name, extent)| crate::program::Loop { name: name.into(), extent }).collect();
        let at = |first: usize| -> Vec<Index> {
            let index =
                |d: usize| Index::of_loop(LoopId(d as u32)) + if d == along { first as i64 } else { 0 };
            (0..extents.len()).map(index).collect()
        };
        let body = Expr::read(from.0, at(from.1));
        let label = String::new();
        let statement = Statement { label, loops, out: to.0, at: at(to.1), reduce: Reduce::Set, body };
        self.program.steps.push(Step::Statement(statement));
    }
}

/// Some rows of an array along a dimension.
fn rows_of(array: &Array, along: usize, first: usize, count: usize) -> Array {
    let shape = array.shape();
    let behind: usize = shape[along + 1..].iter().product();
    let before: usize = shape[..along].iter().product();
    let mut own = shape.to_vec();
    own[along] = count;
    let positions = (0..before).flat_map(|outer| {
        let begin = (outer * shape[along] + first) * behind;
        begin..begin + count * behind
    });
    Array::from_values(array.dtype(), &own, positions.map(|position| array.get(position)))
}
