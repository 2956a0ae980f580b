//! An output that is only a copy of a local tensor takes its place.

use crate::expression::{Access, Expr};
use crate::program::{Program, Reduce, Role, Statement, Step, TensorId};

use super::dead::rename_tensors;

/// `y[i, j] = t[i, j]` with `y` an output and `t` local: `t` is called `y` from the start, and the copy goes.
pub fn remove_copies(program: Program) -> Program {
    let mut program = program;
    while let Some((position, output, local)) = find(&program) {
        program.steps.remove(position);
        let of = |id| if id == local { output } else { id };
        program = rename_tensors(program, &of);
    }
    program
}

fn find(program: &Program) -> Option<(usize, TensorId, TensorId)> {
    program.steps.iter().enumerate().find_map(|(position, step)| {
        let Step::Statement(statement) = step else { return None };
        let source = copied(program, statement)?;
        let writers = program.statements().iter().filter(|s| s.out == statement.out).count();
        let output = program.tensor(statement.out).role == Role::Output && writers == 1;
        (output && program.tensor(source).role == Role::Local).then_some((position, statement.out, source))
    })
}

/// The tensor that a statement copies whole: the statement covers its output, which is read and written at the same place.
fn copied(program: &Program, statement: &Statement) -> Option<TensorId> {
    let Expr::Read(Access { tensor, at, outside: None }) = &statement.body else { return None };
    let alike = program.shape(*tensor) == program.shape(statement.out);
    (statement.reduce == Reduce::Set && *at == statement.at && alike).then_some(*tensor)
}
