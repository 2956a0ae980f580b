//! Buffers that parts of a loop write in the same place: each part gets a copy.
//!
//! Owns that rewrite. It is for what a nest keeps to itself, as the window that it copies its operand into: an iteration reads nothing
//! there that it has not written.

use std::collections::BTreeMap;

use nablac_index::{Access, Expr, Index, TensorId};

use crate::bounds::Bounds;
use crate::parts::Parts;
use crate::program::{Buffer, For, Kernel, Program, Repeat, Role, Statement, Step};
use crate::verify::parallel::shared;

/// The same program with a copy for each part of a parallel loop, where a kernel's own buffers need one.
pub(super) fn copy(program: Program) -> Program {
    let mut users: BTreeMap<TensorId, usize> = BTreeMap::new();
    let count = program.buffers.len();
    for kernel in program.kernels() {
        let mut own = [kernel.reads(count), kernel.writes(count)].concat();
        own.sort_unstable();
        own.dedup();
        own.into_iter().for_each(|id| *users.entry(id).or_default() += 1);
    }
    held(&program.steps, &mut |id| *users.entry(id).or_default() += 1);
    program.states().for_each(|(_, state)| *users.entry(state.next).or_default() += 1);
    let private = |id: TensorId| program.buffer(id).role == Role::Local && users.get(&id) == Some(&1);
    let mut copies = BTreeMap::new();
    let steps = steps(&program, &program.steps, &mut vec![], &private, &mut copies);
    let buffers = program.buffers().map(|(id, buffer)| {
        let shape = copies.get(&id).copied().into_iter().chain(buffer.shape.iter().copied()).collect();
        Buffer { shape, ..buffer.clone() }
    });
    Program { buffers: buffers.collect(), steps, ..program }
}

/// Calls `f` with the buffers that repetitions and branches name themselves.
fn held(steps: &[Step], f: &mut dyn FnMut(TensorId)) {
    for step in steps {
        match step {
            Step::Kernel(_) => {}
            Step::Receive(receive) => f(receive.buffer),
            Step::Repeat(Repeat { carried, body, .. }) => {
                carried.iter().for_each(|c| [c.0, c.1, c.2].into_iter().for_each(&mut *f));
                held(body, f);
            }
            Step::Branch { condition, then, otherwise } => {
                f(*condition);
                held(then, f);
                held(otherwise, f);
            }
        }
    }
}

fn steps(
    program: &Program,
    steps: &[Step],
    counters: &mut Vec<usize>,
    private: &dyn Fn(TensorId) -> bool,
    copies: &mut BTreeMap<TensorId, usize>,
) -> Vec<Step> {
    let mut result = vec![];
    for step in steps {
        result.push(match step {
            Step::Kernel(kernel) => Step::Kernel(kernel_with(program, kernel, counters, private, copies)),
            Step::Repeat(repeat) => {
                counters.push(repeat.extent);
                let body = self::steps(program, &repeat.body, counters, private, copies);
                counters.pop();
                Step::Repeat(Repeat { body, ..repeat.clone() })
            }
            Step::Receive(receive) => Step::Receive(receive.clone()),
            Step::Branch { condition, then, otherwise } => Step::Branch {
                condition: *condition,
                then: self::steps(program, then, counters, private, copies),
                otherwise: self::steps(program, otherwise, counters, private, copies),
            },
        });
    }
    result
}

/// A kernel whose parts have copies; their number is added to `copies`.
fn kernel_with(
    program: &Program,
    kernel: &Kernel,
    counters: &[usize],
    private: &dyn Fn(TensorId) -> bool,
    copies: &mut BTreeMap<TensorId, usize>,
) -> Kernel {
    if kernel.parts() == 1 {
        return kernel.clone();
    }
    let mut own = vec![];
    conflicts(program, &kernel.body, &Bounds::new(kernel.variables.len(), counters), &mut own);
    own.retain(|id| private(*id));
    copies.extend(own.iter().map(|id| (*id, kernel.parts())));
    Kernel { body: body(&kernel.body, &own, &Index::default()), ..kernel.clone() }
}

fn conflicts(program: &Program, body: &[Statement], bounds: &Bounds, found: &mut Vec<TensorId>) {
    for statement in body {
        match statement {
            Statement::For(nest) => {
                found.extend(shared(program, nest, bounds));
                conflicts(program, &nest.body, &bounds.inside(nest), found);
            }
            Statement::If { condition, body } => conflicts(program, body, &bounds.given(condition), found),
            Statement::Use { .. } | Statement::Store { .. } => {}
        }
    }
}

/// Lines in which `own` buffers have copies, of which they use number `part`.
fn body(lines: &[Statement], own: &[TensorId], part: &Index) -> Vec<Statement> {
    let place = |id: TensorId, at: &[Index]| -> Vec<Index> {
        let copy = own.contains(&id).then(|| part.clone());
        copy.into_iter().chain(at.iter().cloned()).collect()
    };
    let expression = |value: &Expr| {
        value.rewrite(&mut |node| match node {
            Expr::Read(access) => Expr::Read(Access { at: place(access.tensor, &access.at), ..access }),
            other => other,
        })
    };
    let line = |statement: &Statement| match statement {
        Statement::For(nest) => {
            let inside = Parts::of(nest).map(|parts| parts.number(Index::of_loop(nest.variable)));
            let (lower, upper) = (nest.lower.clone(), nest.upper.clone());
            let body = body(&nest.body, own, inside.as_ref().unwrap_or(part));
            Statement::For(For { lower, upper, body, ..*nest })
        }
        Statement::Use { instruction, body: lines } => {
            Statement::Use { instruction: instruction.clone(), body: body(lines, own, part) }
        }
        Statement::If { condition, body: lines } => {
            Statement::If { condition: expression(condition), body: body(lines, own, part) }
        }
        Statement::Store { target, at, reduce, value } => Statement::Store {
            target: *target,
            at: place(*target, at),
            reduce: *reduce,
            value: expression(value),
        },
    };
    lines.iter().map(line).collect()
}
