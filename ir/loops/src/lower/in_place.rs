//! States that become their next value where they lie.
//!
//! Owns that rewrite: where all that reads a state runs before its next value is written, both need one place only, and nothing is copied when
//! a run ends. Such a state is its own next value.

use std::collections::BTreeMap;

use nablac_index::{State, TensorId};

use super::compact::{compact, rename_steps};
use crate::program::{Program, Role, Step};

/// The program with its states written in place, where that can be.
pub(super) fn states(program: Program) -> Program {
    let count = program.buffers.len();
    let touches = |step: &Step, id: TensorId| {
        let mut touched = Touched::default();
        touch(step, count, id, &mut touched);
        touched
    };
    let mut own: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    for (state, State { next, .. }) in program.states() {
        let alone = program.states().filter(|(_, other)| other.next == *next).count() == 1;
        let [old, new] =
            [state, *next].map(|id| program.steps.iter().map(|s| touches(s, id)).collect::<Vec<_>>());
        let last = old.iter().rposition(|step| step.reads);
        let first = new.iter().position(|step| step.reads || step.writes);
        let in_order = last.zip(first).is_none_or(|(last, first)| last < first);
        let held = old.iter().chain(&new).any(|step| step.holds);
        if alone && in_order && !held && program.buffer(*next).role == Role::Local {
            own.insert(*next, state);
        }
    }
    if own.is_empty() {
        return program;
    }
    let of = |id: TensorId| own.get(&id).copied().unwrap_or(id);
    let mut program = Program { steps: rename_steps(program.steps.clone(), &of), ..program };
    for buffer in &mut program.buffers {
        if let Role::State(state) = &mut buffer.role {
            state.next = of(state.next);
        }
    }
    compact(program)
}

/// What a step does with a buffer.
#[derive(Clone, Copy, Default)]
struct Touched {
    reads: bool,
    writes: bool,
    /// Whether a repetition carries it, or a branch asks for it.
    holds: bool,
}

fn touch(step: &Step, buffers: usize, id: TensorId, touched: &mut Touched) {
    match step {
        Step::Kernel(kernel) => {
            touched.reads |= kernel.reads(buffers).contains(&id);
            touched.writes |= kernel.writes(buffers).contains(&id);
        }
        Step::Receive(receive) => touched.writes |= receive.buffer == id,
        Step::Repeat(repeat) => {
            touched.holds |= repeat.carried.iter().any(|c| [c.0, c.1, c.2].contains(&id));
            repeat.body.iter().for_each(|step| touch(step, buffers, id, touched));
        }
        Step::Branch { condition, then, otherwise } => {
            touched.holds |= *condition == id;
            then.iter().chain(otherwise).for_each(|step| touch(step, buffers, id, touched));
        }
    }
}
