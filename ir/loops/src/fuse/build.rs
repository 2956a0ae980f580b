//! A segment as a repetition in time.
//!
//! Owns what its kernels become: each at one row, which is its last counter, with an index modulo the number of rows for what is a ring.

use std::collections::BTreeMap;

use nablac_index::{Access, Atom, Expr, Index, LoopId, TensorId};

use super::rows;
use super::segment::{Ring, Segment};
use crate::program::{Buffer, For, Kernel, Program, Receive, Repeat, Role, Statement, Step};
use crate::rename::rename;

/// The program with the segment as a repetition in time.
pub(super) fn build(program: &Program, segment: &Segment, rings: &BTreeMap<TensorId, Ring>) -> Program {
    let mut buffers = program.buffers.clone();
    for (id, ring) in rings.iter().filter(|(id, _)| !segment.inputs.contains(id)) {
        buffers[id.0 as usize].shape[ring.along] = ring.rows;
    }
    // Registers stand behind all buffers, and move up with their number.
    let old = buffers.len();
    let added = segment.inputs.len();
    let arrivals: BTreeMap<TensorId, TensorId> =
        segment.inputs.iter().enumerate().map(|(n, input)| (*input, TensorId((old + n) as u32))).collect();
    for input in &segment.inputs {
        let ring = rings[input];
        let own = program.buffer(*input);
        let mut shape = own.shape.clone();
        shape.remove(ring.along);
        shape.insert(0, ring.rows);
        let name = unused(program, &format!("{}.ring", own.name));
        buffers.push(Buffer { name, dtype: own.dtype, shape, role: Role::Local, offset: None });
    }
    let moved = |id: TensorId| match (id.0 as usize) < old {
        true => id,
        false => TensorId(id.0 + added as u32),
    };
    let rewriting = Rewriting { rings, arrivals: &arrivals, moved: &moved };
    let keep = |step: &Step| moved_up(step, &moved);
    let mut steps: Vec<Step> = program.steps[..segment.first].iter().map(keep).collect();
    steps.extend(rewriting.level(program, segment, 0, &mut vec![], Index::default()));
    steps.extend(program.steps[segment.first + segment.kernels.len()..].iter().map(keep));
    Program { buffers, steps, ..program.clone() }
}

/// A name that no buffer has yet.
fn unused(program: &Program, name: &str) -> String {
    let taken = |name: &str| {
        program.buffers.iter().any(|b| b.name == name)
            || program.kernels().iter().any(|k| k.registers.iter().any(|r| r.name == name))
    };
    let mut unique = name.to_string();
    while taken(&unique) {
        unique.push('_');
    }
    unique
}

/// A step with other ids for registers.
fn moved_up(step: &Step, moved: &dyn Fn(TensorId) -> TensorId) -> Step {
    let all = |steps: &[Step]| steps.iter().map(|step| moved_up(step, moved)).collect();
    match step {
        Step::Kernel(kernel) => {
            Step::Kernel(Kernel { body: rename(kernel.body.clone(), moved), ..kernel.clone() })
        }
        Step::Repeat(repeat) => Step::Repeat(Repeat { body: all(&repeat.body), ..repeat.clone() }),
        Step::Receive(receive) => Step::Receive(receive.clone()),
        Step::Branch { condition, then, otherwise } => {
            Step::Branch { condition: *condition, then: all(then), otherwise: all(otherwise) }
        }
    }
}

/// What indices of rings become.
struct Rewriting<'a> {
    rings: &'a BTreeMap<TensorId, Ring>,
    /// The buffers of inputs that come by rows.
    arrivals: &'a BTreeMap<TensorId, TensorId>,
    moved: &'a dyn Fn(TensorId) -> TensorId,
}

