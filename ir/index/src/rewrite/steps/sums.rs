//! Which values a sum can take.
//!
//! A sum of products of small integers and constant weights has bounds that are known for each channel: every term is bounded by the
//! range of the type that it reads, and by what is read beyond the edges.

use crate::dtype::{DType, Value};
use crate::expression::{Access, Expr};
use crate::program::{LoopId, Program, Reduce, Role, Statement, Step, TensorId, largest, smallest};

use super::function::{Function, for_each_position, is_known, unknown};

/// What a 32-bit sum can be when nothing is known of it.
pub(super) const ANY: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

/// The smallest and the largest.
pub(super) type Range = (i64, i64);

/// The bounds of a tensor's elements along those of its dimensions that constants are indexed by.
#[derive(Debug)]
pub(super) struct Bounds {
    dims: Vec<usize>,
    /// Positions along `dims` and the smallest and largest element there.
    ranges: Vec<(Vec<i64>, Range)>,
}

impl Bounds {
    /// The bounds of what statements at the top level add up in `tensor`.
    pub fn of(program: &Program, tensor: TensorId) -> Option<Bounds> {
        let writers = writers(program, tensor)?;
        let mut dims: Vec<usize> = vec![];
        for statement in &writers {
            let loops = known_loops(program, &statement.body);
            let known = |&d: &usize| statement.at[d].as_loop().is_some_and(|id| loops.contains(&id));
            dims.extend((0..statement.at.len()).filter(known));
        }
        dims.sort();
        dims.dedup();
        let extent = |(n, &d): (usize, &usize)| (LoopId(n as u32), program.shape(tensor)[d]);
        let space: Vec<(LoopId, usize)> = dims.iter().enumerate().map(extent).collect();
        let mut ranges = vec![];
        for_each_position(&space, dims.len(), &mut |at| {
            ranges.push((at.to_vec(), (0, 0)));
            Some(())
        })?;
        let mut bounds = Bounds { dims, ranges };
        writers.into_iter().try_for_each(|statement| bounds.add(program, statement))?;
        Some(bounds)
    }

    /// The bounds of the elements that `access` reads where those loops of `loops` that index it are at `channel`.
    pub fn at(&self, access: &Access, loops: &[(LoopId, usize)], channel: &[i64]) -> Range {
        let position = |&d: &usize| match access.at[d].as_loop() {
            Some(id) => loops.iter().any(|l| l.0 == id).then(|| channel[id.0 as usize]),
            None => access.at[d].as_constant(),
        };
        let fixed: Vec<Option<i64>> = self.dims.iter().map(position).collect();
        let here = |at: &[i64]| at.iter().zip(&fixed).all(|(i, fixed)| fixed.is_none_or(|f| f == *i));
        let matching = self.ranges.iter().filter(|(at, _)| here(at)).map(|(_, range)| *range);
        let range = matching.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or(ANY);
        // Beyond 32 bits it wraps.
        if range.0 < ANY.0 || range.1 > ANY.1 { ANY } else { range }
    }

    /// Adds what a statement adds to each element.
    fn add(&mut self, program: &Program, statement: &Statement) -> Option<()> {
        let (body, types, reads) = with_unknowns(program, &statement.body);
        let mut loops = known_loops(program, &body);
        loops.extend(self.dims.iter().filter_map(|&d| statement.at[d].as_loop()));
        loops.sort();
        loops.dedup();
        let extent = |id: &LoopId| statement.loops.get(id.0 as usize).map(|l| (*id, l.extent));
        let along = loops.iter().map(extent).collect::<Option<Vec<_>>>()?;
        // A term occurs once for each position of the reduced loops that it does not depend on.
        let others = statement.reduced_loops(0).into_iter().filter(|&l| !loops.contains(&LoopId(l as u32)));
        let times = others.fold(1i64, |n, l| n.saturating_mul(statement.loops[l].extent as i64));
        let function = Function::new(program, statement, &body, &types)?;
        for_each_position(&along, statement.loops.len(), &mut |point| {
            let (low, high) = function.interval(point, &reads)?;
            let place = |d: usize| statement.at[d].as_loop().map_or(0, |id| point[id.0 as usize]);
            let dims = self.dims.iter();
            let position = dims.fold(0, |n, &d| n * program.shape(statement.out)[d] + place(d) as usize);
            let own = &mut self.ranges[position].1;
            *own = (add(own.0, low, times), add(own.1, high, times));
            Some(())
        })
    }
}

fn add(sum: i64, term: i64, times: i64) -> i64 {
    sum.saturating_add(term.saturating_mul(times))
}

/// The statements that write a local tensor, if all stand at the top level and each covers it whole.
fn writers(program: &Program, tensor: TensorId) -> Option<Vec<&Statement>> {
    let at_top = program.steps.iter().filter_map(|step| match step {
        Step::Statement(statement) if statement.out == tensor => Some(statement),
        _ => None,
    });
    let writers: Vec<&Statement> = at_top.collect();
    let all = program.statements().iter().filter(|s| s.out == tensor).count();
    let covers = |s: &Statement, d: usize| match s.at[d].as_loop() {
        Some(id) => {
            let whole = |l: &crate::program::Loop| l.extent == program.shape(tensor)[d];
            !s.at[..d].contains(&s.at[d]) && s.loops.get(id.0 as usize).is_some_and(whole)
        }
        None => s.at[d].as_constant() == Some(0) && program.shape(tensor)[d] == 1,
    };
    let adds = |s: &&Statement| {
        matches!(s.reduce, Reduce::Set | Reduce::Sum) && (0..s.at.len()).all(|d| covers(s, d))
    };
    let local = program.tensor(tensor).role == Role::Local && program.dtype(tensor) == DType::I32;
    (local && writers.len() == all && writers.iter().all(adds)).then_some(writers)
}

/// The loops that the known parts of an expression are indexed by.
fn known_loops(program: &Program, body: &Expr) -> Vec<LoopId> {
    let mut loops = vec![];
    body.visit(&mut |node| {
        if matches!(node, Expr::Read(_) | Expr::Index(_)) && is_known(program, node) {
            loops.extend(node.indices().into_iter().flat_map(|index| index.loops()));
        }
    });
    loops
}

/// The expression with an unknown for each read that is not known, their types and what they can be.
fn with_unknowns(program: &Program, body: &Expr) -> (Expr, Vec<DType>, Vec<Range>) {
    let (mut types, mut ranges) = (vec![], vec![]);
    let body = body.rewrite(&mut |node| match &node {
        Expr::Read(access) if !is_known(program, &node) => {
            let dtype = program.dtype(access.tensor);
            let outside = access.outside.map_or(smallest(dtype), Value::as_i64);
            types.push(dtype);
            ranges.push((smallest(dtype).min(outside), largest(dtype).max(outside)));
            unknown(program, types.len() - 1)
        }
        _ => node,
    });
    (body, types, ranges)
}
