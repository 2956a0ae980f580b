//! Building one nest.
//!
//! Owns the shape `space loops { initial values; reduced loops { tile of terms }; last map and stores }`, its variables and
//! registers. Tiles are unrolled loops over small register arrays. Where a tiled loop moves a read over an edge, it is cut into
//! an untiled border, whose reduced loops get bounds, and a tiled interior, which needs none.

use nablac_index::{
    Access, Binary, DType, Expr, Index, Loop, LoopId, Reduce, Repeat, Statement as Law, TensorId, smallest,
};

use super::group::{self, Group};
use super::schedule::{self, Schedule};
use super::{Lowering, edges};
use crate::program::{For, Kernel, Kind, Register, Statement, Step};

/// The kernel of a group.
pub(super) fn kernel<'a>(lowering: &mut Lowering<'a>, group: &Group<'a>) -> Kernel {
    let main = group.main;
    let label = group
        .statements()
        .iter()
        .rev()
        .map(|s| s.label.as_str())
        .find(|l| !l.is_empty())
        .unwrap_or("")
        .to_string();
    let name = lowering.name(if main.label.is_empty() { &label } else { &main.label }, main.out);
    let laws = group.statements().iter().map(|s| lowering.program.law_text(&lowering.counters, s)).collect();
    let variables: Vec<String> = lowering.counters.iter().map(|c| c.name.clone()).collect();
    let ranges = lowering.counters.iter().map(|c| (0, c.extent as i64 - 1)).collect();
    let mut nest = Nest {
        lowering,
        depth: variables.len(),
        kernel: Kernel { name, laws, variables, registers: vec![], body: vec![] },
        ranges,
    };
    let body = if group.in_registers {
        nest.reduction(group)
    } else if main.reduce == Reduce::ArgMax {
        nest.argmax(main)
    } else {
        nest.plain(main)
    };
    nest.kernel.body = body;
    nest.kernel
}

/// Fills, before a repetition, the tensors that its iterations accumulate slice by slice.
pub(super) fn fills_before(lowering: &mut Lowering, repeat: &Repeat) -> Vec<Step> {
    let depth = lowering.counters.len();
    let mut fills = vec![];
    let body = nablac_index::Program { steps: repeat.body.clone(), ..Default::default() };
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
        let mut nest = Nest { lowering, depth, kernel, ranges };
        nest.kernel.body = nest.fill(out, reduce);
        fills.push(Step::Kernel(nest.kernel));
    }
    fills
}

/// A nest under construction.
struct Nest<'n, 'a> {
    lowering: &'n mut Lowering<'a>,
    depth: usize,
    kernel: Kernel,
    /// What each variable ranges over at the point of construction, both ends included.
    ranges: Vec<(i64, i64)>,
}

/// The values of a statement's own loops, as indices of the kernel's variables; `None` for loops that are not open yet.
type Environment = Vec<Option<Index>>;

/// A register tile: its variables with their extents, outermost first.
type Tile = Vec<(LoopId, usize)>;

/// A reduction on its way into registers.
struct Reduction<'g, 'a> {
    group: &'g Group<'a>,
    schedule: Schedule,
    /// One variable per loop, and one per tiled loop's place in the tile.
    variables: Vec<LoopId>,
    tile_variables: Vec<Option<LoopId>>,
}

