//! Which statements share a nest.
//!
//! A reduction takes with it the statement that gives its initial values and the map that alone reads its result, so that the sum
//! stays in registers from the first term to the stored value. Everything else is a nest by itself.

use nablac_index::{
    Access, Branch, Index, LoopId, Program, Reduce, Repeat, Role, Statement, Step, for_each_write,
};

/// A step of a lowered program.
pub(super) enum Item<'a> {
    Group(Group<'a>),
    Repeat(&'a Repeat),
    Branch(&'a Branch),
}

/// Statements that share a nest.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    /// Gives the reduction's initial values: `t[i] = b[i]`.
    pub initial: Option<&'a Statement>,
    /// The statement whose loops make the nest.
    pub main: &'a Statement,
    /// Reads the result of `main`, which nobody else does: `y[i] = max(t[i], 0)`.
    pub last: Option<&'a Statement>,
    /// Whether `main` reduces into registers; otherwise it is combined in memory.
    pub in_registers: bool,
}

impl<'a> Group<'a> {
    /// A nest of one statement.
    pub(super) fn alone(main: &'a Statement) -> Group<'a> {
        Group { initial: None, main, last: None, in_registers: false }
    }

    /// The statements in order.
    pub(super) fn statements(&self) -> Vec<&'a Statement> {
        self.initial.into_iter().chain([self.main]).chain(self.last).collect()
    }
}

/// The nests of a block, in an order that keeps every value's definition before its use. `depth` is the number of counters.
pub(super) fn items<'a>(program: &'a Program, steps: &'a [Step], depth: usize) -> Vec<Item<'a>> {
    let statements: Vec<Option<&Statement>> = steps
        .iter()
        .map(|step| match step {
            Step::Statement(statement) => Some(statement),
            _ => None,
        })
        .collect();
    let mut items: Vec<Option<Item>> = steps.iter().map(|_| None).collect();
    let mut taken = vec![false; steps.len()];
    // From the last reduction to the first: where a map reads two of them, the later one takes it.
    for position in (0..steps.len()).rev() {
        let Some(main) = statements[position] else { continue };
        let in_memory = streams(main, depth).is_some() || !reduces_in_registers(program, main, depth);
        if main.reduce == Reduce::Set || in_memory {
            continue;
        }
        let Some(initial) = initial_of(program, &statements, position, depth) else { continue };
        let last = last_of(program, &statements, &taken, position, depth);
        taken[position] = true;
        initial.iter().chain(&last).for_each(|&p| taken[p] = true);
        let group = Group {
            initial: initial.and_then(|p| statements[p]),
            main,
            last: last.and_then(|p| statements[p]),
            in_registers: main.reduce != Reduce::ArgMax,
        };
        items[last.unwrap_or(position)] = Some(Item::Group(group));
    }
    for (position, step) in steps.iter().enumerate().filter(|(p, _)| !taken[*p]) {
        items[position] = Some(match step {
            Step::Statement(statement) => Item::Group(Group::alone(statement)),
            Step::Repeat(repeat) => Item::Repeat(repeat),
            Step::Branch(branch) => Item::Branch(branch),
        });
    }
    items.into_iter().flatten().collect()
}

/// Whether each point of the loops that a statement's `at` names is one element, and no element is left out: then a register can
/// collect all that goes into it.
pub(super) fn reduces_in_registers(program: &Program, statement: &Statement, depth: usize) -> bool {
    let mut seen: Vec<LoopId> = vec![];
    statement.at.iter().zip(program.shape(statement.out)).all(|(index, &extent)| {
        let own = |id: &LoopId| id.0 as usize >= depth;
        let loops = index.loops();
        if loops.iter().any(|id| !own(id)) {
            return index.as_loop().is_some(); // one slice per iteration of a counter
        }
        if !index.is_affine() || loops.iter().any(|id| seen.contains(id)) {
            return false;
        }
        seen.extend(&loops);
        mixed_radix(statement, index, extent, depth)
    })
}

/// The outermost loop of a statement that adds slice after slice to what memory holds: it is reduced, and loops over the result are inside.
pub(super) fn streams(statement: &Statement, depth: usize) -> Option<usize> {
    let reduced = statement.reduced_loops(depth);
    let mut loops = (0..statement.loops.len()).filter(|&l| statement.loops[l].extent > 1);
    let first = loops.next().filter(|l| reduced.contains(l) && statement.reduce != Reduce::Set)?;
    loops.any(|l| !reduced.contains(&l)).then_some(first)
}

/// Whether `c1*l1 + c2*l2 + …` counts through `0..extent` exactly once.
fn mixed_radix(statement: &Statement, index: &Index, extent: usize, depth: usize) -> bool {
    let mut digits: Vec<(i64, i64)> = index
        .loops()
        .iter()
        .map(|&id| (index.factor(id), statement.loops[id.0 as usize - depth].extent as i64))
        .collect();
    digits.sort_unstable();
    let covered = digits
        .iter()
        .try_fold(1i64, |expected, &(factor, n)| (factor == expected || n == 1).then_some(expected * n));
    index.offset() == 0 && covered == Some(extent as i64)
}

/// The position of the statement that gives the initial values, `Some(None)` if there is none, `None` if the tensor is written in
/// a way that registers can't follow.
fn initial_of(
    program: &Program,
    statements: &[Option<&Statement>],
    position: usize,
    depth: usize,
) -> Option<Option<usize>> {
    let main = statements[position]?;
    let mut writes = 0;
    for_each_write(&program.steps, &mut |id| writes += usize::from(id == main.out));
    let initial: Vec<usize> = (0..position)
        .filter(|&p| statements[p].is_some_and(|s| s.out == main.out && s.reduce == Reduce::Set))
        .collect();
    let follows = |p: usize| statements[p].is_some_and(|s| follow(s, &s.at, main, depth).is_some());
    match initial[..] {
        [] if writes == 1 => Some(None),
        [p] if writes == 2 && follows(p) => Some(Some(p)),
        _ => None,
    }
}

/// The position of the one map that reads the result of the reduction at `position`.
fn last_of(
    program: &Program,
    statements: &[Option<&Statement>],
    taken: &[bool],
    position: usize,
    depth: usize,
) -> Option<usize> {
    let main = statements[position]?;
    if program.tensor(main.out).role != Role::Local || main.reduce == Reduce::ArgMax {
        return None;
    }
    let reads = |s: &&Statement| s.reads().contains(&main.out);
    let mut readers = program.statements().into_iter().filter(reads);
    let reader = readers.next()?;
    let only = readers.next().is_none()
        && program.read_counts()[main.out.0 as usize]
            == reader.reads().iter().filter(|r| **r == main.out).count();
    let at = statements.iter().position(|s| s.is_some_and(|s| std::ptr::eq(s, reader)))?;
    let accesses: Vec<&Access> = reader.accesses().into_iter().filter(|a| a.tensor == main.out).collect();
    let first = accesses.first()?;
    let same = accesses.len() == reader.reads().iter().filter(|r| **r == main.out).count()
        && accesses.iter().all(|a| a.at == first.at);
    follow(reader, &first.at, main, depth)?;
    let loops: Vec<LoopId> = first.at.iter().filter_map(Index::as_loop).collect();
    let all = (0..reader.loops.len())
        .all(|l| reader.loops[l].extent == 1 || loops.contains(&LoopId((depth + l) as u32)));
    let whole = first.at.iter().zip(program.shape(main.out)).all(|(index, &extent)| match index.as_loop() {
        Some(id) => reader.loops[id.0 as usize - depth].extent == extent,
        None => extent == 1 && index.as_constant() == Some(0),
    });
    (only && same && all && whole && at > position && !taken[at] && reader.reduce == Reduce::Set)
        .then_some(at)
}

/// The loops of a statement that touches the main statement's tensor at `at`, each as an index over the main statement's loops, when
/// both are at the same element: a plain loop is the main statement's index there, and `M*g + m` on both sides goes digit by
/// digit. Loops that `at` does not name are 0.
pub(super) fn follow(law: &Statement, at: &[Index], main: &Statement, depth: usize) -> Option<Vec<Index>> {
    let mut values = vec![None; law.loops.len()];
    for (index, target) in at.iter().zip(&main.at) {
        let counter = |id: LoopId| (id.0 as usize) < depth;
        if index == target && index.loops().into_iter().all(counter) {
            continue;
        }
        let pairs: Vec<(LoopId, Index)> = match index.as_loop() {
            Some(id) => vec![(id, target.clone())],
            None => {
                let (own, other) = (digits(index, law, depth)?, digits(target, main, depth)?);
                let alike = own.iter().map(|d| (d.0, d.1)).eq(other.iter().map(|d| (d.0, d.1)));
                if !alike || index.offset() != 0 || target.offset() != 0 {
                    return None;
                }
                own.iter().zip(&other).map(|(a, b)| (a.2, Index::of_loop(b.2))).collect()
            }
        };
        for (id, value) in pairs {
            let own = (id.0 as usize).checked_sub(depth)?;
            if values[own].replace(value).is_some() {
                return None;
            }
        }
    }
    Some(values.into_iter().map(Option::unwrap_or_default).collect())
}

/// The terms of an affine index as factor, extent and loop, sorted.
fn digits(index: &Index, statement: &Statement, depth: usize) -> Option<Vec<(i64, usize, LoopId)>> {
    let digit = |id: LoopId| {
        let own = (id.0 as usize).checked_sub(depth)?;
        Some((index.factor(id), statement.loops.get(own)?.extent, id))
    };
    let mut digits = index.loops().into_iter().map(digit).collect::<Option<Vec<_>>>()?;
    digits.sort_unstable();
    index.is_affine().then_some(digits)
}

/// Whether a statement combines into memory, so that the memory must hold the identity first.
pub(super) fn accumulates_in_memory(program: &Program, statement: &Statement, depth: usize) -> bool {
    let in_memory = streams(statement, depth).is_some() || !reduces_in_registers(program, statement, depth);
    statement.reduce != Reduce::Set && in_memory
}
