//! The memory plan: where each buffer lies in the arena, and in which order steps run.
//!
//! Owns lifetimes (`lifetime`), how far an output may run into an input that dies as it is written (`distance`, `overlaps`), what is to be
//! placed (`instance`), first plans (`greedy`), what none goes below (`bound`), the search for the smallest (`search`), and the order of steps
//! that needs the least (`order`), and what a plan says of time (`occupancy`). Two buffers that are alive at once never share a byte, except for an output that trails its
//! input's last reads.

use nablac_index::TensorId;

use crate::program::{Buffer, Kernel, Program};

mod bound;
mod distance;
mod greedy;
mod instance;
mod lifetime;
mod occupancy;
mod order;
mod overlaps;
mod proof;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use lifetime::{Lifetime, kernels, lifetimes};
pub use occupancy::{Life, Occupancy, arena_without};
use overlaps::Overlaps;
pub use proof::Proof;
use search::Found;

/// Gives every input, output and local buffer its place, and the program the size of its arena and what is known of smaller ones. Steps are
/// moved where that makes the arena smaller.
pub fn plan(program: Program) -> Program {
    if !has_room(&program) {
        return program;
    }
    let mut overlaps = Overlaps::default();
    let orders = order::search(&program, &mut overlaps);
    let any_order = |overlaps: &mut Overlaps, found: &Placed| match orders.least < found.least {
        true => place(&program, overlaps, &|id| orders.fixed.contains(&id)).least.max(orders.least),
        false => orders.least,
    };
    let moved = orders.better().map(|steps| {
        let moved = Program { steps, ..program.clone() };
        (place(&moved, &mut overlaps, &|_| true), moved)
    });
    // An order that needs less at each time may still leave holes.
    if let Some((found, moved)) = moved.as_ref().filter(|(found, _)| found.size < orders.given) {
        return placed(moved.clone(), found, any_order(&mut overlaps, found));
    }
    let given = place(&program, &mut overlaps, &|_| true);
    match moved.filter(|(found, _)| found.size < given.size) {
        Some((found, moved)) => placed(moved, &found, any_order(&mut overlaps, &found)),
        None => {
            let any_order = any_order(&mut overlaps, &given);
            placed(program, &given, any_order)
        }
    }
}

/// Whether all buffers side by side end at a byte that numbers reach; a program that is not so stays without a plan.
fn has_room(program: &Program) -> bool {
    let sizes =
        program.buffers.iter().map(|b| b.shape.iter().try_fold(b.dtype.bytes(), |n, e| n.checked_mul(*e)));
    let sum = sizes.into_iter().try_fold(0usize, |sum, bytes| sum.checked_add(bytes?)?.checked_add(8));
    sum.is_some_and(|sum| sum < i64::MAX as usize / 8)
}

/// The smallest plan of some buffers for the program's order of steps.
fn place(program: &Program, overlaps: &mut Overlaps, wanted: &dyn Fn(TensorId) -> bool) -> Placed {
    let instance = overlaps.instance(program, wanted);
    let known = greedy::place(&instance);
    let Found { offsets, size, least } = search::improve(&instance, known);
    debug_assert!(instance.allows(&offsets), "a plan keeps to the rules of every pair");
    let ids = instance.items.iter().map(|item| item.id);
    Placed { offsets: ids.zip(offsets).collect(), size, least }
}

/// A plan: the offsets of buffers that have bytes.
struct Placed {
    offsets: Vec<(TensorId, i64)>,
    size: i64,
    /// No plan for the same order is smaller.
    least: i64,
}

fn placed(mut program: Program, found: &Placed, any_order: i64) -> Program {
    for buffer in program.buffers.iter_mut().filter(|b| b.is_planned()) {
        buffer.offset = Some(0);
    }
    for (id, offset) in &found.offsets {
        program.buffers[id.0 as usize].offset = Some(*offset as usize);
    }
    program.arena_bytes = found.size as usize;
    let least = |bytes: i64| bytes.min(found.size) as usize;
    program.proof =
        Some(Proof { this_order: least(found.least), any_order: least(any_order.min(found.least)) });
    program
}

/// The bytes that `output` must begin before `input`, which a kernel reads for the last time.
pub(crate) fn distance(program: &Program, kernel: &Kernel, input: TensorId, output: TensorId) -> Option<i64> {
    distance::distance(program, kernel, input, output, distance::Side::Below)
}

/// The largest alignment that any planned buffer needs, in bytes.
pub fn arena_alignment(program: &Program) -> usize {
    let planned = |b: &&Buffer| b.offset.is_some();
    program.buffers.iter().filter(planned).map(|b| b.dtype.bytes()).max().unwrap_or(1)
}
