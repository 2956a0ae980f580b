//! Schedules that are asked for: from lines to the loops of a statement, and whether its nest can have them.
//!
//! Owns every rule of legality, so that what comes out of here is built without a question: the rules of `rules` are advice, and a
//! tile that the registers cannot hold is slow, not wrong.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{LoopId, Program, Statement, TensorId};

use super::parallel::Parallel;
use super::schedule::Schedule;
use super::side_by_side::SideBySide;
use super::{Capacity, lanes, outline};
use crate::error::Error;
use crate::instruction::Library;
use crate::parts::MOST_PARTS;
use crate::schedule::{Amount, Axis, For, Line, Machine, Name, Place, Schedules, Stored, settle};

mod product;

use product::{product, unknown_instruction};

/// The most products that are written out one by one: beyond it C compilers take minutes over one function.
const MOST_WRITTEN_OUT: usize = 1 << 14;

/// What pins ask for, by the main statement's place among the program's statements.
#[derive(Default)]
pub(super) struct Pins {
    pinned: BTreeMap<usize, Pinned>,
    /// The kernels that run row by row with others.
    by_rows: BTreeSet<usize>,
}

/// What a pin asks of one kernel.
pub(super) struct Pinned {
    kernel: Name,
    lines: Vec<Line>,
}

impl Pins {
    /// The pins of a program's kernels.
    pub(super) fn read(
        kernels: &[outline::Named],
        capacity: &Capacity,
        schedules: &Schedules,
    ) -> Result<Pins, Error> {
        let mut pins = Pins::default();
        let position = |name: &Name| kernels.iter().find(|k| k.name == name.text).map(|k| k.position);
        pins.by_rows = schedules.fused().flatten().filter_map(position).collect();
        for pin in schedules.pins() {
            for name in &pin.kernels {
                let kernel = kernels.iter().find(|kernel| kernel.name == name.text);
                let kernel = kernel.ok_or_else(|| unknown_kernel(name, kernels))?;
                if !kernel.in_registers {
                    let message = format!(
                        "kernel `{}` has no schedule: only sums and their kin into registers have one",
                        name.text
                    );
                    return Err(Error::schedule(name.place, message));
                }
                let loops = &kernel.main.loops;
                let machine = Machine {
                    name: &capacity.machine,
                    general_registers: capacity.general_registers,
                    float_registers: capacity.float_registers,
                    threads: capacity.threads.max(1),
                    extents: loops.iter().map(|l| (l.name.as_str(), l.extent)).collect(),
                };
                let lines = settle(schedules, pin, name, &machine)?;
                if pins.pinned.insert(kernel.position, Pinned { kernel: name.clone(), lines }).is_some() {
                    return Err(Error::schedule(
                        name.place,
                        format!("kernel `{}` is pinned twice", name.text),
                    ));
                }
            }
        }
        Ok(pins)
    }

    /// What is asked of the statement at a place.
    pub(super) fn get(&self, position: usize) -> Option<&Pinned> {
        self.pinned.get(&position)
    }

    /// What the machine offers to the statement at a place, where nobody asks for another schedule.
    pub(super) fn capacity(&self, position: usize, capacity: &Capacity) -> Capacity {
        Capacity { by_rows: self.by_rows.contains(&position), ..capacity.clone() }
    }

    /// Every pin that asks for an instruction must have got it.
    pub(super) fn all_met(
        &self,
        met: &dyn Fn(usize) -> bool,
        library: Option<&Library>,
    ) -> Result<(), Error> {
        for (position, pinned) in &self.pinned {
            if let Some(name) = pinned.instruction().filter(|_| !met(*position)) {
                return Err(match library {
                    None => unknown_instruction(name, &[]),
                    Some(library) => {
                        product(library, name)?;
                        let kernel = &pinned.kernel.text;
                        let message = format!(
                            "kernel `{kernel}` has no use for `{}`: it sums no products with constants that it can take",
                            name.text
                        );
                        Error::schedule(name.place, message)
                    }
                });
            }
        }
        Ok(())
    }
}

