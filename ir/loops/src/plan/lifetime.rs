//! When buffers are alive.
//!
//! Time is the position of kernels in the order of the text. What a repetition touches is alive during all of it, since another
//! iteration follows; except for what holds nothing when an iteration begins.

use std::collections::BTreeMap;

use nablac_index::{Index, LoopId, TensorId};

use crate::program::{Delivery, Kernel, Program, Repeat, Role, Statement, Step};

/// From the first kernel that touches a buffer to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lifetime {
    pub first: i64,
    pub last: i64,
}

/// What nothing touches.
const NEVER: Lifetime = Lifetime { first: i64::MAX, last: i64::MIN };

/// Before the first kernel: the caller fills the inputs, and states hold what the run before has left.
const BEFORE: i64 = -1;

/// The lifetime of every buffer; a buffer that nothing touches has an empty one.
pub(crate) fn lifetimes(program: &Program) -> Vec<Lifetime> {
    let mut lifetimes = vec![NEVER; program.buffers.len()];
    let mut time = 0;
    visit(program, &program.steps, 0, &mut time, &mut |id, first, last| {
        let lifetime: &mut Lifetime = &mut lifetimes[id.0 as usize];
        lifetime.first = lifetime.first.min(first);
        lifetime.last = lifetime.last.max(last);
    });
    for (lifetime, buffer) in lifetimes.iter_mut().zip(&program.buffers) {
        match buffer.role {
            Role::Input(Delivery::Rows | Delivery::External) => *lifetime = NEVER,
            Role::Input(Delivery::Whole) => {
                *lifetime = Lifetime { first: BEFORE, last: lifetime.last.max(BEFORE) }
            }
            Role::State(_) => *lifetime = Lifetime { first: BEFORE, last: time },
            Role::Output => *lifetime = Lifetime { first: lifetime.first.min(time), last: time },
            _ => {}
        }
    }
    // The states are copied behind the last kernel.
    for (_, state) in program.states() {
        let next = &mut lifetimes[state.next.0 as usize];
        *next = Lifetime { first: next.first.min(time), last: time };
    }
    lifetimes
}

/// Calls `touch` with each buffer that steps touch, and from when to when they need it. `depth` is the number of repetitions around.
fn visit(
    program: &Program,
    steps: &[Step],
    depth: u32,
    time: &mut i64,
    touch: &mut dyn FnMut(TensorId, i64, i64),
) {
    for step in steps {
        match step {
            Step::Kernel(kernel) => {
                let buffers = program.buffers.len();
                let ids = [kernel.reads(buffers), kernel.writes(buffers)].concat();
                ids.into_iter().for_each(|id| touch(id, *time, *time));
                *time += 1;
            }
            Step::Receive(receive) => {
                touch(receive.buffer, *time, *time);
                *time += 1;
            }
            Step::Repeat(Repeat { carried, body, .. }) => {
                let begin = *time;
                let held: Vec<TensorId> = carried.iter().flat_map(|c| [c.0, c.1, c.2]).collect();
                let fresh = written_anew(program, body, LoopId(depth));
                *time += 1; // the copies of the initial values
                let mut touched = vec![];
                visit(program, body, depth + 1, time, &mut |id, first, last| touched.push((id, first, last)));
                *time += 1; // the copies of the next values
                let end = *time - 1;
                held.iter().for_each(|id| touch(*id, begin, end));
                for (id, first, last) in touched.into_iter().filter(|(id, ..)| !held.contains(id)) {
                    match fresh.get(&id) {
                        Some(true) => touch(id, first, last),
                        _ => touch(id, begin, end),
                    }
                }
            }
            Step::Branch { condition, then, otherwise } => {
                touch(*condition, *time, *time);
                *time += 1;
                // Both sides take the same time: what one of them writes is alive through the whole branch.
                let begin = *time;
                let mut touched = vec![];
                for side in [then, otherwise] {
                    visit(program, side, depth, time, &mut |id, _, _| touched.push(id));
                }
                touched.into_iter().for_each(|id| touch(id, begin, *time - 1));
            }
        }
    }
}

/// The local buffers that a repetition's body writes, and whether an iteration needs nothing of what the one before left in them:
/// they are written at no index of the counter, nor of a counter inside that does not run through all of its values.
fn written_anew(program: &Program, body: &[Step], counter: LoopId) -> BTreeMap<TensorId, bool> {
    let mut anew = BTreeMap::new();
    slices(body, &mut vec![counter], counter.0 + 1, &mut |slicing, written| match written {
        Written::Kernel(kernel) => kernel.visit(&mut |statement| {
            let Statement::Store { target, at, .. } = statement else { return };
            if program.buffers.get(target.0 as usize).is_some_and(|b| b.role == Role::Local) {
                let sliced = at.iter().flat_map(Index::loops).any(|id| slicing.contains(&id));
                *anew.entry(*target).or_insert(true) &= !sliced;
            }
        }),
        Written::Row(buffer) => _ = anew.insert(buffer, false),
    });
    anew
}

/// What writes into buffers.
enum Written<'a> {
    Kernel(&'a Kernel),
    Row(TensorId),
}

/// Calls `f` with all that writes, and with the counters that say which part of a buffer.
fn slices(steps: &[Step], slicing: &mut Vec<LoopId>, depth: u32, f: &mut dyn FnMut(&[LoopId], Written)) {
    for step in steps {
        match step {
            Step::Kernel(kernel) => f(slicing, Written::Kernel(kernel)),
            Step::Receive(receive) => f(slicing, Written::Row(receive.buffer)),
            Step::Repeat(repeat) => {
                slicing.extend(repeat.within.iter().map(|_| LoopId(depth)));
                slices(&repeat.body, slicing, depth + 1, f);
                slicing.truncate(slicing.len() - usize::from(repeat.within.is_some()));
            }
            Step::Branch { then, otherwise, .. } => {
                slices(then, slicing, depth, f);
                slices(otherwise, slicing, depth, f);
            }
        }
    }
}

/// The kernel that runs at each time, where it is not inside of a repetition or a branch.
pub(crate) fn kernels(program: &Program) -> Vec<Option<&Kernel>> {
    let mut kernels = vec![];
    for step in &program.steps {
        let mut now = kernels.len() as i64;
        visit(program, std::slice::from_ref(step), 0, &mut now, &mut |_, _, _| {});
        kernels.push(match step {
            Step::Kernel(kernel) => Some(kernel),
            _ => None,
        });
        kernels.resize(now as usize, None);
    }
    kernels
}

/// The moments of a step, and what it touches in them.
pub(super) type Touches = (i64, BTreeMap<TensorId, (i64, i64)>);

/// How many moments a step takes, and which buffers it touches, from when to when.
pub(super) fn touches(program: &Program, step: &Step) -> Touches {
    let (mut touched, mut time) = (BTreeMap::new(), 0);
    visit(program, std::slice::from_ref(step), 0, &mut time, &mut |id, first, last| {
        let own: &mut (i64, i64) = touched.entry(id).or_insert((first, last));
        *own = (own.0.min(first), own.1.max(last));
    });
    (time, touched)
}
