//! Sums over the rows of a tensor, one row at a time.
//!
//! Owns the rewrite of a reduction for a kernel that runs row by row with those in front of it: `sum[c] += x[u, v, c] for c u v` becomes
//! `sum[c] = 0` and `sum[c] += x[u, v, c] for u v c`, with the rows outermost. What reads the sum becomes a kernel of its own behind it. The terms of one
//! sum keep their order.

use std::collections::BTreeSet;

use nablac_index::{Expr, Index, Loop, LoopId, Program, Reduce, Statement, Step, TensorId, axes};

use super::outline;
use crate::schedule::{Name, Schedules};

/// The program with the sums of fused kernels over rows of what others of them compute taken row by row.
pub(super) fn stream(program: &Program, schedules: &Schedules) -> Program {
    let mut program = program.clone();
    for fused in schedules.fused() {
        let kernels = outline::kernels(&program);
        let own = members(&kernels, fused);
        let Some(first) = own.first().map(|kernel| kernel.main.clone()) else { continue };
        let sums: Vec<(TensorId, usize)> =
            summing(&own).into_iter().map(|(kernel, rows)| (kernel.main.out, rows)).collect();
        for (sum, rows) in sums {
            program = streamed(program, sum, rows, &first);
        }
    }
    program
}

/// The names of the fused kernels whose sums are taken row by row.
pub fn streamed_kernels(program: &Program, schedules: &Schedules) -> Vec<String> {
    let kernels = outline::kernels(program);
    let all = schedules.fused().flat_map(|fused| summing(&members(&kernels, fused)));
    all.map(|(kernel, _)| kernel.name.clone()).collect()
}

/// Those kernels at the top of the program that have one of these names, in the order of the names.
fn members<'k, 'a>(kernels: &'k [outline::Named<'a>], names: &[Name]) -> Vec<&'k outline::Named<'a>> {
    let named =
        |name: &Name| kernels.iter().find(|kernel| kernel.name == name.text && kernel.counters.is_empty());
    names.iter().filter_map(named).collect()
}

/// The kernels that sum over rows of what others of them compute, each with its loop over them.
fn summing<'k, 'a>(own: &[&'k outline::Named<'a>]) -> Vec<(&'k outline::Named<'a>, usize)> {
    let made: BTreeSet<TensorId> = own.iter().map(|kernel| kernel.out).collect();
    own.iter().filter_map(|kernel| Some((*kernel, summed_rows(kernel.main, &made)?))).collect()
}

/// The reduced loop that runs over all rows of a tensor of `made`: the outermost of those that index one along a dimension.
fn summed_rows(main: &Statement, made: &BTreeSet<TensorId>) -> Option<usize> {
    let combines = !matches!(main.reduce, Reduce::Set | Reduce::ArgMax);
    let reduced: Vec<usize> =
        main.reduced_loops(0).into_iter().filter(|&l| main.loops[l].extent > 1).collect();
    let access =
        main.accesses().into_iter().find(|access| made.contains(&access.tensor)).filter(|_| combines)?;
    let along = |index: &Index| index.as_loop().map(|id| id.0 as usize).filter(|l| reduced.contains(l));
    let space = |index: &Index| index.loops().iter().any(|id| !reduced.contains(&(id.0 as usize)));
    // A window that moves has rows of its own, and a vector has none.
    let with_loops = |index: &&Index| index.loops().iter().any(|id| main.loops[id.0 as usize].extent > 1);
    let first = access.at.iter().position(|index| with_loops(&index))?;
    if access.at.iter().filter(with_loops).count() == 1 {
        return None;
    }
    if space(&access.at[first]) { None } else { along(&access.at[first]) }
}

/// The program with the sum `out` begun in front of the statement `first`, and with loop `rows` outermost.
fn streamed(mut program: Program, out: TensorId, rows: usize, first: &Statement) -> Program {
    let shape = program.shape(out).to_vec();
    let dtype = program.dtype(out);
    let writes = |s: &Statement, set: bool| s.out == out && (s.reduce == Reduce::Set) == set;
    let statement = |step: &Step| match step {
        Step::Statement(statement) => Some(statement.clone()),
        _ => None,
    };
    let Some(main) = program.steps.iter().filter_map(statement).find(|s| writes(s, false)) else {
        return program;
    };
    let begun = program.steps.iter().position(|step| statement(step).is_some_and(|s| writes(&s, true)));
    let initial = match begun {
        Some(position) => statement(&program.steps.remove(position)),
        None => main.reduce.identity(dtype).map(|identity| {
            let loops: Vec<Loop> =
                axes(&shape).into_iter().map(|(name, extent)| Loop { name: name.into(), extent }).collect();
            let at = (0..loops.len()).map(|l| Index::of_loop(LoopId(l as u32))).collect();
            let body = Expr::Literal(dtype, identity);
            Statement { label: String::new(), loops, out, at, reduce: Reduce::Set, body }
        }),
    };
    let Some(initial) = initial else { return program };
    let order: Vec<usize> = [rows].into_iter().chain((0..main.loops.len()).filter(|l| *l != rows)).collect();
    let of = |id: LoopId| {
        let place = order.iter().position(|l| *l == id.0 as usize).unwrap_or(0);
        Index::of_loop(LoopId(place as u32))
    };
    for step in &mut program.steps {
        if let Step::Statement(own) = step
            && writes(own, false)
        {
            own.loops = order.iter().map(|&l| main.loops[l].clone()).collect();
            own.at = main.at.iter().map(|index| index.substitute(&of)).collect();
            own.body = main.body.map_indices(&|index| index.substitute(&of));
        }
    }
    let label = match main.label.as_str() {
        "" => format!("{}.start", program.tensor(out).name),
        label => format!("{label}.start"),
    };
    let is_first =
        |step: &Step| statement(step).is_some_and(|s| (s.out, s.reduce) == (first.out, first.reduce));
    let place = program.steps.iter().position(is_first).unwrap_or(0);
    program.steps.insert(place, Step::Statement(Statement { label, ..initial }));
    program
}
