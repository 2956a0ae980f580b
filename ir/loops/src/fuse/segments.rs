//! Which kernels run row by row together.
//!
//! Owns the choice by what memory there is. A program is cut into segments; what two of them share is a whole tensor. A segment of one kernel takes what is
//! alive while that runs, less what its output may run into its dying input; one of several takes their rings and scratch, and what
//! is alive around it. Dynamic programming over the cuts finds the least peak, and within a peak the cuts that fuse the least work.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::TensorId;

use super::deliver;
use super::rows::{Rows, rows};
use super::segment::{fused, rings, users};
use crate::error::Error;
use crate::plan::{Lifetime, distance, kernels, lifetimes};
use crate::program::{Buffer, Delivery, Kernel, Program, Role};

/// A way to cut a program: the kernels of each segment that runs row by row, and the bytes that its model says it takes.
#[derive(Clone, PartialEq, Debug)]
pub struct Cuts {
    /// The kernels of each segment, by name.
    pub segments: Vec<Vec<String>>,
    /// The most bytes that are alive at once, by the model; the memory plan has the last word.
    pub peak: usize,
}

/// The most kernels of one segment: more do not occur between two whole tensors, and their analysis takes its time.
const LONGEST: usize = 48;

/// The cuts of a program worth trying, the least fused work first and the least memory last. Sums over rows must be taken row by row
/// in it already, where they can be (`lower` does so for kernels that a schedule fuses).
pub fn cuts(program: Program, deliveries: &BTreeMap<String, Delivery>) -> Result<Vec<Cuts>, Error> {
    let program = deliver(program, deliveries)?;
    let model = Model::new(&program);
    let segments = model.segments();
    let mut found: Vec<Cuts> = vec![];
    let mut bound = usize::MAX;
    while let Some(cuts) = model.least_work(&segments, bound) {
        bound = cuts.peak;
        found.push(cuts);
    }
    Ok(found)
}

/// What is known of the kernels in order.
struct Model<'p> {
    program: &'p Program,
    kernels: Vec<&'p Kernel>,
    /// When each runs, in the time of lifetimes; none inside of a repetition or branch.
    times: Vec<i64>,
    lifetimes: Vec<Lifetime>,
    rows: Vec<Option<Rows>>,
    private: BTreeSet<TensorId>,
    /// How many steps use each buffer.
    users: Vec<usize>,
    /// The bytes of what each kernel keeps to itself.
    scratch: Vec<usize>,
    /// What each takes that runs as it is; none where an input comes by rows.
    alone: Vec<Option<usize>>,
}

