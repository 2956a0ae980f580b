//! Which kernels run row by row, in turn, so that a network fits.
//!
//! Owns the choice by the memory that there is: whole tensors where they fit, since nothing is faster, and else the least work row by row
//! with which the memory plan keeps to the bound. What user's schedules fuse is left as it is.

use std::collections::BTreeMap;

use nablac_index::Program;
use nablac_loops::schedule::{Item, Name, Schedules};
use nablac_loops::{Capacity, Cuts, Delivery, Error, Optimize};

/// A schedule whose model says that it takes up to so many times the bound, in quarters, is planned and looked at: outputs that run into
/// their inputs take less than the model knows of.
const PROMISING_QUARTERS: usize = 5;

/// How many of the smallest schedules by the model are planned for the smallest of all.
const SMALLEST: usize = 4;

/// `chosen`, and what of a program runs row by row for its arena to have at most `bound` bytes; for `Optimize::Ram`, for the smallest
/// arena. Where none keeps to the bound it is the smallest, too.
pub fn choose(
    program: &Program,
    capacity: &Capacity,
    asked_for: &Schedules,
    chosen: Schedules,
    deliveries: &BTreeMap<String, Delivery>,
    bound: Option<u64>,
) -> Result<Schedules, Error> {
    let bound = bound.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let smallest = capacity.optimize == Optimize::Ram;
    if chosen.fused().next().is_some() || (bound.is_none() && !smallest) {
        return Ok(chosen);
    }
    let lowering = Lowering { program, capacity, asked_for, chosen: &chosen, deliveries };
    let whole = lowering.arena(&[])?;
    if !smallest && bound.is_some_and(|bound| whole <= bound) {
        return Ok(chosen);
    }
    let cuts = lowering.cuts()?;
    let mut best: (usize, Vec<Vec<String>>) = (whole, vec![]);
    let promising = |cuts: &Cuts| bound.is_none_or(|bound| cuts.peak / PROMISING_QUARTERS * 4 <= bound);
    let first = if smallest { cuts.len().saturating_sub(SMALLEST) } else { 0 };
    let worth = cuts
        .iter()
        .enumerate()
        .filter(|(n, own)| *n >= first && (smallest || promising(own) || *n + 1 == cuts.len()));
    for (_, cuts) in worth {
        let arena = lowering.arena(&cuts.segments)?;
        if arena < best.0 {
            best = (arena, cuts.segments.clone());
        }
        if !smallest && bound.is_some_and(|bound| arena <= bound) {
            break;
        }
    }
    let (_, segments) = best;
    Ok(lowering.with(&segments))
}

/// Two points of a curve whose arenas differ by less than one part in so many are one.
const DISTINCT: usize = 25;

/// The bytes of the arenas that a bound can ask for, from whole tensors down to the smallest, each with the least work row by row.
pub fn curve(
    program: &Program,
    capacity: &Capacity,
    asked_for: &Schedules,
    chosen: &Schedules,
    deliveries: &BTreeMap<String, Delivery>,
) -> Result<Vec<u64>, Error> {
    let lowering = Lowering { program, capacity, asked_for, chosen, deliveries };
    let mut arenas = vec![lowering.arena(&[])?];
    let cuts = if chosen.fused().next().is_some() { vec![] } else { lowering.cuts()? };
    for cuts in &cuts {
        let arena = lowering.arena(&cuts.segments)?;
        let (last, first) = (arenas[arenas.len() - 1], arenas.len() == 1);
        if arena + arena / DISTINCT < last {
            arenas.push(arena);
        } else if arena < last && !first {
            *arenas.last_mut().unwrap_or(&mut 0) = arena;
        }
    }
    Ok(arenas.into_iter().map(|bytes| bytes as u64).collect())
}

/// A program on the way to its memory plan.
struct Lowering<'a> {
    program: &'a Program,
    capacity: &'a Capacity,
    /// What the user asks for.
    asked_for: &'a Schedules,
    /// That, and what is better than the rules' own choice.
    chosen: &'a Schedules,
    deliveries: &'a BTreeMap<String, Delivery>,
}

impl Lowering<'_> {
    /// The bytes of the arena with these segments.
    fn arena(&self, segments: &[Vec<String>]) -> Result<usize, Error> {
        let schedules = self.with(segments);
        let nests = nablac_loops::lower(self.program, self.capacity, &schedules)?;
        let nests = nablac_loops::fuse(nests, &schedules, self.deliveries)?;
        Ok(nablac_loops::plan(nests).arena_bytes)
    }

    /// The ways to cut it, with all sums over rows taken row by row.
    fn cuts(&self) -> Result<Vec<Cuts>, Error> {
        let whole = nablac_loops::lower(self.program, self.capacity, self.chosen)?;
        let all = whole.kernels().into_iter().map(|kernel| kernel.name.clone()).collect();
        let streamed = self.with(&[all]);
        let nests = nablac_loops::lower(self.program, self.capacity, &streamed)?;
        nablac_loops::cuts(nests, self.deliveries)
    }

    /// The chosen schedules with these segments fused. A sum that is taken row by row has no use for a pin that nobody has asked for.
    fn with(&self, segments: &[Vec<String>]) -> Schedules {
        let fused = segments
            .iter()
            .map(|kernels| Item::Fused(kernels.iter().map(|kernel| Name::from(kernel.as_str())).collect()));
        let mut schedules = Schedules { items: self.chosen.items.iter().cloned().chain(fused).collect() };
        let streamed = nablac_loops::streamed_kernels(self.program, &schedules);
        let idle = |item: &Item| match item {
            Item::Pin(pin) => pin.kernels.iter().all(|kernel| streamed.contains(&kernel.text)),
            _ => false,
        };
        schedules.items.retain(|item| !idle(item) || self.asked_for.items.contains(item));
        schedules
    }
}
