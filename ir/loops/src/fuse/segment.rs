//! A run of kernels as stages that run row by row.
//!
//! Owns whether kernels can be that, and which of their tensors become rings.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::TensorId;

use super::rows::{Rows, rows};
use super::timing::{self, Need, Stage, Timing};
use crate::error::Error;
use crate::program::{Delivery, Kernel, Program, Role, Step};
use crate::schedule::Name;

/// A run of kernels at the top of a program, with the stages that they are.
pub(super) struct Segment<'p> {
    /// The position of the first among the program's steps.
    pub first: usize,
    pub kernels: Vec<&'p Kernel>,
    pub rows: Vec<Rows>,
    /// Inputs that come by rows: stages in front of the kernels.
    pub inputs: Vec<TensorId>,
    pub timing: Timing,
}

/// A buffer that holds some of a tensor's rows.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    /// The dimension along which they lie.
    pub along: usize,
    /// How many it holds.
    pub rows: usize,
}

/// How many kernels and other steps use each buffer.
pub(super) fn users(program: &Program) -> Vec<usize> {
    let count = program.buffers.len();
    let mut users = vec![0; count];
    program.visit_steps(&mut |step| {
        let ids: BTreeSet<TensorId> = match step {
            Step::Kernel(kernel) => kernel.reads(count).into_iter().chain(kernel.writes(count)).collect(),
            Step::Repeat(repeat) => repeat.carried.iter().flat_map(|c| [c.0, c.1, c.2]).collect(),
            Step::Receive(receive) => [receive.input, receive.buffer].into(),
            Step::Branch { condition, .. } => [*condition].into(),
        };
        ids.into_iter().for_each(|id| users[id.0 as usize] += 1);
    });
    users
}

pub(super) fn segment<'p>(program: &'p Program, names: &[Name]) -> Result<Segment<'p>, Error> {
    let place = names.first().map(|name| name.place).unwrap_or_default();
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
    fused(program, first, kernels, all).map_err(|why| Error::schedule(place, why))
}

/// The segment of kernels whose rows are known, the first of which is at a position of the program's steps; or why there is none.
pub(super) fn fused<'p>(
    program: &Program,
    first: usize,
    kernels: Vec<&'p Kernel>,
    rows: Vec<Rows>,
) -> Result<Segment<'p>, String> {
    let by_rows = |id: &TensorId| program.buffer(*id).role == Role::Input(Delivery::Rows);
    let inputs: BTreeSet<TensorId> =
        rows.iter().flat_map(|rows| rows.reads.keys().copied()).filter(by_rows).collect();
    let inputs: Vec<TensorId> = inputs.into_iter().collect();
    let stages = stages(program, &kernels, &rows, &inputs)?;
    let timing = timing::timing(&stages);
    let timing = timing.map_err(|why| format!("these kernels cannot run by rows together: {why}"))?;
    Ok(Segment { first, kernels, rows, inputs, timing })
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
        let before = |id: &&TensorId| {
            rows[..position].iter().any(|other| other.reads.contains_key(id) || other.whole.contains(id))
        };
        if let Some(id) = own.writes.keys().find(before) {
            return Err(format!("`{}` is read by one of them and written by a later one", name(id)));
        }
        if let Some(id) = own.writes.keys().find(|id| producer(id).is_some()) {
            return Err(format!("`{}` is written by two of them", name(id)));
        }
        stages.push(Stage { extent: own.extent, reads });
    }
    Ok(stages)
}

/// What only this segment uses, and the inputs that come by rows, as rings; `users` is how many steps use each buffer.
pub(super) fn rings(
    program: &Program,
    segment: &Segment,
    users: &[usize],
) -> Result<BTreeMap<TensorId, Ring>, Error> {
    let used_here = |id: TensorId| {
        let uses = |rows: &&Rows| {
            rows.reads.contains_key(&id) || rows.writes.contains_key(&id) || rows.whole.contains(&id)
        };
        segment.rows.iter().filter(uses).count()
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
