//! The schedules of a program's reductions: what pins ask for, and the rules for the rest; as structures, and as text says them.

use std::collections::BTreeMap;

use nablac_index::{Program, Role, Statement, TensorId};

use super::contraction::{self, Contraction};
use super::parallel::{self, Parallel};
use super::pinned::Pins;
use super::schedule::{self, Schedule};
use super::{Capacity, edges, outline};
use crate::error::Error;
use crate::schedule::{Axis, For, How, Line, Name, Pin, Place, Schedules, Stored};

/// The schedule of every reduction, by its place among the program's statements.
#[derive(Clone, Default)]
pub(super) struct Chosen {
    /// Those that run as products of packed operands.
    pub contractions: BTreeMap<usize, Contraction>,
    /// The others.
    pub plain: BTreeMap<usize, Schedule>,
    /// The loops that run in parallel.
    pub parallel: BTreeMap<usize, Parallel>,
}

/// Chooses all schedules, and prepares the program for them.
pub(super) fn choose(
    program: &Program,
    capacity: &Capacity,
    schedules: &Schedules,
) -> Result<(Program, Chosen), Error> {
    let kernels = outline::kernels(program);
    let in_registers =
        kernels.iter().filter(|kernel| kernel.in_registers).map(|kernel| kernel.position).collect();
    let pins = Pins::read(&kernels, capacity, schedules)?;
    let (mut prepared, contractions) = contraction::prepare(program.clone(), capacity, &pins, &in_registers)?;
    let mut plain =
        plain(&prepared, capacity, &pins, &|l| in_registers.contains(&l) && !contractions.contains_key(&l))?;
    for kernel in &kernels {
        if let Some(schedule) = plain.get_mut(&kernel.position) {
            place_lanes(&mut prepared, kernel.main.out, schedule);
        }
    }
    let mut chosen = Chosen { contractions, plain, parallel: BTreeMap::new() };
    chosen.parallel = parallel::choose(program, &kernels, &chosen, &pins, capacity)?;
    Ok((prepared, chosen))
}

/// Gives registers of several sums a place in memory.
fn place_lanes(program: &mut Program, sum: TensorId, schedule: &mut Schedule) {
    let points: usize = schedule.space.iter().map(|(_, tile)| *tile).product();
    let Some(side) = &mut schedule.vector else { return };
    let name = format!("{}.lanes", program.tensor(sum).name);
    let lanes = points.next_multiple_of(side.lanes);
    side.put_down = program.add_tensor(&name, program.dtype(sum), &[lanes], Role::Local);
}

fn plain(
    program: &Program,
    capacity: &Capacity,
    pins: &Pins,
    wanted: &dyn Fn(usize) -> bool,
) -> Result<BTreeMap<usize, Schedule>, Error> {
    let (mut plain, mut position, mut failure) = (BTreeMap::new(), 0, None);
    program.visit_statements(&mut |counters, statement| {
        let (own, depth) = (position, counters.len());
        position += 1;
        if !wanted(own) {
            return;
        }
        let pinned = pins.get(own).map(|pinned| pinned.plain(program, statement, depth, capacity));
        match pinned.transpose() {
            Err(error) => failure = failure.take().or(Some(error)),
            Ok(pinned) => {
                _ = plain.insert(
                    own,
                    pinned.unwrap_or_else(|| {
                        by_rule(program, statement, counters, &pins.capacity(own, capacity))
                    }),
                )
            }
        }
    });
    failure.map_or(Ok(plain), Err)
}

/// The schedule of a reduction that nobody asks another for.
fn by_rule(
    program: &Program,
    statement: &Statement,
    counters: &[&nablac_index::Loop],
    capacity: &Capacity,
) -> Schedule {
    let tileable = |l: usize| {
        let (begin, end) = edges::interior_of(program, counters, statement, l);
        (end - begin).max(0) as usize
    };
    schedule::choose(program, statement, counters.len(), capacity, &tileable)
}

