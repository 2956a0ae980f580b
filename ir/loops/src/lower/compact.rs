//! Buffers that no kernel names are dropped, constants that hold the same are one, and ids made dense again.

use std::collections::BTreeMap;

use nablac_index::TensorId;

use crate::program::{Buffer, Kernel, Program, Receive, Repeat, Role, Step};
use crate::rename::rename;

/// Drops what fusing has left without a use.
pub(super) fn compact(program: Program) -> Program {
    let program = shared(program);
    let mut used: Vec<bool> =
        program.buffers.iter().map(|b| matches!(b.role, Role::Input(_) | Role::Output)).collect();
    mark(&program.steps, &mut used);
    let states: Vec<TensorId> = program.states().flat_map(|(id, state)| [id, state.next]).collect();
    states.into_iter().for_each(|id| used[id.0 as usize] = true);
    let kept = used.iter().filter(|&&u| u).count();
    let mut next = 0;
    let dense: Vec<u32> = used
        .iter()
        .map(|&used| {
            next += u32::from(used);
            next.wrapping_sub(1)
        })
        .collect();
    let old = program.buffers.len();
    // Registers come behind the buffers, and move up with their number.
    let of = |id: TensorId| match dense.get(id.0 as usize) {
        Some(&id) => TensorId(id),
        None => TensorId((id.0 as usize - old + kept) as u32),
    };
    let mut buffers: Vec<Buffer> =
        program.buffers.into_iter().zip(&used).filter(|(_, used)| **used).map(|(b, _)| b).collect();
    for buffer in &mut buffers {
        if let Role::State(state) = &mut buffer.role {
            state.next = of(state.next);
        }
    }
    Program { buffers, steps: rename_steps(program.steps, &of), ..program }
}

/// The program with one constant for all that hold the same.
fn shared(program: Program) -> Program {
    let mut first: BTreeMap<(String, &[usize]), TensorId> = BTreeMap::new();
    let mut of: Vec<TensorId> = vec![];
    for (id, buffer) in program.buffers() {
        of.push(match &buffer.role {
            Role::Constant(array) => {
                let key = (format!("{}{}", buffer.dtype, array.hash()), &buffer.shape[..]);
                let other = *first.entry(key).or_insert(id);
                if program.buffer(other).role == buffer.role { other } else { id }
            }
            _ => id,
        });
    }
    let of = |id: TensorId| of.get(id.0 as usize).copied().unwrap_or(id);
    let steps = rename_steps(program.steps.clone(), &of);
    Program { steps, ..program }
}

fn mark(steps: &[Step], used: &mut Vec<bool>) {
    for step in steps {
        match step {
            Step::Kernel(kernel) => {
                let ids = [kernel.reads(used.len()), kernel.writes(used.len())].concat();
                ids.into_iter().for_each(|id| used[id.0 as usize] = true);
            }
            Step::Repeat(Repeat { carried, body, .. }) => {
                carried.iter().for_each(|c| [c.0, c.1, c.2].iter().for_each(|id| used[id.0 as usize] = true));
                mark(body, used);
            }
            Step::Receive(receive) => {
                [receive.input, receive.buffer].iter().for_each(|id| used[id.0 as usize] = true);
            }
            Step::Branch { condition, then, otherwise } => {
                used[condition.0 as usize] = true;
                mark(then, used);
                mark(otherwise, used);
            }
        }
    }
}

pub(super) fn rename_steps(steps: Vec<Step>, of: &dyn Fn(TensorId) -> TensorId) -> Vec<Step> {
    let each = |step| match step {
        Step::Kernel(kernel) => Step::Kernel(Kernel { body: rename(kernel.body, of), ..kernel }),
        Step::Repeat(repeat) => Step::Repeat(Repeat {
            carried: repeat.carried.iter().map(|&(a, b, c)| (of(a), of(b), of(c))).collect(),
            body: rename_steps(repeat.body, of),
            ..repeat
        }),
        Step::Receive(receive) => {
            Step::Receive(Receive { input: of(receive.input), buffer: of(receive.buffer), ..receive })
        }
        Step::Branch { condition, then, otherwise } => Step::Branch {
            condition: of(condition),
            then: rename_steps(then, of),
            otherwise: rename_steps(otherwise, of),
        },
    };
    steps.into_iter().map(each).collect()
}
