//! Rewrites of index notation: the same values from fewer, larger or better-shaped statements.
//!
//! Owns `simplify`, the fixed sequence of them. Each rewrite is a plain function from program to program that keeps
//! `run(program)`, exactly for integers and, but for the order of sums, for floats.

use crate::index::Index;
use crate::program::{Program, Statement, Step};

mod algebra;
mod copies;
mod dead;
mod fold;
mod inline;
mod layout;
mod split;
mod steps;
mod streaming;
mod unit;

pub use algebra::simplify_expressions;
pub use copies::remove_copies;
pub use dead::remove_dead;
pub use fold::fold_constants;
pub use inline::{inline_maps, inline_views};
pub use layout::{assign_layouts, reorder_dimensions};
pub use split::split_loops;
pub use steps::fit_steps;
pub use streaming::{Streamed, stream};
pub use unit::drop_unit_loops;

/// Constants folded, views and maps inlined into their readers, copies removed, and what nobody reads dropped; repeated until
/// nothing changes.
pub fn simplify(program: Program) -> Program {
    let mut program = program;
    loop {
        let before = program.clone();
        program = simplify_expressions(program);
        program = drop_unit_loops(program);
        program = fold_constants(program);
        program = inline_views(program);
        program = inline_maps(program);
        program = split_loops(program);
        program = remove_copies(program);
        program = remove_dead(program);
        if program == before {
            return program;
        }
    }
}

/// The steps with every statement replaced by `f(depth, statement)`, where `depth` is the number of counters around it.
fn map_statements(
    steps: Vec<Step>,
    depth: usize,
    f: &mut dyn FnMut(usize, Statement) -> Statement,
) -> Vec<Step> {
    let each = |step| match step {
        Step::Statement(statement) => Step::Statement(f(depth, statement)),
        Step::Repeat(mut repeat) => {
            repeat.body = map_statements(repeat.body, depth + 1, f);
            Step::Repeat(repeat)
        }
        Step::Branch(mut branch) => {
            branch.then = map_statements(branch.then, depth, f);
            branch.otherwise = map_statements(branch.otherwise, depth, f);
            Step::Branch(branch)
        }
    };
    steps.into_iter().map(each).collect()
}

/// The statement with every index, on either side, replaced by `of(index)`.
fn map_indices(statement: Statement, of: &dyn Fn(&Index) -> Index) -> Statement {
    Statement { at: statement.at.iter().map(of).collect(), body: statement.body.map_indices(of), ..statement }
}
