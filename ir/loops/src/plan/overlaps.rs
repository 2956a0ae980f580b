//! Which buffers may overlap, and how far.
//!
//! Owns asking the kernels of a program for the distances of their outputs and dying inputs, once each, whatever order they run in.

use std::collections::BTreeMap;

use nablac_index::TensorId;

use super::distance::{Side, distance};
use super::instance::{Instance, Item};
use super::lifetime::{self, Lifetime};
use crate::program::{Buffer, Kernel, Program};

/// Distances by kernel, output and input: how many bytes the input begins behind the output at least, or the output behind the input.
#[derive(Default)]
pub(super) struct Overlaps {
    known: BTreeMap<(String, TensorId, TensorId), Option<(i64, i64)>>,
}

impl Overlaps {
    /// What is known of a program's kernel that writes `output` as `input` dies; `None` where they have no byte in common.
    pub(super) fn of(
        &mut self,
        program: &Program,
        kernel: &Kernel,
        output: TensorId,
        input: TensorId,
    ) -> Option<(i64, i64)> {
        // C takes objects of two types to be distinct, and so may a compiler reorder what is done to them.
        if program.buffer(output).dtype != program.buffer(input).dtype {
            return None;
        }
        let key = (kernel.name.clone(), output, input);
        *self.known.entry(key).or_insert_with(|| {
            let side = |side, apart: TensorId| {
                let apart = program.buffer(apart).bytes() as i64;
                distance(program, kernel, input, output, side).map_or(apart, |distance| distance.min(apart))
            };
            let (forth, back) = (side(Side::Below, output), side(Side::Above, input));
            let apart = (program.buffer(output).bytes() as i64, program.buffer(input).bytes() as i64)
                == (forth, back);
            (!apart).then_some((forth, back))
        })
    }

    /// The placement problem of some of a program's buffers as its steps are ordered.
    pub(super) fn instance(&mut self, program: &Program, wanted: &dyn Fn(TensorId) -> bool) -> Instance {
        let lifetimes = lifetime::lifetimes(program);
        let kernels = lifetime::kernels(program);
        let kernel = |time: i64| usize::try_from(time).ok().and_then(|time| *kernels.get(time)?);
        let mut items = items(program, &lifetimes);
        items.retain(|item| wanted(item.id));
        Instance::new(items, &mut |output, input| {
            self.of(program, kernel(output.lifetime.first)?, output.id, input.id)
        })
    }
}

/// What needs a place: no constants, and nothing without bytes.
fn items(program: &Program, lifetimes: &[Lifetime]) -> Vec<Item> {
    let planned = program.buffers().filter(|(_, buffer)| buffer.is_planned());
    let item = |(id, buffer): (TensorId, &Buffer)| Item {
        id,
        bytes: buffer.bytes() as i64,
        unit: buffer.dtype.bytes() as i64,
        lifetime: lifetimes[id.0 as usize],
    };
    planned.map(item).filter(|item| item.bytes > 0).collect()
}
