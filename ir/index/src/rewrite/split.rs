//! A loop that is only used as quotient and remainder becomes two loops.
//!
//! `y[f] += x[m / 16, m % 16] * w[f, m] for m:64` is `y[f] += x[a, b] * w[f, 16a + b] for a:4 b:16`: affine, so that bounds,
//! strides and layouts can be seen. A flattened tensor that is read whole becomes readable in any layout this way.

use crate::index::{Atom, Index};
use crate::program::{Loop, LoopId, Program, Statement};

use super::map_statements;

/// Splits every loop `m` of extent `a*n` that occurs as `m / n` or `m % n`.
pub fn split_loops(program: Program) -> Program {
    let mut program = program;
    program.steps = map_statements(std::mem::take(&mut program.steps), 0, &mut |depth, statement| {
        let mut statement = statement;
        while let Some((position, n)) = find(&statement, depth) {
            statement = split(statement, depth, position, n);
        }
        statement
    });
    program
}

/// A loop of the statement and the smallest divisor that it occurs with.
fn find(statement: &Statement, depth: usize) -> Option<(usize, i64)> {
    let mut found: Vec<(usize, i64)> = vec![];
    for index in statement.body.indices().into_iter().chain(&statement.at) {
        index.visit_atoms(&mut |atom| {
            let (Atom::Div(inner, n) | Atom::Mod(inner, n)) = atom else { return };
            let Some(position) = inner.as_loop().and_then(|id| (id.0 as usize).checked_sub(depth)) else {
                return;
            };
            let extent = statement.loops[position].extent as i64;
            if *n < extent && extent % n == 0 {
                found.push((position, *n));
            }
        });
    }
    found.into_iter().min_by_key(|&(position, n)| (n, position))
}

fn split(statement: Statement, depth: usize, position: usize, n: i64) -> Statement {
    let mut loops = statement.loops.clone();
    let Loop { name, extent } = loops[position].clone();
    loops[position] = Loop { name: name.clone(), extent: extent / n as usize };
    let inner = Loop { name: fresh(&name, &loops), extent: n as usize };
    loops.insert(position + 1, inner);
    let split = LoopId((depth + position) as u32);
    let of = |id: LoopId| {
        let moved = if id > split { LoopId(id.0 + 1) } else { id };
        match id == split {
            true => Index::of_loop(id) * n + Index::of_loop(LoopId(id.0 + 1)),
            false => Index::of_loop(moved),
        }
    };
    // Enough for the ranges of the new loops; counters around the statement never occur beside them in one atom's rest.
    let extents: Vec<usize> =
        vec![usize::MAX >> 1; depth].into_iter().chain(loops.iter().map(|l| l.extent)).collect();
    let index = |i: &Index| i.substitute(&of).simplify(&extents);
    Statement {
        at: statement.at.iter().map(index).collect(),
        body: statement.body.map_indices(&index),
        loops,
        ..statement
    }
}

/// `name` with a letter behind it that no other loop bears.
fn fresh(name: &str, loops: &[Loop]) -> String {
    let letters = ('a'..='z').map(|letter| format!("{name}{letter}"));
    letters
        .into_iter()
        .find(|fresh| loops.iter().all(|l| l.name != *fresh))
        .unwrap_or(format!("{name}_inner"))
}
