//! Kernels that run row by row, in turn, so that a row is there when it is needed and no longer.
//!
//! Owns the rewrite of a run of kernels into a repetition in time, in which each of them is at a row of its own (`timing`): what only they use
//! becomes a ring of the rows that are alive, which an index modulo their number reaches. No row is computed twice. What a kernel's rows are is read off its
//! nest (`rows`); which kernels run so is said by schedules, or chosen by what memory there is.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{Access, Atom, Expr, Index, LoopId, TensorId};

use crate::error::Error;
use crate::number::number_variables;
use crate::program::{Buffer, Delivery, For, Kernel, Program, Receive, Repeat, Role, Statement, Step};
use crate::schedule::{Name, Schedules};

mod rows;
mod timing;

use rows::{Rows, rows};
use timing::{Need, Stage, Timing};

/// The same program with what `schedules` fuses running row by row, and with inputs delivered as `deliveries` says, by name.
pub fn fuse(
    program: Program,
    schedules: &Schedules,
    deliveries: &BTreeMap<String, Delivery>,
) -> Result<Program, Error> {
    let mut program = deliver(program, deliveries)?;
    let mut segments: Vec<Vec<Name>> = schedules.fused().map(<[Name]>::to_vec).collect();
    segments.extend(readers_of_rows(&program, &segments));
    for segment in &segments {
        program = fuse_segment(program, segment)?;
    }
    let left = |b: &&Buffer| b.role == Role::Input(Delivery::Rows);
    if let Some(input) = program.buffers.iter().find(left)
        && !program.receives().iter().any(|r| program.buffer(r.input).name == input.name)
    {
        let message = format!("input `{}` cannot come by rows: nothing reads it", input.name);
        return Err(Error::Delivery { message });
    }
    Ok(number_variables(program))
}

/// Sets how inputs reach the program.
fn deliver(mut program: Program, deliveries: &BTreeMap<String, Delivery>) -> Result<Program, Error> {
    for (name, delivery) in deliveries {
        let input = program.buffers.iter_mut().find(|b| b.name == *name && matches!(b.role, Role::Input(_)));
        match input {
            Some(input) => input.role = Role::Input(*delivery),
            None => return Err(Error::Delivery { message: format!("there is no input `{name}`") }),
        }
    }
    Ok(program)
}

/// The kernels that read inputs which come by rows, where no segment has them yet: each is one by itself.
fn readers_of_rows(program: &Program, segments: &[Vec<Name>]) -> Vec<Vec<Name>> {
    let by_rows: Vec<TensorId> =
        program.buffers().filter(|(_, b)| b.role == Role::Input(Delivery::Rows)).map(|(id, _)| id).collect();
    let count = program.buffers.len();
    let reads = |kernel: &&Kernel| kernel.reads(count).iter().any(|id| by_rows.contains(id));
    let has = |kernel: &Kernel| segments.iter().flatten().any(|name| name.text == kernel.name);
    let kernels = program.kernels().into_iter().filter(reads).filter(|kernel| !has(kernel));
    kernels.map(|kernel| vec![Name::from(kernel.name.as_str())]).collect()
}

/// A run of kernels at the top of a program, with the stages that they are.
struct Segment<'p> {
    /// The position of the first among the program's steps.
    first: usize,
    kernels: Vec<&'p Kernel>,
    rows: Vec<Rows>,
    /// Inputs that come by rows: stages in front of the kernels.
    inputs: Vec<TensorId>,
    timing: Timing,
}

fn fuse_segment(program: Program, names: &[Name]) -> Result<Program, Error> {
    let segment = segment(&program, names)?;
    let rings = rings(&program, &segment)?;
    Ok(build(&program, &segment, &rings))
}

/// How many kernels use each buffer.
fn users(program: &Program) -> Vec<usize> {
    let count = program.buffers.len();
    let mut users = vec![0; count];
    for kernel in program.kernels() {
        let ids: BTreeSet<TensorId> = kernel.reads(count).into_iter().chain(kernel.writes(count)).collect();
        ids.into_iter().for_each(|id| users[id.0 as usize] += 1);
    }
    users
}

fn segment<'p>(program: &'p Program, names: &[Name]) -> Result<Segment<'p>, Error> {
    let place = names.first().map(|name| name.place).unwrap_or_default();
    let refuse = |message: String| Err(Error::schedule(place, message));
    let kernel = |step: &'p Step| match step {
        Step::Kernel(kernel) => Some(kernel),
        _ => None,
    };
    let position =
        |name: &Name| program.steps.iter().position(|s| kernel(s).is_some_and(|k| k.name == name.text));
    let mut positions = vec![];
    for name in names {
        let Some(position) = position(name) else {
            let message = format!("there is no kernel `{}` that could run by rows", name.text);
            return Err(Error::schedule(name.place, message));
        };
        positions.push(position);
    }
    let first = positions.first().copied().unwrap_or_default();
    if let Some((name, _)) =
        names.iter().zip(&positions).enumerate().find(|(n, (_, at))| **at != first + n).map(|(_, own)| own)
    {
        let message = format!("kernel `{}` does not come right behind the one in front of it", name.text);
        return Err(Error::schedule(name.place, message));
    }
    let users = users(program);
    let private = |id: TensorId| program.buffer(id).role == Role::Local && users[id.0 as usize] == 1;
    let kernels: Vec<&Kernel> = program.steps[first..][..names.len()].iter().filter_map(kernel).collect();
    let mut all = vec![];
    for (kernel, name) in kernels.iter().zip(names) {
        let own = rows(program, kernel, &private);
        let own = own.map_err(|why| {
            Error::schedule(name.place, format!("kernel `{}` cannot run by rows: {why}", kernel.name))
        })?;
        all.push(own);
    }
    let by_rows = |id: &TensorId| program.buffer(*id).role == Role::Input(Delivery::Rows);
    let inputs: BTreeSet<TensorId> =
        all.iter().flat_map(|rows| rows.reads.keys().copied()).filter(by_rows).collect();
    let inputs: Vec<TensorId> = inputs.into_iter().collect();
    let stages = match stages(program, &kernels, &all, &inputs) {
        Ok(stages) => stages,
        Err(message) => return refuse(message),
    };
    match timing::timing(&stages) {
        Ok(timing) => Ok(Segment { first, kernels, rows: all, inputs, timing }),
        Err(why) => refuse(format!("these kernels cannot run by rows together: {why}")),
    }
}