impl<'p> Model<'p> {
    fn new(program: &'p Program) -> Model<'p> {
        let users = users(program);
        let private = |id: TensorId| program.buffer(id).role == Role::Local && users[id.0 as usize] == 1;
        let timed = kernels(program);
        let timed = timed.iter().enumerate().filter_map(|(time, kernel)| Some((time as i64, (*kernel)?)));
        let (times, kernels): (Vec<i64>, Vec<&Kernel>) = timed.unzip();
        let count = program.buffers.len();
        let kept = |kernel: &&Kernel| -> usize {
            let own = kernel.writes(count).into_iter().filter(|id| private(*id));
            own.map(|id| program.buffer(id).bytes()).sum()
        };
        let mut model = Model {
            program,
            scratch: kernels.iter().map(kept).collect(),
            rows: kernels.iter().map(|kernel| rows(program, kernel, &private).ok()).collect(),
            private: program.buffers().map(|(id, _)| id).filter(|id| private(*id)).collect(),
            lifetimes: lifetimes(program),
            kernels,
            times,
            alone: vec![],
            users: users.clone(),
        };
        model.alone = (0..model.kernels.len()).map(|position| model.alone(position)).collect();
        model
    }

    fn bytes(&self, id: TensorId) -> usize {
        self.program.buffer(id).bytes()
    }

    /// The bytes that each segment takes that can be: from its first kernel to the one behind its last.
    fn segments(&self) -> BTreeMap<(usize, usize), usize> {
        let mut found = BTreeMap::new();
        for first in 0..self.kernels.len() {
            if let Some(bytes) = self.alone[first] {
                found.insert((first, first + 1), bytes);
            }
            for end in first + 1..=self.kernels.len().min(first + LONGEST) {
                if self.rows[end - 1].is_none()
                    || (end > first + 1 && self.times[end - 1] != self.times[end - 2] + 1)
                {
                    break;
                }
                if let Some(bytes) = self.together(first, end) {
                    found.entry((first, end)).or_insert(bytes);
                }
            }
        }
        found
    }

    /// What is alive at a time and has a place in the arena; `own` is left out.
    fn alive(&self, first: i64, last: i64, left_out: &dyn Fn(TensorId) -> bool) -> usize {
        let planned = |(id, buffer): &(TensorId, &Buffer)| {
            let lifetime = self.lifetimes[id.0 as usize];
            buffer.is_planned() && lifetime.first <= last && lifetime.last >= first && !left_out(*id)
        };
        self.program.buffers().filter(planned).map(|(_, buffer)| buffer.bytes()).sum()
    }

    /// A kernel that runs as it is; none where an input comes by rows.
    fn alone(&self, position: usize) -> Option<usize> {
        let (kernel, time) = (self.kernels[position], self.times[position]);
        let count = self.program.buffers.len();
        let by_rows = |id: &TensorId| self.program.buffer(*id).role == Role::Input(Delivery::Rows);
        if kernel.reads(count).iter().any(by_rows) {
            return None;
        }
        let all = self.alive(time, time, &|_| false);
        let dies = |id: &TensorId| {
            self.lifetimes[id.0 as usize].last == time && self.lifetimes[id.0 as usize].first < time
        };
        let begins =
            |id: &TensorId| self.lifetimes[id.0 as usize].first == time && !self.private.contains(id);
        let planned = |id: &TensorId| self.program.buffer(*id).is_planned();
        let saved = |output: TensorId, input: TensorId| {
            let alike = self.program.buffer(output).dtype == self.program.buffer(input).dtype;
            let behind = alike.then(|| distance(self.program, kernel, input, output)).flatten()?;
            let (inner, outer) = (self.bytes(input) as i64, self.bytes(output) as i64);
            Some((inner + outer - (behind.max(0) + inner).max(outer)).max(0) as usize)
        };
        let mut most = 0;
        for output in kernel.writes(count).into_iter().filter(begins).filter(planned) {
            for input in kernel.reads(count).into_iter().filter(dies).filter(planned) {
                most = most.max(saved(output, input).unwrap_or(0));
            }
        }
        Some(all - most)
    }

    /// Kernels that run row by row, in turn.
    fn together(&self, first: usize, end: usize) -> Option<usize> {
        let rows: Option<Vec<Rows>> = self.rows[first..end].iter().cloned().collect();
        let segment = fused(self.program, first, self.kernels[first..end].to_vec(), rows?).ok()?;
        if end == first + 1 && segment.inputs.is_empty() {
            return None;
        }
        let rings = rings(self.program, &segment, &self.users).ok()?;
        let held: usize = rings
            .iter()
            .map(|(id, ring)| self.bytes(*id) / self.program.buffer(*id).shape[ring.along].max(1) * ring.rows)
            .sum();
        let scratch = self.scratch[first..end].iter().copied().max().unwrap_or(0);
        let own = |id: TensorId| rings.contains_key(&id) || self.private.contains(&id);
        Some(held + scratch + self.alive(self.times[first], self.times[end - 1], &own))
    }

    /// The cuts whose segments all take less than `bound`, that fuse the least work, and among those the smallest.
    fn least_work(&self, segments: &BTreeMap<(usize, usize), usize>, bound: usize) -> Option<Cuts> {
        let count = self.kernels.len();
        // Fused work, peak and the begin of the last segment, for the kernels up to each.
        let mut best: Vec<Option<(u64, usize, usize)>> = vec![None; count + 1];
        best[0] = Some((0, 0, 0));
        for (&(first, end), &bytes) in segments.iter().filter(|(_, bytes)| **bytes < bound) {
            let Some((work, peak, _)) = best[first] else { continue };
            let by_rows = end > first + 1 || self.alone[first].is_none();
            let fused: u64 = self.kernels[first..end].iter().map(|kernel| kernel.macs.max(1)).sum();
            let own = (work + if by_rows { fused } else { 0 }, peak.max(bytes), first);
            if best[end].is_none_or(|other| (own.0, own.1) < (other.0, other.1)) {
                best[end] = Some(own);
            }
        }
        let (_, peak, _) = best[count]?;
        let (mut cuts, mut end) = (vec![], count);
        while end > 0 {
            let (_, _, first) = best[end]?;
            if end > first + 1 || self.alone[first].is_none() {
                cuts.push(self.kernels[first..end].iter().map(|kernel| kernel.name.clone()).collect());
            }
            end = first;
        }
        cuts.reverse();
        Some(Cuts { segments: cuts, peak })
    }
}
