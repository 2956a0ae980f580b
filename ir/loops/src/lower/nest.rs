//! Building one nest.
//!
//! Owns a nest's variables and registers, how a statement's indices and expressions become the kernel's, and the nests that need no
//! registers for their sums: maps, reductions in memory, `argmax=`. Reductions into registers are `reduction`'s.

use std::collections::BTreeSet;

use nablac_index::{
    Access, Binary, DType, Expr, Index, Loop, LoopId, Program, Reduce, Repeat, Statement as Law, TensorId,
    smallest,
};

use super::group::{self, Group};
use super::lanes::{self, Around};
use super::parallel::in_parts;
use super::{Lowering, schedule};
use crate::program::{For, Kernel, Kind, Register, Statement, Step};

/// The kernel of a group.
pub(super) fn kernel<'a>(lowering: &mut Lowering<'a>, group: &Group<'a>) -> Kernel {
    let main = group.main;
    let name = name_of(lowering, group);
    let laws = group.statements().iter().map(|s| lowering.program.law_text(&lowering.counters, s)).collect();
    let once = group.statements().iter().fold(0u64, |macs, s| macs.saturating_add(s.macs()));
    let all = lowering.counters.iter().fold(once, |macs, c| macs.saturating_mul(c.extent as u64));
    let macs = all.min(i64::MAX as u64); // the largest number of the text
    let variables: Vec<String> = lowering.counters.iter().map(|c| c.name.clone()).collect();
    let ranges = lowering.counters.iter().map(|c| (0, c.extent as i64 - 1)).collect();
    let loops = group.statements().into_iter().flat_map(|s| s.loops.iter().map(|l| l.name.clone()));
    let names = loops.chain(variables.iter().cloned()).collect();
    let mut nest = Nest {
        names,
        lowering,
        depth: variables.len(),
        kernel: Kernel { name, laws, macs, variables, registers: vec![], body: vec![] },
        ranges,
    };
    let contraction = nest.lowering.chosen.contractions.get(&nest.lowering.position(main)).cloned();
    let body = if let Some(contraction) = contraction {
        nest.tiled(group, &contraction)
    } else if group.in_registers {
        nest.reduction(group)
    } else if main.reduce == Reduce::ArgMax {
        nest.argmax(main)
    } else {
        nest.plain(main)
    };
    let parallel = nest.lowering.chosen.parallel.get(&nest.lowering.position(main));
    nest.kernel.body = match parallel {
        Some(own) => in_parts(body, &nest.kernel.variables, &main.loops[own.l].name, own.parts),
        None => body,
    };
    nest.kernel
}

/// The name of a group's kernel.
pub(super) fn name_of(lowering: &mut Lowering, group: &Group) -> String {
    let main = group.main;
    let labels = group.statements();
    let label = labels.iter().rev().map(|s| s.label.as_str()).find(|l| !l.is_empty()).unwrap_or("");
    lowering.name(if main.label.is_empty() { label } else { &main.label }, main.out)
}

/// Fills, before a repetition, the tensors that its iterations accumulate slice by slice.
pub(super) fn fills_before(lowering: &mut Lowering, repeat: &Repeat) -> Vec<Step> {
    let depth = lowering.counters.len();
    let mut fills = vec![];
    let body = Program { steps: repeat.body.clone(), ..Default::default() };
    let mut wanted: Vec<(TensorId, Reduce)> = vec![];
    body.visit_statements(&mut |counters, s| {
        let inner = depth + 1 + counters.len();
        let sliced = s.at.iter().any(|i| i.loops().contains(&LoopId(depth as u32)));
        if sliced
            && group::accumulates_in_memory(lowering.program, s, inner)
            && !wanted.contains(&(s.out, s.reduce))
        {
            wanted.push((s.out, s.reduce));
        }
    });
    for (out, reduce) in wanted {
        if lowering.begun.contains(&out) {
            continue;
        }
        lowering.begun.push(out);
        let name = lowering.name("", out);
        let variables: Vec<String> = lowering.counters.iter().map(|c| c.name.clone()).collect();
        let ranges = lowering.counters.iter().map(|c| (0, c.extent as i64 - 1)).collect();
        let kernel = Kernel { name, variables, ..Kernel::default() };
        let mut nest = Nest { lowering, depth, kernel, ranges, names: vec![] };
        nest.kernel.body = nest.fill(out, reduce);
        fills.push(Step::Kernel(nest.kernel));
    }
    fills
}