/// The stages of inputs, then those of kernels.
fn stages(
    program: &Program,
    kernels: &[&Kernel],
    rows: &[Rows],
    inputs: &[TensorId],
) -> Result<Vec<Stage>, String> {
    let mut stages: Vec<Stage> = vec![];
    for input in inputs {
        let along = rows.iter().find_map(|own| own.reads.get(input)).map_or(0, |window| window.along);
        stages.push(Stage { extent: program.buffer(*input).shape[along], reads: vec![] });
    }
    for (position, own) in rows.iter().enumerate() {
        let producer = |id: &TensorId| {
            let earlier = rows[..position].iter().rposition(|other| other.writes.contains_key(id));
            inputs.iter().position(|input| input == id).or(earlier.map(|p| inputs.len() + p))
        };
        let name = |id: &TensorId| &program.buffer(*id).name;
        if let Some(id) = own.whole.iter().find(|id| producer(id).is_some()) {
            return Err(format!("kernel `{}` needs all of `{}` at once", kernels[position].name, name(id)));
        }
        let mut reads = vec![];
        for (id, window) in &own.reads {
            let Some(producer) = producer(id) else { continue };
            let written = producer.checked_sub(inputs.len()).and_then(|p| rows[p].writes[id]);
            if written != Some(window.along) && producer >= inputs.len() {
                return Err(format!("`{}` is written along another dimension than it is read", name(id)));
            }
            reads.push(Need { producer, stride: window.stride, low: window.low, high: window.high });
        }
        if let Some(id) = own.writes.keys().find(|id| producer(id).is_some()) {
            return Err(format!("`{}` is written by two of them", name(id)));
        }
        stages.push(Stage { extent: own.extent, reads });
    }
    Ok(stages)
}

/// A buffer that holds some of a tensor's rows.
#[derive(Clone, Copy)]
struct Ring {
    /// The dimension along which they lie.
    along: usize,
    /// How many it holds.
    rows: usize,
}

/// What only this segment uses, and the inputs that come by rows, as rings.
fn rings(program: &Program, segment: &Segment) -> Result<BTreeMap<TensorId, Ring>, Error> {
    let users = users(program);
    let count = program.buffers.len();
    let used_here = |id: TensorId| {
        let touches =
            |kernel: &&&Kernel| kernel.reads(count).contains(&id) || kernel.writes(count).contains(&id);
        segment.kernels.iter().filter(touches).count()
    };
    let held = program.states().map(|(_, state)| state.next).collect::<Vec<_>>();
    let alive = |stage: usize| segment.timing.alive[stage];
    let mut rings = BTreeMap::new();
    for (stage, input) in segment.inputs.iter().enumerate() {
        if used_here(*input) != users[input.0 as usize] {
            let message = format!(
                "input `{}` cannot come by rows: others than these kernels read it, too",
                program.buffer(*input).name
            );
            return Err(Error::Delivery { message });
        }
        let along = segment.rows.iter().find_map(|own| own.reads.get(input)).map_or(0, |window| window.along);
        rings.insert(*input, Ring { along, rows: alive(stage) });
    }
    for (position, rows) in segment.rows.iter().enumerate() {
        for (&id, along) in &rows.writes {
            let Some(along) = *along else { continue };
            let inner = program.buffer(id).role == Role::Local && !held.contains(&id);
            if inner && used_here(id) == users[id.0 as usize] && used_here(id) > 1 {
                rings.insert(id, Ring { along, rows: alive(segment.inputs.len() + position) });
            }
        }
    }
    let guarded =
        |id: &TensorId| segment.rows.iter().any(|rows| rows.reads.get(id).is_some_and(|w| w.guarded));
    match rings.keys().find(|id| guarded(id)) {
        None => Ok(rings),
        Some(id) => {
            let message = format!(
                "a kernel tests for each element of `{}` whether it is inside",
                program.buffer(*id).name
            );
            Err(Error::Delivery { message })
        }
    }
}

/// The program with the segment as a repetition in time.
fn build(program: &Program, segment: &Segment, rings: &BTreeMap<TensorId, Ring>) -> Program {
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
            Step::Kernel(Kernel { body: crate::rename::rename(kernel.body.clone(), moved), ..kernel.clone() })
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
