//! What a memory plan says of time: which buffers hold something at which moment, why, and what fills the arena most.
//!
//! Owns the question what the arena would be without a buffer. Places come from the plan; how they are shown is others' matter.

use std::collections::BTreeMap;

use nablac_index::TensorId;

use super::lifetime::{Lifetime, lifetimes};
use super::overlaps::Overlaps;
use super::place;
use crate::program::{Buffer, Kernel, Program, Repeat, Role, Step};

/// When the arena holds what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Occupancy {
    /// What happens at each moment, in order: the first is before all kernels, where the caller fills inputs, and the last behind all of
    /// them.
    pub moments: Vec<String>,
    /// The buffers in the arena that have bytes, in the program's order.
    pub lives: Vec<Life>,
}

/// A buffer in the arena.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life {
    /// The buffer.
    pub buffer: TensorId,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// Its bytes.
    pub bytes: usize,
    /// The first moment at which it holds something.
    pub first: usize,
    /// The last one; before `first` where nothing touches it.
    pub last: usize,
    /// The kernels that write it, in order.
    pub writers: Vec<String>,
    /// The kernels that read it, in order.
    pub readers: Vec<String>,
}

impl Occupancy {
    /// Of a program with a memory plan.
    pub fn of(program: &Program) -> Occupancy {
        let mut moments = vec!["before".to_string()];
        names(program, &program.steps, &mut moments);
        moments.push("behind".to_string());
        let (mut writers, mut readers) = (BTreeMap::new(), BTreeMap::new());
        for kernel in program.kernels() {
            let note = |users: &mut BTreeMap<TensorId, Vec<String>>, ids: Vec<TensorId>| {
                ids.into_iter().for_each(|id| users.entry(id).or_default().push(kernel.name.clone()));
            };
            note(&mut writers, kernel.writes(program.buffers.len()));
            note(&mut readers, kernel.reads(program.buffers.len()));
        }
        for receive in program.receives() {
            let rows = format!("rows of {}", program.buffer(receive.input).name);
            writers.entry(receive.buffer).or_default().push(rows);
        }
        // Time begins at -1, moments at 0.
        let moment = |time: i64| (time + 1).clamp(0, moments.len() as i64 - 1) as usize;
        let life = |((id, buffer), lifetime): ((TensorId, &Buffer), Lifetime)| {
            let alive = lifetime.first <= lifetime.last;
            Some(Life {
                buffer: id,
                offset: buffer.offset.filter(|_| !buffer.is_empty())?,
                bytes: buffer.bytes(),
                first: if alive { moment(lifetime.first) } else { 1 },
                last: if alive { moment(lifetime.last) } else { 0 },
                writers: writers.get(&id).cloned().unwrap_or_default(),
                readers: readers.get(&id).cloned().unwrap_or_default(),
            })
        };
        let lives = program.buffers().zip(lifetimes(program)).filter_map(life).collect();
        Occupancy { moments, lives }
    }

    /// What holds something at a moment, in the order of places.
    pub fn at(&self, moment: usize) -> Vec<&Life> {
        let mut alive: Vec<&Life> =
            self.lives.iter().filter(|life| (life.first..=life.last).contains(&moment)).collect();
        alive.sort_by_key(|life| (life.offset, life.bytes));
        alive
    }

    /// The bytes that hold something at a moment, each once.
    pub fn bytes_at(&self, moment: usize) -> usize {
        let mut end = 0;
        let mut bytes = 0;
        for life in self.at(moment) {
            let behind = life.offset + life.bytes;
            bytes += behind.saturating_sub(life.offset.max(end));
            end = end.max(behind);
        }
        bytes
    }

    /// The moment at which the most bytes hold something; the first of equals.
    pub fn peak(&self) -> usize {
        (0..self.moments.len()).rev().max_by_key(|moment| self.bytes_at(*moment)).unwrap_or(0)
    }
}

impl Life {
    /// Whether only one kernel uses it.
    pub fn is_scratch(&self, program: &Program) -> bool {
        let mut users = self.writers.iter().chain(&self.readers);
        let first = users.next();
        program.buffer(self.buffer).role == Role::Local && users.all(|user| Some(user) == first)
    }
}

/// The arena of a planned program if one of these buffers took no bytes, for each of them; the order of steps stays.
pub fn arena_without(program: &Program, buffers: &[TensorId]) -> Vec<usize> {
    let mut overlaps = Overlaps::default();
    let without = |id: &TensorId| place(program, &mut overlaps, &|other| other != *id).size as usize;
    buffers.iter().map(without).collect()
}

/// The name of what runs at each time, as `lifetime` counts it.
fn names(program: &Program, steps: &[Step], found: &mut Vec<String>) {
    for step in steps {
        match step {
            Step::Kernel(Kernel { name, .. }) => found.push(name.clone()),
            Step::Receive(receive) => found.push(format!("row of {}", program.buffer(receive.input).name)),
            Step::Repeat(Repeat { counter, body, .. }) => {
                found.push(format!("repeat {counter}"));
                names(program, body, found);
                found.push(format!("end of repeat {counter}"));
            }
            Step::Branch { then, otherwise, .. } => {
                found.push("branch".into());
                names(program, then, found);
                names(program, otherwise, found);
            }
        }
    }
}