fn unknown_kernel(name: &Name, kernels: &[outline::Named]) -> Error {
    let known: Vec<&str> = kernels.iter().filter(|k| k.in_registers).map(|k| k.name.as_str()).collect();
    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
    let message = format!("there is no kernel `{}`; those with a schedule are {known}", name.text);
    Error::schedule(name.place, message)
}

/// A pin's lines as loops of a statement.
struct Nest<'p> {
    /// Space loops with their steps.
    space: Vec<(usize, usize, Place)>,
    /// How many of them are around the buffer.
    buffer: Option<(usize, &'p Stored)>,
    pack: Option<&'p Stored>,
    /// The space loop whose iterations are lanes, and how many there are.
    vector: Option<(usize, usize, Place)>,
    /// The space loop that is parallel, and in how many parts.
    parallel: Option<(usize, usize, Place)>,
    /// The lines of reduced loops, each with its loops.
    reduced: Vec<(Vec<usize>, &'p For)>,
}

impl Pinned {
    fn error<T>(&self, place: Place, message: String) -> Result<T, Error> {
        Err(Error::schedule(place, format!("kernel `{}`: {message}", self.kernel.text)))
    }

    /// The instruction that it asks for.
    pub(super) fn instruction(&self) -> Option<&Name> {
        self.lines.iter().find_map(|line| match line {
            Line::For(loops) => loops.instruction.as_ref(),
            _ => None,
        })
    }

    fn nest(&self, statement: &Statement, depth: usize) -> Result<Nest<'_>, Error> {
        let reduced = statement.reduced_loops(depth);
        let mut nest =
            Nest { space: vec![], buffer: None, pack: None, vector: None, parallel: None, reduced: vec![] };
        for line in &self.lines {
            match line {
                Line::Buffer(stored) => self.buffer_line(&mut nest, stored)?,
                Line::Pack(stored) if nest.pack.is_some() => {
                    return self.error(stored.place, "there is a `pack` already".into());
                }
                Line::Pack(stored) => nest.pack = Some(stored),
                Line::For(loops) => {
                    let own = loops.axes.iter().map(|axis| self.axis(axis, statement, &reduced));
                    let own = own.collect::<Result<Vec<usize>, Error>>()?;
                    match own.iter().filter(|l| reduced.contains(l)).count() {
                        0 => {
                            let space = self.space_loop(&nest, &own, loops, statement)?;
                            nest.vector = nest
                                .vector
                                .or(amount(loops.vector.as_ref()).map(|n| (space.0, n, loops.place)));
                            nest.parallel = nest
                                .parallel
                                .or(amount(loops.parallel.as_ref()).map(|n| (space.0, n, loops.place)));
                            nest.space.push(space);
                        }
                        n if n == own.len() => self.reduced_loops(&mut nest, own, loops, statement)?,
                        _ => {
                            let message = "loops over the result and reduced ones do not run as one";
                            return self.error(loops.place, message.into());
                        }
                    }
                }
            }
        }
        let missing = (0..statement.loops.len()).find(|l| {
            let in_space = nest.space.iter().any(|(own, ..)| own == l);
            !in_space && !nest.reduced.iter().any(|(own, _)| own.contains(l))
        });
        match missing {
            Some(l) => self.error(self.kernel.place, format!("`for {}` is missing", statement.loops[l].name)),
            None => Ok(nest),
        }
    }

    fn buffer_line<'p>(&self, nest: &mut Nest<'p>, stored: &'p Stored) -> Result<(), Error> {
        if !nest.reduced.is_empty() {
            return self.error(stored.place, "a buffer stands in front of the reduced loops".into());
        }
        if nest.buffer.is_some() {
            return self.error(stored.place, "there is a buffer already".into());
        }
        nest.buffer = Some((nest.space.len(), stored));
        Ok(())
    }

    fn axis(&self, axis: &Axis, statement: &Statement, reduced: &[usize]) -> Result<usize, Error> {
        let position = statement.loops.iter().position(|l| l.name == axis.name.text);
        position.map_or_else(
            || {
                let names = |inside: bool| {
                    let own = (0..statement.loops.len()).filter(|l| reduced.contains(l) == inside);
                    own.map(|l| statement.loops[l].name.as_str()).collect::<Vec<_>>().join(", ")
                };
                let (space, inside) = (names(false), names(true));
                let message = format!(
                    "it has no loop `{}`; its loops are {space}, and reduced {inside}",
                    axis.name.text
                );
                self.error(axis.name.place, message)
            },
            Ok,
        )
    }

    fn space_loop(
        &self,
        nest: &Nest,
        own: &[usize],
        loops: &For,
        statement: &Statement,
    ) -> Result<(usize, usize, Place), Error> {
        let [l] = own[..] else {
            return self.error(loops.place, "only reduced loops run as one: write a line for each".into());
        };
        let name = &statement.loops[l].name;
        let wrong = [
            (!nest.reduced.is_empty(), format!("`{name}` is no reduced loop: it stands in front of those")),
            (loops.axes[0].padded.is_some(), format!("`{name}` is no reduced loop: only those are padded")),
            (loops.unroll, format!("`{name}` is no reduced loop: `step` writes its iterations out")),
            (loops.instruction.is_some(), format!("`{name}` is no reduced loop: `use` stands behind those")),
            (
                loops.vector.is_some() && nest.vector.is_some(),
                "one loop's iterations are lanes, and there is a `vector` already".into(),
            ),
            (
                loops.parallel.is_some() && nest.parallel.is_some(),
                "one loop is parallel, and there is a `parallel` already".into(),
            ),
            (
                loops.parallel.is_some() && nest.space.iter().any(|(other, ..)| *other == l),
                format!("`for {name}` goes on within a step: the loop further outside may be parallel"),
            ),
        ];
        if let Some((_, message)) = wrong.into_iter().find(|(wrong, _)| *wrong) {
            return self.error(loops.place, message);
        }
        let step = amount(loops.step.as_ref()).unwrap_or(1);
        match nest.space.iter().rfind(|(other, ..)| *other == l) {
            Some((_, 1, _)) if statement.loops[l].extent > 1 => self.error(
                loops.place,
                format!("there is a `for {name}` already, and its step leaves nothing over"),
            ),
            Some((_, outer, _)) if step > *outer => self.error(
                loops.place,
                format!("`for {name}` goes in steps of {outer} already, further outside"),
            ),
            _ => Ok((l, step, loops.place)),
        }
    }

    fn reduced_loops<'p>(
        &self,
        nest: &mut Nest<'p>,
        own: Vec<usize>,
        loops: &'p For,
        statement: &Statement,
    ) -> Result<(), Error> {
        let before = |position: usize, l: usize| {
            own[..position].contains(&l) || nest.reduced.iter().any(|(other, _)| other.contains(&l))
        };
        if let Some((_, &l)) = own.iter().enumerate().find(|(position, l)| before(*position, **l)) {
            let message = format!("there is a `for {}` already", statement.loops[l].name);
            return self.error(loops.place, message);
        }
        if loops.parallel.is_some() {
            let name = &loops.axes[0].name.text;
            let message =
                format!("`{name}` is a reduced loop: its iterations go into one result, one after the other");
            return self.error(loops.place, message);
        }
        nest.reduced.push((own, loops));
        Ok(())
    }

    /// The schedule of a reduction whose terms are computed one by one.
    pub(super) fn plain(
        &self,
        program: &Program,
        statement: &Statement,
        depth: usize,
        capacity: &Capacity,
    ) -> Result<Schedule, Error> {
        let nest = self.nest(statement, depth)?;
        if let Some(stored) = nest.buffer.map(|(_, stored)| stored).or(nest.pack) {
            return self
                .error(stored.place, "only a nest with `use` has a buffer or packed constants".into());
        }
        let mut schedule = Schedule::default();
        for (l, step, place) in nest.space {
            if schedule.space.iter().any(|(other, _)| *other == l) {
                let message = format!("there is a `for {}` already", statement.loops[l].name);
                return self.error(place, message);
            }
            schedule.space.push((l, step.min(statement.loops[l].extent.max(1))));
        }
        for (own, loops) in nest.reduced {
            let [l] = own[..] else {
                return self.error(loops.place, "loops run as one only with `use`".into());
            };
            let name = &statement.loops[l].name;
            if loops.vector.is_some() {
                let message = format!("`{name}` is a reduced loop: only loops over the result are lanes");
                return self.error(loops.place, message);
            }
            if loops.step.is_some() {
                let message = format!("`{name}` is a reduced loop: it has a `step` only with `use`");
                return self.error(loops.place, message);
            }
            if loops.axes[0].padded.is_some() {
                return self.error(loops.place, format!("`{name}` is padded only with `use`"));
            }
            schedule.reduced.push(l);
            schedule.unrolled.extend(loops.unroll.then_some(l));
        }
        schedule.vector = self.vector(nest.vector, &schedule, program, statement, depth, capacity)?;
        let points = schedule.space.iter().map(|(_, step)| *step);
        let terms = schedule.unrolled.iter().map(|&l| statement.loops[l].extent);
        self.small_enough(points.chain(terms))?;
        Ok(schedule)
    }

    /// The loop whose iterations are lanes.
    fn vector(
        &self,
        asked: Option<(usize, usize, Place)>,
        schedule: &Schedule,
        program: &Program,
        statement: &Statement,
        depth: usize,
        capacity: &Capacity,
    ) -> Result<Option<SideBySide>, Error> {
        let Some((l, lanes, place)) = asked else { return Ok(None) };
        let name = &statement.loops[l].name;
        let step = schedule.space.iter().find(|(own, _)| *own == l).map_or(1, |(_, step)| *step);
        let id = LoopId((depth + l) as u32);
        let neighbours = statement.at.last().is_some_and(|index| index.factor(id) == 1);
        let library = capacity.library.as_ref();
        let reason = if !neighbours {
            format!("`{name}` does not go through neighbours of the result")
        } else if lanes < 2 || !step.is_multiple_of(lanes) {
            format!("`{name}` goes in steps of {step}: that is no multiple of {lanes} lanes")
        } else if !library.is_some_and(|library| lanes::combines(program, library, statement, id, lanes)) {
            format!("`{}` has no instructions that do this on {lanes} lanes of `{name}`", capacity.machine)
        } else {
            return Ok(Some(SideBySide { l, lanes, put_down: TensorId(u32::MAX) }));
        };
        self.error(place, reason)
    }

    /// The loop that is parallel.
    pub(super) fn parallel(
        &self,
        statement: &Statement,
        depth: usize,
        capacity: &Capacity,
        writes_apart: &dyn Fn(Parallel) -> bool,
    ) -> Result<Option<Parallel>, Error> {
        let Some((l, parts, place)) = self.nest(statement, depth)?.parallel else { return Ok(None) };
        let parallel = Parallel { l, parts };
        let message = if capacity.threads == 0 {
            format!("`{}` has no threads", capacity.machine)
        } else if parts > MOST_PARTS {
            format!("it has {parts} parts; at most {MOST_PARTS} are supported")
        } else if !writes_apart(parallel) {
            format!("parts of `{}` may write the same elements", statement.loops[l].name)
        } else {
            return Ok((parts > 1).then_some(parallel));
        };
        self.error(place, message)
    }

    /// What is written out has bounds.
    fn small_enough(&self, factors: impl Iterator<Item = usize>) -> Result<(), Error> {
        let products = factors.fold(1usize, |all, n| all.saturating_mul(n.max(1)));
        if products <= MOST_WRITTEN_OUT {
            return Ok(());
        }
        let message =
            format!("it would write out {products} terms; at most {MOST_WRITTEN_OUT} are, in smaller steps");
        self.error(self.kernel.place, message)
    }
}

/// An amount that has been settled.
fn amount(amount: Option<&Amount>) -> Option<usize> {
    usize::try_from(amount?.integer()?).ok()
}