/// Adds a register to a kernel, under a name that nothing has yet.
pub(super) fn new_register(
    program: &Program,
    kernel: &mut Kernel,
    name: &str,
    dtype: DType,
    shape: Vec<usize>,
    vector: bool,
) -> TensorId {
    let taken = |name: &str| {
        kernel.registers.iter().any(|r| r.name == name) || program.tensors.iter().any(|t| t.name == name)
    };
    let mut unique = name.to_string();
    let mut number = 1;
    while taken(&unique) {
        number += 1;
        unique = format!("{name}{number}");
    }
    kernel.registers.push(Register { name: unique, dtype, shape, vector });
    TensorId((program.tensors.len() + kernel.registers.len() - 1) as u32)
}

/// A nest under construction.
pub(super) struct Nest<'n, 'a> {
    pub lowering: &'n mut Lowering<'a>,
    pub depth: usize,
    pub kernel: Kernel,
    /// What each variable ranges over at the point of construction, both ends included.
    pub ranges: Vec<(i64, i64)>,
    /// The names of the statements' loops and of the counters.
    pub names: Vec<String>,
}

/// The values of a statement's own loops, as indices of the kernel's variables; `None` for loops that are not open yet.
pub(super) type Environment = Vec<Option<Index>>;

impl<'a> Nest<'_, 'a> {
    pub(super) fn variable(&mut self, name: &str, range: (i64, i64)) -> LoopId {
        self.kernel.variables.push(name.into());
        self.ranges.push(range);
        LoopId(self.kernel.variables.len() as u32 - 1)
    }

    /// A variable that no loop of the statements has the name of.
    pub(super) fn fresh(&mut self, name: &str, range: (i64, i64)) -> LoopId {
        let mut unique = name.to_string();
        while self.names.contains(&unique) {
            unique.push('_');
        }
        self.variable(&unique, range)
    }

    pub(super) fn loop_variable(&mut self, l: &Loop) -> LoopId {
        self.variable(&l.name, (0, (l.extent as i64 - 1).max(0)))
    }

    pub(super) fn register(&mut self, name: &str, dtype: DType, shape: Vec<usize>) -> TensorId {
        new_register(self.lowering.program, &mut self.kernel, name, dtype, shape, false)
    }

    /// Registers of several elements each; the last extent is their number.
    pub(super) fn vector(&mut self, name: &str, dtype: DType, shape: Vec<usize>) -> TensorId {
        new_register(self.lowering.program, &mut self.kernel, name, dtype, shape, true)
    }

    /// The lines of a statement without a loop over `lane`, if the machine has instructions for them.
    pub(super) fn lanes(
        &mut self,
        lane: LoopId,
        count: usize,
        statement: &Statement,
    ) -> Option<Vec<Statement>> {
        let library = self.lowering.library?;
        let around = Around { program: self.lowering.program, library, kernel: &mut self.kernel };
        lanes::lines(around, lane, count, statement)
    }

    pub(super) fn serial(
        variable: LoopId,
        begin: i64,
        end: i64,
        step: usize,
        body: Vec<Statement>,
    ) -> Statement {
        let (lower, upper) = (vec![Index::constant(begin)], vec![Index::constant(end)]);
        Statement::For(For { variable, lower, upper, step, kind: Kind::Serial, body })
    }

    /// An index of a statement, in the kernel's variables.
    pub(super) fn index(&self, index: &Index, environment: &Environment) -> Index {
        let depth = self.depth;
        let of = |id: LoopId| match (id.0 as usize).checked_sub(depth) {
            None => Index::of_loop(id),
            Some(own) => environment[own].clone().unwrap_or_default(),
        };
        index.substitute(&of).simplify_in(&self.ranges)
    }

    /// An expression of a statement, in the kernel's variables. Tests are dropped where the ranges decide them, or bounds have
    /// been set for all dimensions that remain: `bounded` lists accesses of the statement with such a dimension.
    pub(super) fn expression(
        &self,
        expression: &Expr,
        environment: &Environment,
        bounded: &[(Access, usize)],
    ) -> Expr {
        expression.rewrite(&mut |node| match node {
            Expr::Index(index) => Expr::Index(self.index(&index, environment)),
            Expr::Read(access) => {
                let at: Vec<Index> = access.at.iter().map(|i| self.index(i, environment)).collect();
                let shape = self.lowering.program.shape(access.tensor);
                let inside = at.iter().zip(shape).enumerate().all(|(d, (index, &extent))| {
                    self.inside(index, extent) || bounded.iter().any(|(a, kept)| *a == access && *kept == d)
                });
                Expr::Read(Access { tensor: access.tensor, at, outside: access.outside.filter(|_| !inside) })
            }
            other => other,
        })
    }

    fn inside(&self, index: &Index, extent: usize) -> bool {
        index.range_in(&self.ranges).is_some_and(|(low, high)| low >= 0 && high < extent as i64)
    }

    /// One loop per loop of the statement; the output's identity first, where it accumulates in memory that holds nothing yet.
    fn plain(&mut self, law: &Law) -> Vec<Statement> {
        let mut body = vec![];
        let begun = self.lowering.begun.contains(&law.out);
        if law.reduce != Reduce::Set && !begun {
            body.extend(self.fill(law.out, law.reduce));
        }
        if !begun {
            self.lowering.begun.push(law.out);
        }
        let mut environment: Environment = vec![None; law.loops.len()];
        let order = schedule::plain_order(law, self.depth);
        let variables: Vec<LoopId> = order
            .iter()
            .map(|&l| {
                let variable = self.loop_variable(&law.loops[l]);
                environment[l] = Some(Index::of_loop(variable));
                variable
            })
            .collect();
        let at: Vec<Index> = law.at.iter().map(|i| self.index(i, &environment)).collect();
        let value = self.expression(&law.body, &environment, &[]);
        let store = Statement::Store { target: law.out, at: at.clone(), reduce: law.reduce, value };
        let (mut inner, mut outer) = (vec![self.guarded(law.out, &at, store)], &order[..]);
        if let Some((lines, rest)) = self.in_lanes(law, &order, &variables, &environment) {
            (inner, outer) = (lines, rest);
        }
        for (&l, &variable) in outer.iter().zip(&variables).rev() {
            inner = vec![Self::serial(variable, 0, law.loops[l].extent as i64, 1, inner)];
        }
        body.extend(inner);
        body
    }

    /// The innermost loop of a map, with its iterations as lanes as far as they fill registers, and the loops around it.
    fn in_lanes<'o>(
        &mut self,
        law: &Law,
        order: &'o [usize],
        variables: &[LoopId],
        environment: &Environment,
    ) -> Option<(Vec<Statement>, &'o [usize])> {
        let library = self.lowering.library?;
        let (&l, rest) = order.split_last()?;
        let (&variable, extent) = (variables.last()?, law.loops[l].extent);
        let widths: BTreeSet<usize> = library.vectors.iter().map(|vector| vector.lanes).collect();
        let statement = |nest: &Self, index: Index| {
            let mut environment = environment.clone();
            environment[l] = Some(index);
            let at: Vec<Index> = law.at.iter().map(|i| nest.index(i, &environment)).collect();
            let value = nest.expression(&law.body, &environment, &[]);
            let store = Statement::Store { target: law.out, at: at.clone(), reduce: law.reduce, value };
            nest.guarded(law.out, &at, store)
        };
        for lanes in widths.into_iter().rev().filter(|lanes| *lanes <= extent) {
            let filled = extent / lanes * lanes;
            self.ranges[variable.0 as usize] = (0, (filled - lanes) as i64);
            let lane = self.fresh("lane", (0, lanes as i64 - 1));
            let store = statement(self, Index::of_loop(variable) + Index::of_loop(lane));
            let lines = self.lanes(lane, lanes, &store);
            self.ranges[variable.0 as usize] = (0, extent as i64 - 1);
            let Some(lines) = lines else { continue };
            let mut body = vec![Self::serial(variable, 0, filled as i64, lanes, lines)];
            if filled < extent {
                let one = self.fresh(&law.loops[l].name, (filled as i64, extent as i64 - 1));
                let store = statement(self, Index::of_loop(one));
                body.push(Self::serial(one, filled as i64, extent as i64, 1, vec![store]));
            }
            return Some((body, rest));
        }
        None
    }

    /// A store that may leave its tensor runs only where it is inside.
    fn guarded(&self, out: TensorId, at: &[Index], store: Statement) -> Statement {
        let compare = |index: &Index, operation, bound: i64| {
            Expr::Index(index.clone()).binary(operation, Expr::integer(DType::I64, bound))
        };
        let mut tests = vec![];
        for (index, &extent) in at.iter().zip(self.lowering.program.shape(out)) {
            let range = index.range_in(&self.ranges);
            if range.is_none_or(|(low, _)| low < 0) {
                tests.push(compare(index, Binary::Ge, 0));
            }
            if range.is_none_or(|(_, high)| high >= extent as i64) {
                tests.push(compare(index, Binary::Lt, extent as i64));
            }
        }
        match tests.into_iter().reduce(|a, b| a.binary(Binary::And, b)) {
            Some(condition) => Statement::If { condition, body: vec![store] },
            None => store,
        }
    }

    /// `out[…] = identity`.
    fn fill(&mut self, out: TensorId, reduce: Reduce) -> Vec<Statement> {
        let tensor = self.lowering.program.tensor(out);
        let (dtype, shape) = (tensor.dtype, tensor.shape.clone());
        let Some(identity) = reduce.identity(dtype) else { return vec![] };
        let loops: Vec<LoopId> = nablac_index::axes(&shape)
            .into_iter()
            .map(|(name, extent)| self.variable(name, (0, (extent as i64 - 1).max(0))))
            .collect();
        let at = loops.iter().map(|&v| Index::of_loop(v)).collect();
        let store =
            Statement::Store { target: out, at, reduce: Reduce::Set, value: Expr::Literal(dtype, identity) };
        let wrap = |body, (&variable, &extent): (&LoopId, &usize)| {
            vec![Self::serial(variable, 0, extent as i64, 1, body)]
        };
        loops.iter().zip(&shape).rev().fold(vec![store], wrap)
    }

    /// The position of the first largest value: the value and its position are kept in two registers.
    fn argmax(&mut self, law: &Law) -> Vec<Statement> {
        let body_type = self.lowering.program.type_of(&law.body);
        let out_type = self.lowering.program.dtype(law.out);
        let best = self.register("best", body_type, vec![]);
        let position = self.register("position", out_type, vec![]);
        let reduced = law.reduced_loops(self.depth);
        let space: Vec<usize> = (0..law.loops.len()).filter(|l| !reduced.contains(l)).collect();
        let variables: Vec<LoopId> = law.loops.iter().map(|l| self.loop_variable(l)).collect();
        let environment: Environment = variables.iter().map(|&v| Some(Index::of_loop(v))).collect();
        let value = self.expression(&law.body, &environment, &[]);
        let flat = reduced.iter().fold(Index::default(), |flat, &l| {
            flat * law.loops[l].extent as i64 + Index::of_loop(variables[l])
        });
        let set = |target, value| Statement::Store { target, at: vec![], reduce: Reduce::Set, value };
        let better = Statement::If {
            condition: value.clone().binary(Binary::Gt, Expr::read(best, vec![])),
            body: vec![set(best, value), set(position, Expr::Index(flat).cast(out_type))],
        };
        let wrap = |loops: &[usize], body: Vec<Statement>| {
            loops.iter().rev().fold(body, |body, &l| {
                vec![Self::serial(variables[l], 0, law.loops[l].extent as i64, 1, body)]
            })
        };
        let lowest = match body_type.is_float() {
            true => Expr::literal(body_type, f64::NEG_INFINITY),
            false => Expr::integer(body_type, smallest(body_type)),
        };
        let mut inner = vec![set(best, lowest), set(position, Expr::integer(out_type, 0))];
        inner.extend(wrap(&reduced, vec![better]));
        let at = law.at.iter().map(|i| self.index(i, &environment)).collect();
        let value = Expr::read(position, vec![]);
        inner.push(Statement::Store { target: law.out, at, reduce: Reduce::Set, value });
        wrap(&space, inner)
    }
}
