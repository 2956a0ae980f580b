//! Loops of one iteration are dropped: their value is 0.

use crate::index::Index;
use crate::program::{Loop, LoopId, Program, Statement};

use super::{map_indices, map_statements};

/// `y[n, i] = x[n, i] for n:1 i:8` is `y[0, i] = x[0, i] for i:8`.
pub fn drop_unit_loops(program: Program) -> Program {
    let mut program = program;
    program.steps = map_statements(std::mem::take(&mut program.steps), 0, &mut drop_from);
    program
}

fn drop_from(depth: usize, statement: Statement) -> Statement {
    let loops: Vec<Loop> = statement.loops.iter().filter(|l| l.extent != 1).cloned().collect();
    if loops.len() == statement.loops.len() {
        return statement;
    }
    let kept = |before: usize| statement.loops[..before].iter().filter(|l| l.extent != 1).count();
    let of = |id: LoopId| match (id.0 as usize).checked_sub(depth) {
        Some(own) if statement.loops[own].extent == 1 => Index::constant(0),
        Some(own) => Index::of_loop(LoopId((depth + kept(own)) as u32)),
        None => Index::of_loop(id),
    };
    Statement { loops, ..map_indices(statement.clone(), &|index| index.substitute(&of)) }
}
