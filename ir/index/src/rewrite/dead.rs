//! What nobody reads is dropped.

use crate::expression::{Access, Expr};
use crate::index::Index;
use crate::program::{Program, Role, Statement, Step, TensorId, for_each_read, for_each_write};

use super::map_statements;

/// Removes statements, repetitions and branches whose results nobody reads, then tensors that no step names. Inputs and outputs
/// stay, a state as long as somebody else reads it.
pub fn remove_dead(program: Program) -> Program {
    let mut program = program;
    let mut needed: Vec<bool> = program.tensors.iter().map(|t| t.role == Role::Output).collect();
    program.steps = loop {
        let steps = live_steps(program.steps.clone(), &mut needed);
        // A state that is read needs its next value, from the run before.
        let next: Vec<TensorId> = program
            .states()
            .filter(|(id, state)| needed[id.0 as usize] && !needed[state.next.0 as usize])
            .map(|(_, state)| state.next)
            .collect();
        if next.is_empty() {
            break steps;
        }
        next.into_iter().for_each(|id| needed[id.0 as usize] = true);
    };
    renumber(program)
}

/// Walks backwards; a step lives if something behind it needs what it writes.
fn live_steps(steps: Vec<Step>, needed: &mut [bool]) -> Vec<Step> {
    let mut live = vec![];
    for step in steps.into_iter().rev() {
        let one = std::slice::from_ref(&step);
        let mut wanted = false;
        for_each_write(one, &mut |id| wanted |= needed[id.0 as usize]);
        if !wanted {
            continue;
        }
        for_each_read(one, &mut |id| needed[id.0 as usize] = true);
        live.push(step);
    }
    live.reverse();
    live
}

fn renumber(program: Program) -> Program {
    let mut named: Vec<bool> =
        program.tensors.iter().map(|t| matches!(t.role, Role::Input | Role::Output)).collect();
    for_each_read(&program.steps, &mut |id| named[id.0 as usize] = true);
    for_each_write(&program.steps, &mut |id| named[id.0 as usize] = true);
    let next: Vec<TensorId> =
        program.states().filter(|(id, _)| named[id.0 as usize]).map(|(_, state)| state.next).collect();
    next.into_iter().for_each(|id| named[id.0 as usize] = true);
    let mut next = 0;
    let ids: Vec<TensorId> = named
        .iter()
        .map(|&named| {
            let id = TensorId(next);
            next += named as u32;
            id
        })
        .collect();
    let Program { name, tensors, steps } = program;
    let tensors = tensors.into_iter().zip(&named).filter(|(_, named)| **named).map(|(t, _)| t).collect();
    rename_tensors(Program { name, tensors, steps }, &|id| ids[id.0 as usize])
}

/// The program with every tensor id in its steps and states replaced by `of(id)`.
pub(super) fn rename_tensors(mut program: Program, of: &dyn Fn(TensorId) -> TensorId) -> Program {
    for tensor in &mut program.tensors {
        if let Role::State(state) = &mut tensor.role {
            state.next = of(state.next);
        }
    }
    program.steps = rename_statements(std::mem::take(&mut program.steps), of);
    program
}

fn rename_statements(steps: Vec<Step>, of: &dyn Fn(TensorId) -> TensorId) -> Vec<Step> {
    let steps = map_statements(steps, 0, &mut |_, statement| {
        let index = |i: &Index| i.map_tensors(of);
        let body = statement.body.rewrite(&mut |node| match node {
            Expr::Index(i) => Expr::Index(index(&i)),
            Expr::Read(access) => Expr::Read(Access {
                tensor: of(access.tensor),
                at: access.at.iter().map(index).collect(),
                outside: access.outside,
            }),
            other => other,
        });
        Statement { out: of(statement.out), at: statement.at.iter().map(index).collect(), body, ..statement }
    });
    rename_outer(steps, of)
}

/// Renames what repetitions carry and branches decide on.
fn rename_outer(steps: Vec<Step>, of: &dyn Fn(TensorId) -> TensorId) -> Vec<Step> {
    let each = |step| match step {
        Step::Statement(statement) => Step::Statement(statement),
        Step::Repeat(mut repeat) => {
            for carry in &mut repeat.carried {
                for id in [&mut carry.state, &mut carry.initial, &mut carry.next] {
                    *id = of(*id);
                }
            }
            repeat.body = rename_outer(repeat.body, of);
            Step::Repeat(repeat)
        }
        Step::Branch(mut branch) => {
            branch.condition = of(branch.condition);
            branch.then = rename_outer(branch.then, of);
            branch.otherwise = rename_outer(branch.otherwise, of);
            Step::Branch(branch)
        }
    };
    steps.into_iter().map(each).collect()
}