impl<'a> Nest<'_, 'a> {
    fn variable(&mut self, name: &str, range: (i64, i64)) -> LoopId {
        self.kernel.variables.push(name.into());
        self.ranges.push(range);
        LoopId(self.kernel.variables.len() as u32 - 1)
    }

    fn loop_variable(&mut self, l: &Loop) -> LoopId {
        self.variable(&l.name, (0, (l.extent as i64 - 1).max(0)))
    }

    fn register(&mut self, name: &str, dtype: DType, shape: Vec<usize>) -> TensorId {
        let taken = |name: &str| {
            self.kernel.registers.iter().any(|r| r.name == name)
                || self.lowering.program.tensors.iter().any(|t| t.name == name)
        };
        let mut unique = name.to_string();
        let mut number = 1;
        while taken(&unique) {
            number += 1;
            unique = format!("{name}{number}");
        }
        self.kernel.registers.push(Register { name: unique, dtype, shape });
        TensorId((self.lowering.program.tensors.len() + self.kernel.registers.len() - 1) as u32)
    }

    fn serial(variable: LoopId, begin: i64, end: i64, step: usize, body: Vec<Statement>) -> Statement {
        let (lower, upper) = (vec![Index::constant(begin)], vec![Index::constant(end)]);
        Statement::For(For { variable, lower, upper, step, kind: Kind::Serial, body })
    }

    /// An index of a statement, in the kernel's variables.
    fn index(&self, index: &Index, environment: &Environment) -> Index {
        let depth = self.depth;
        let of = |id: LoopId| match (id.0 as usize).checked_sub(depth) {
            None => Index::of_loop(id),
            Some(own) => environment[own].clone().unwrap_or_default(),
        };
        index.substitute(&of).simplify_in(&self.ranges)
    }

    /// An expression of a statement, in the kernel's variables. Tests are dropped where the ranges decide them, or bounds have
    /// been set for all dimensions that remain: `bounded` lists accesses of the statement with such a dimension.
    fn expression(&self, expression: &Expr, environment: &Environment, bounded: &[(Access, usize)]) -> Expr {
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

    // ---- maps, and reductions in memory ----

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
        let mut inner = vec![self.guarded(law.out, &at, store)];
        for (&l, &variable) in order.iter().zip(&variables).rev() {
            inner = vec![Self::serial(variable, 0, law.loops[l].extent as i64, 1, inner)];
        }
        body.extend(inner);
        body
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

    // ---- reductions into registers ----

    fn reduction(&mut self, group: &Group<'a>) -> Vec<Statement> {
        let law = group.main;
        let tileable = |l: usize| {
            let (begin, end) = self.interior(law, l);
            (end - begin).max(0) as usize
        };
        let schedule =
            schedule::choose(self.lowering.program, law, self.depth, self.lowering.capacity, &tileable);
        let variables = law.loops.iter().map(|l| self.loop_variable(l)).collect();
        let tile_variables = (0..law.loops.len())
            .map(|l| {
                let tile = schedule.space.iter().find(|(s, _)| *s == l).map_or(1, |(_, tile)| *tile);
                (tile > 1).then(|| self.variable(&format!("{}t", law.loops[l].name), (0, tile as i64 - 1)))
            })
            .collect();
        self.lowering.begun.push(law.out);
        let reduction = Reduction { group, schedule, variables, tile_variables };
        self.space(&reduction, 0, vec![None; law.loops.len()], vec![])
    }

    /// The iterations of a loop at which every read that it moves, and that a bound may cut, is inside.
    fn interior(&self, law: &Law, l: usize) -> (i64, i64) {
        let extents = law.extents(&self.lowering.counters);
        let ranges: Vec<(i64, i64)> = extents.iter().map(|&n| (0, (n as i64 - 1).max(0))).collect();
        let id = LoopId((self.depth + l) as u32);
        let whole = (0, law.loops[l].extent as i64);
        law.accesses().into_iter().filter(|a| a.outside.is_some()).fold(whole, |(begin, end), access| {
            let shape = self.lowering.program.shape(access.tensor);
            access.at.iter().zip(shape).filter(|(index, _)| index.loops().contains(&id)).fold(
                (begin, end),
                |(begin, end), (index, &extent)| match edges::interior(index, id, extent, &ranges) {
                    Some((first, last)) => (begin.max(first), end.min(last).max(begin.max(first))),
                    None => (begin, begin), // no interior: the loop is not tiled
                },
            )
        })
    }

    /// The space loops from `level` on.
    fn space(&mut self, r: &Reduction, level: usize, environment: Environment, tile: Tile) -> Vec<Statement> {
        let Some(&(l, size)) = r.schedule.space.get(level) else { return self.point(r, environment, tile) };
        let extent = r.group.main.loops[l].extent as i64;
        let variable = r.variables[l];
        if size <= 1 {
            return self.each(r, level, environment, tile, (0, extent));
        }
        let (begin, end) = self.interior(r.group.main, l);
        let (begin, end) = (begin.min(extent), end.min(extent));
        let mut statements = self.each(r, level, environment.clone(), tile.clone(), (0, begin));
        let size = size as i64;
        let whole = begin + (end - begin) / size * size;
        for (first, last, size) in [(begin, whole, size), (whole, end, end - whole)] {
            if first == last {
                continue;
            }
            let looped = last - first > size;
            self.ranges[variable.0 as usize] = (first, last - size);
            let base = if looped { Index::of_loop(variable) } else { Index::constant(first) };
            let mut inner = (environment.clone(), tile.clone());
            inner.0[l] = Some(match r.tile_variables[l] {
                Some(place) if size > 1 => {
                    self.ranges[place.0 as usize] = (0, size - 1);
                    inner.1.push((place, size as usize));
                    base + Index::of_loop(place)
                }
                _ => base,
            });
            let body = self.space(r, level + 1, inner.0, inner.1);
            match looped {
                true => statements.push(Self::serial(variable, first, last, size as usize, body)),
                false => statements.extend(body),
            }
        }
        statements.extend(self.each(r, level, environment, tile, (end, extent)));
        statements
    }

    /// A space loop without a tile, over `begin..end`.
    fn each(
        &mut self,
        r: &Reduction,
        level: usize,
        mut environment: Environment,
        tile: Tile,
        (begin, end): (i64, i64),
    ) -> Vec<Statement> {
        let l = r.schedule.space[level].0;
        if begin >= end {
            return vec![];
        }
        let variable = r.variables[l];
        self.ranges[variable.0 as usize] = (begin, end - 1);
        let single = end - begin == 1;
        environment[l] = Some(if single { Index::constant(begin) } else { Index::of_loop(variable) });
        let body = self.space(r, level + 1, environment, tile);
        if single { body } else { vec![Self::serial(variable, begin, end, 1, body)] }
    }

    /// One tile: initial values, terms, last map and stores.
    fn point(&mut self, r: &Reduction, environment: Environment, tile: Tile) -> Vec<Statement> {
        let law = r.group.main;
        let dtype = self.lowering.program.dtype(law.out);
        let sum = self.register("acc", dtype, tile.iter().map(|(_, n)| *n).collect());
        let at: Vec<Index> = tile.iter().map(|(v, _)| Index::of_loop(*v)).collect();
        let element: Vec<Index> = law.at.iter().map(|i| self.index(i, &environment)).collect();
        let first = match r.group.initial {
            Some(initial) => {
                let own = self.environment_of(initial, &initial.at, law, &environment);
                self.expression(&initial.body, &own, &[])
            }
            None => Expr::Literal(dtype, law.reduce.identity(dtype).unwrap_or(nablac_index::Value::Int(0))),
        };
        let store = |target, at, reduce, value| Statement::Store { target, at, reduce, value };
        let mut statements = wrap(&tile, vec![store(sum, at.clone(), Reduce::Set, first)]);
        let mut bounded = vec![];
        statements.extend(self.reduced(r, 0, environment.clone(), &tile, &mut bounded, (sum, &at)));
        let read = Expr::read(sum, at);
        let last = match r.group.last {
            None => store(law.out, element, Reduce::Set, read),
            Some(map) => {
                let through = map.accesses().into_iter().find(|a| a.tensor == law.out).map(|a| a.at.clone());
                let own = self.environment_of(map, &through.unwrap_or_default(), law, &environment);
                let value = map.body.rewrite(&mut |node| match node {
                    Expr::Read(access) if access.tensor == law.out => read.clone(),
                    other => self.moved(other, &own),
                });
                let at = map.at.iter().map(|i| self.index(i, &own)).collect();
                store(map.out, at, Reduce::Set, value)
            }
        };
        statements.extend(wrap(&tile, vec![last]));
        statements
    }

    /// One node of another statement's expression, in the kernel's variables.
    fn moved(&self, node: Expr, environment: &Environment) -> Expr {
        match node {
            Expr::Read(_) | Expr::Index(_) => self.expression(&node, environment, &[]),
            other => other,
        }
    }

    /// The loops of a statement of the group that touches the main statement's tensor at `at`.
    fn environment_of(&self, law: &Law, at: &[Index], main: &Law, environment: &Environment) -> Environment {
        let values = group::follow(law, at, main, self.depth).unwrap_or_default();
        values.iter().map(|value| Some(self.index(value, environment))).collect()
    }

    /// The reduced loops from `level` on, around the tile of terms.
    fn reduced(
        &mut self,
        r: &Reduction,
        level: usize,
        mut environment: Environment,
        tile: &Tile,
        bounded: &mut Vec<(Access, usize)>,
        (sum, at): (TensorId, &[Index]),
    ) -> Vec<Statement> {
        let law = r.group.main;
        let Some(&l) = r.schedule.reduced.get(level) else {
            let value = self.expression(&law.body, &environment, bounded);
            return wrap(
                tile,
                vec![Statement::Store { target: sum, at: at.to_vec(), reduce: law.reduce, value }],
            );
        };
        let extent = law.loops[l].extent as i64;
        if extent == 1 {
            environment[l] = Some(Index::constant(0));
            return self.reduced(r, level + 1, environment, tile, bounded, (sum, at));
        }
        let variable = r.variables[l];
        environment[l] = Some(Index::of_loop(variable));
        let (lower, upper) = self.cut(law, l, variable, &environment, tile, bounded);
        let fixed = lower.len() == 1 && upper.len() == 1;
        let kind = if fixed && r.schedule.unrolled.contains(&l) { Kind::Unroll } else { Kind::Serial };
        let body = self.reduced(r, level + 1, environment, tile, bounded, (sum, at));
        vec![Statement::For(For { variable, lower, upper, step: 1, kind, body })]
    }

    /// The bounds of a reduced loop: its extent, and the edges of what it moves. Dimensions that a bound keeps inside are added
    /// to `bounded`.
    fn cut(
        &self,
        law: &Law,
        l: usize,
        variable: LoopId,
        environment: &Environment,
        tile: &Tile,
        bounded: &mut Vec<(Access, usize)>,
    ) -> (Vec<Index>, Vec<Index>) {
        let (mut lower, mut upper) =
            (vec![Index::constant(0)], vec![Index::constant(law.loops[l].extent as i64)]);
        for access in law.accesses() {
            if !edges::vanishes_outside(law.reduce, &law.body, access) {
                continue;
            }
            for (d, (index, &extent)) in
                access.at.iter().zip(self.lowering.program.shape(access.tensor)).enumerate()
            {
                let own = LoopId((self.depth + l) as u32);
                let open = index.loops().iter().all(|id| {
                    (id.0 as usize).checked_sub(self.depth).is_none_or(|o| environment[o].is_some())
                });
                if !index.loops().contains(&own) || !open {
                    continue;
                }
                let index = self.index(index, environment);
                let tiled = index.loops().iter().any(|id| tile.iter().any(|(place, _)| place == id));
                let Some((low, high)) = edges::bounds(&index, variable, extent).filter(|_| !tiled) else {
                    continue;
                };
                let keep = |list: &mut Vec<Index>, bound: Index, decided: bool| {
                    if !decided && !list.contains(&bound) {
                        list.push(bound);
                    }
                };
                let [low, high] = [low, high].map(|b| b.simplify_in(&self.ranges));
                let below = low.range_in(&self.ranges).is_some_and(|(_, max)| max <= 0);
                let above =
                    high.range_in(&self.ranges).is_some_and(|(min, _)| min >= law.loops[l].extent as i64);
                keep(&mut lower, low, below);
                keep(&mut upper, high, above);
                bounded.push((access.clone(), d));
            }
        }
        (lower, upper)
    }
}

/// The tile's loops around `body`, written out.
fn wrap(tile: &Tile, body: Vec<Statement>) -> Vec<Statement> {
    tile.iter().rev().fold(body, |body, &(variable, extent)| {
        let (lower, upper) = (vec![Index::constant(0)], vec![Index::constant(extent as i64)]);
        vec![Statement::For(For { variable, lower, upper, step: 1, kind: Kind::Unroll, body })]
    })
}
