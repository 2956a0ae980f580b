//! When buffers are alive.
//!
//! Time is the position of kernels in the order of the text. What a repetition touches is alive during all of it: another
//! iteration follows.

use nablac_index::TensorId;

use crate::program::{Kernel, Program, Role, Step};

/// From the first kernel that touches a buffer to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lifetime {
    pub first: i64,
    pub last: i64,
}

/// Before the first kernel: the caller fills the inputs, and states hold what the run before has left.
const BEFORE: i64 = -1;

/// The lifetime of every buffer; a buffer that nothing touches has an empty one.
pub(super) fn lifetimes(program: &Program) -> Vec<Lifetime> {
    let mut lifetimes = vec![Lifetime { first: i64::MAX, last: i64::MIN }; program.buffers.len()];
    let mut time = 0;
    visit(program, &program.steps, &mut time, &mut |id, first, last| {
        let lifetime: &mut Lifetime = &mut lifetimes[id.0 as usize];
        lifetime.first = lifetime.first.min(first);
        lifetime.last = lifetime.last.max(last);
    });
    for (lifetime, buffer) in lifetimes.iter_mut().zip(&program.buffers) {
        match buffer.role {
            Role::Input => *lifetime = Lifetime { first: BEFORE, last: lifetime.last.max(BEFORE) },
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

fn visit(program: &Program, steps: &[Step], time: &mut i64, touch: &mut dyn FnMut(TensorId, i64, i64)) {
    for step in steps {
        match step {
            Step::Kernel(kernel) => {
                let buffers = program.buffers.len();
                let ids = [kernel.reads(buffers), kernel.writes(buffers)].concat();
                ids.into_iter().for_each(|id| touch(id, *time, *time));
                *time += 1;
            }
            Step::Repeat { carried, body, .. } => {
                let begin = *time;
                let mut touched: Vec<TensorId> = carried.iter().flat_map(|c| [c.0, c.1, c.2]).collect();
                *time += 1; // the copies of the initial values
                visit(program, body, time, &mut |id, _, _| touched.push(id));
                *time += 1; // the copies of the next values
                touched.into_iter().for_each(|id| touch(id, begin, *time - 1));
            }
            Step::Branch { condition, then, otherwise } => {
                touch(*condition, *time, *time);
                *time += 1;
                // Both sides take the same time: what one of them writes is alive through the whole branch.
                let begin = *time;
                let mut touched = vec![];
                for side in [then, otherwise] {
                    visit(program, side, time, &mut |id, _, _| touched.push(id));
                }
                touched.into_iter().for_each(|id| touch(id, begin, *time - 1));
            }
        }
    }
}

/// The kernel that runs at each time, where it is not inside of a repetition or a branch.
pub(super) fn kernels(program: &Program) -> Vec<Option<&Kernel>> {
    let mut kernels = vec![];
    for step in &program.steps {
        let mut now = kernels.len() as i64;
        visit(program, std::slice::from_ref(step), &mut now, &mut |_, _, _| {});
        kernels.push(match step {
            Step::Kernel(kernel) => Some(kernel),
            _ => None,
        });
        kernels.resize(now as usize, None);
    }
    kernels
}