/// The schedule of every reduction into registers, as pins, each with what it computes.
pub(super) fn written(program: &Program, chosen: &Chosen) -> Vec<(String, Pin)> {
    let kernels = outline::kernels(program);
    let lines = |kernel: &outline::Named| match chosen.contractions.get(&kernel.position) {
        Some(contraction) => packed_lines(program, kernel.main, kernel.counters.len(), contraction),
        None => chosen
            .plain
            .get(&kernel.position)
            .map(|schedule| plain_lines(kernel.main, schedule))
            .unwrap_or_default(),
    };
    let pin = |kernel: &outline::Named| {
        let mut lines = lines(kernel);
        if let Some(parallel) = chosen.parallel.get(&kernel.position) {
            let name = &kernel.main.loops[parallel.l].name;
            let own = lines.iter_mut().find_map(|line| match line {
                Line::For(loops) if loops.axes.iter().any(|axis| axis.name.text == *name) => Some(loops),
                _ => None,
            });
            own.into_iter().for_each(|loops| loops.parallel = Some(parallel.parts.into()));
        }
        Pin { kernels: vec![Name::from(kernel.name.as_str())], how: How::Written(lines) }
    };
    let scheduled = kernels.iter().filter(|k| k.in_registers);
    scheduled.map(|k| (program.law_text(&k.counters, k.main), pin(k))).collect()
}

fn axis(statement: &Statement, l: usize, padded: usize) -> Axis {
    let own = &statement.loops[l];
    Axis { name: own.name.as_str().into(), padded: (padded != own.extent).then(|| padded.into()) }
}

/// A space loop's line.
fn space_line(statement: &Statement, (l, step): (usize, usize)) -> Line {
    let axes = vec![axis(statement, l, statement.loops[l].extent)];
    Line::For(For { axes, step: (step > 1).then(|| step.into()), ..For::default() })
}

fn plain_lines(statement: &Statement, schedule: &Schedule) -> Vec<Line> {
    let reduced = schedule.reduced.iter().map(|&l| {
        let axes = vec![axis(statement, l, statement.loops[l].extent)];
        Line::For(For { axes, unroll: schedule.unrolled.contains(&l), ..For::default() })
    });
    let space = schedule.space.iter().map(|&(l, step)| {
        let lanes = schedule.vector.as_ref().filter(|side| side.l == l).map(|side| side.lanes.into());
        match space_line(statement, (l, step)) {
            Line::For(loops) => Line::For(For { vector: lanes, ..loops }),
            other => other,
        }
    });
    space.chain(reduced).collect()
}

fn packed_lines(
    program: &Program,
    statement: &Statement,
    depth: usize,
    contraction: &Contraction,
) -> Vec<Line> {
    let schedule = &contraction.schedule;
    let stored = |tensor, dtype| Stored {
        tensor: program.tensor(tensor).name.as_str().into(),
        dtype,
        place: Place::default(),
    };
    let mut lines: Vec<Line> = schedule.space.iter().map(|&space| space_line(statement, space)).collect();
    if let (Some(around), Some(staged)) = (schedule.staged, &contraction.staged) {
        lines.insert(around, Line::Buffer(stored(contraction.access.tensor, staged.dtype)));
    }
    lines.push(Line::For(For {
        axes: schedule.reduced.iter().map(|&(l, padded)| axis(statement, l, padded)).collect(),
        step: Some(schedule.chunk.into()),
        instruction: Some(contraction.dot.multiply.as_str().into()),
        ..For::default()
    }));
    let constants = contraction::factors(program, statement, depth).map(|factors| factors.constant.tensor);
    let is_constant = |id: &nablac_index::TensorId| matches!(program.tensor(*id).role, Role::Constant(_));
    lines.extend(constants.filter(is_constant).map(|id| Line::Pack(stored(id, schedule.packed))));
    lines
}