impl Rewriting<'_> {
    /// The loop in time at a level with all that is in it; `before` is the time of the levels around.
    fn level(
        &self,
        program: &Program,
        segment: &Segment,
        level: usize,
        counters: &mut Vec<String>,
        before: Index,
    ) -> Option<Step> {
        let extent = *segment.timing.extents.get(level)?;
        let counter = free_name(segment, counters, if level == 0 { "t" } else { "part" });
        let time = before * extent as i64 + Index::of_loop(LoopId(level as u32));
        counters.push(counter.clone());
        let mut body: Vec<Step> =
            self.level(program, segment, level + 1, counters, time.clone()).into_iter().collect();
        let here = |stage: &usize| segment.timing.levels[*stage] == level;
        for stage in (0..segment.timing.levels.len()).filter(here) {
            let row = time.clone() - segment.timing.delays[stage];
            body.push(self.stage(program, segment, stage, counters, row));
        }
        counters.pop();
        Some(Step::Repeat(Repeat { counter, extent, body, ..Repeat::default() }))
    }

    /// A stage at row `row`, if it has that.
    fn stage(
        &self,
        program: &Program,
        segment: &Segment,
        stage: usize,
        counters: &[String],
        row: Index,
    ) -> Step {
        let counter = free_name(segment, counters, "row");
        let depth = counters.len() as u32;
        let within = Some((row.clone(), row + 1));
        let own = Index::of_loop(LoopId(depth));
        let (extent, step) = match stage.checked_sub(segment.inputs.len()) {
            None => {
                let input = segment.inputs[stage];
                let ring = self.rings[&input];
                let extent = program.buffer(input).shape[ring.along];
                let slot = (own.clone() % ring.rows as i64).simplify_in(&ranges(depth, extent));
                let buffer = self.arrivals[&input];
                (extent, Step::Receive(Receive { input, along: ring.along, position: own, buffer, slot }))
            }
            Some(position) => {
                let names: Vec<String> = counters.iter().cloned().chain([counter.clone()]).collect();
                let extent = segment.rows[position].extent;
                (extent, Step::Kernel(self.kernel(segment.kernels[position], names, extent)))
            }
        };
        Step::Repeat(Repeat { counter, extent, within, body: vec![step], ..Repeat::default() })
    }

    /// A kernel at one row, which is its last counter.
    fn kernel(&self, kernel: &Kernel, counters: Vec<String>, extent: usize) -> Kernel {
        let Some(nest) = rows::row_loop(kernel) else { return kernel.clone() };
        let shift = counters.len() as u32;
        let row = LoopId(shift - 1);
        let of = |id: LoopId| match id == nest.variable {
            true => Index::of_loop(row),
            false => Index::of_loop(LoopId(id.0 + shift)),
        };
        let mut variables = counters;
        variables.extend(kernel.variables.iter().cloned());
        let mut ranges = ranges(shift - 1, extent);
        ranges.resize(variables.len(), (i64::MIN / 4, i64::MAX / 4));
        let body = self.body(&nest.body, &of, &ranges);
        Kernel { variables, body, ..kernel.clone() }
    }

    fn body(
        &self,
        body: &[Statement],
        of: &dyn Fn(LoopId) -> Index,
        ranges: &[(i64, i64)],
    ) -> Vec<Statement> {
        let index = |index: &Index| index.substitute(of).rebuild(&|atom| self.atom(atom));
        let expression = |value: &Expr| {
            value.rewrite(&mut |node| match node {
                Expr::Read(access) => {
                    let at: Vec<Index> = access.at.iter().map(index).collect();
                    let at = self.place(access.tensor, at);
                    Expr::Read(Access { tensor: self.buffer(access.tensor), at, ..access })
                }
                Expr::Index(own) => Expr::Index(index(&own)),
                other => other,
            })
        };
        let statement = |statement: &Statement| match statement {
            Statement::For(nest) => {
                let limits =
                    |limits: &[Index]| limits.iter().map(|limit| index(limit).simplify_in(ranges)).collect();
                let variable = LoopId(of(nest.variable).loops()[0].0);
                let body = self.body(&nest.body, of, ranges);
                Statement::For(For {
                    variable,
                    lower: limits(&nest.lower),
                    upper: limits(&nest.upper),
                    body,
                    ..*nest
                })
            }
            Statement::If { condition, body } => {
                Statement::If { condition: expression(condition), body: self.body(body, of, ranges) }
            }
            Statement::Use { instruction, body } => {
                Statement::Use { instruction: instruction.clone(), body: self.body(body, of, ranges) }
            }
            Statement::Store { target, at, reduce, value } => {
                let at: Vec<Index> = at.iter().map(index).collect();
                let at = self.place(*target, at);
                Statement::Store {
                    target: self.buffer(*target),
                    at,
                    reduce: *reduce,
                    value: expression(value),
                }
            }
        };
        body.iter().map(statement).collect()
    }

    fn atom(&self, atom: &Atom) -> Index {
        let inner = |index: &Index| index.rebuild(&|atom| self.atom(atom));
        match atom {
            Atom::Loop(id) => Index::of_loop(*id),
            Atom::Div(index, n) => inner(index) / *n,
            Atom::Mod(index, n) => inner(index) % *n,
            Atom::Read(tensor, at) => {
                let at = at.iter().map(inner).collect();
                Index::of_read(self.buffer(*tensor), self.place(*tensor, at))
            }
        }
    }

    fn buffer(&self, id: TensorId) -> TensorId {
        self.arrivals.get(&id).copied().unwrap_or((self.moved)(id))
    }

    /// The place of an element of a tensor of which a ring holds rows.
    fn place(&self, id: TensorId, mut at: Vec<Index>) -> Vec<Index> {
        let Some(ring) = self.rings.get(&id) else { return at };
        let row = at[ring.along].clone() % ring.rows as i64;
        if self.arrivals.contains_key(&id) {
            at.remove(ring.along);
            at.insert(0, row);
        } else {
            at[ring.along] = row;
        }
        at
    }
}

/// What is known of counters: the last one of `depth + 1` is below `extent`.
fn ranges(depth: u32, extent: usize) -> Vec<(i64, i64)> {
    let mut ranges = vec![(i64::MIN / 4, i64::MAX / 4); depth as usize];
    ranges.push((0, (extent as i64 - 1).max(0)));
    ranges
}

/// A counter's name that no counter around it and no loop of the kernels has.
fn free_name(segment: &Segment, counters: &[String], name: &str) -> String {
    let taken = |name: &String| {
        counters.contains(name) || segment.kernels.iter().any(|kernel| kernel.variables.contains(name))
    };
    let mut unique = name.to_string();
    while taken(&unique) {
        unique.push('_');
    }
    unique
}
