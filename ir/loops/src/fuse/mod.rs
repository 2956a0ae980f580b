//! Kernels that run row by row, in turn, so that a row is there when it is needed and no longer.
//!
//! Owns the rewrite of a run of kernels into a repetition in time, in which each of them is at a row of its own (`timing`): what only they use
//! becomes a ring of the rows that are alive, which an index modulo their number reaches. No row is computed twice. What a kernel's rows are is read off its
//! nest (`rows`); which kernels run so is said by schedules, or chosen by what memory there is.

use std::collections::BTreeMap;

use nablac_index::TensorId;

use crate::error::Error;
use crate::number::number_variables;
use crate::program::{Buffer, Delivery, Kernel, Program, Role};
use crate::schedule::{Name, Schedules};

mod build;
mod rows;
mod segment;
mod segments;
mod timing;

pub use segments::{Cuts, cuts};

/// The same program with what `schedules` fuses running row by row, and with inputs delivered as `deliveries` says, by name.
pub fn fuse(
    program: Program,
    schedules: &Schedules,
    deliveries: &BTreeMap<String, Delivery>,
) -> Result<Program, Error> {
    let mut program = deliver(program, deliveries)?;
    let mut segments: Vec<Vec<Name>> = schedules.fused().map(<[Name]>::to_vec).collect();
    segments.extend(readers_of_rows(&program, &segments));
    for segment in &segments {
        let segment = segment::segment(&program, segment)?;
        let rings = segment::rings(&program, &segment, &segment::users(&program))?;
        program = build::build(&program, &segment, &rings);
    }
    let left = |b: &&Buffer| b.role == Role::Input(Delivery::Rows);
    if let Some(input) = program.buffers.iter().find(left)
        && !program.receives().iter().any(|r| program.buffer(r.input).name == input.name)
    {
        let message = format!("input `{}` cannot come by rows: nothing reads it", input.name);
        return Err(Error::Delivery { message });
    }
    Ok(number_variables(program))
}

/// Sets how inputs reach the program.
fn deliver(mut program: Program, deliveries: &BTreeMap<String, Delivery>) -> Result<Program, Error> {
    for (name, delivery) in deliveries {
        let input = program.buffers.iter_mut().find(|b| b.name == *name && matches!(b.role, Role::Input(_)));
        match input {
            Some(input) => input.role = Role::Input(*delivery),
            None => return Err(Error::Delivery { message: format!("there is no input `{name}`") }),
        }
    }
    Ok(program)
}

/// The kernels that read inputs which come by rows, where no segment has them yet: each is one by itself.
fn readers_of_rows(program: &Program, segments: &[Vec<Name>]) -> Vec<Vec<Name>> {
    let by_rows: Vec<TensorId> =
        program.buffers().filter(|(_, b)| b.role == Role::Input(Delivery::Rows)).map(|(id, _)| id).collect();
    let count = program.buffers.len();
    let reads = |kernel: &&Kernel| kernel.reads(count).iter().any(|id| by_rows.contains(id));
    let has = |kernel: &Kernel| segments.iter().flatten().any(|name| name.text == kernel.name);
    let kernels = program.kernels().into_iter().filter(reads).filter(|kernel| !has(kernel));
    kernels.map(|kernel| vec![Name::from(kernel.name.as_str())]).collect()
}
