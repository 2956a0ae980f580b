//! `repeat time: n carrying state = initial then next { … }`: what Loop and Scan have in common.

use nablac_index::{Builder, Carry, Expr, Index, Reduce, Role, TensorId, axes};

use crate::define::copy;
use crate::error::Error;
use crate::graph::Graph;
use crate::operator::Definition;

/// Repeats `body`, which is given the time and the states, and gives their next values. What it gives back is the states
/// after the last time.
pub(super) fn repeat(
    definition: &mut Definition,
    length: usize,
    initial: &[TensorId],
    body: impl FnOnce(&mut Builder, &Index, &[TensorId]) -> Result<Vec<TensorId>, Error>,
) -> Result<Vec<TensorId>, Error> {
    let state = |&initial| {
        let (dtype, shape) = (definition.dtype(initial), definition.shape(initial));
        definition.builder.local("state", dtype, &shape)
    };
    let states: Vec<TensorId> = initial.iter().map(state).collect();
    let mut result = Ok(());
    definition.builder.repeat(("time", length), |builder, time| {
        let first = builder.program().tensors.len() as u32;
        match body(builder, &time, &states) {
            Ok(next) => carries(builder, first, initial, &states, &next),
            Err(error) => {
                result = Err(error);
                vec![]
            }
        }
    });
    result.map(|()| states)
}

/// The carried state. A next value that is not a tensor of its own, written at this time, is copied to one.
fn carries(
    builder: &mut Builder,
    first: u32,
    initial: &[TensorId],
    states: &[TensorId],
    next: &[TensorId],
) -> Vec<Carry> {
    let mut carried: Vec<Carry> = vec![];
    for ((&initial, &state), &next) in initial.iter().zip(states).zip(next) {
        let local = next.0 >= first && builder.program().tensor(next).role == Role::Local;
        let own = local && carried.iter().all(|other| other.next != next);
        let next = if own { next } else { copied(builder, next) };
        carried.push(Carry { state, initial, next });
    }
    carried
}

fn copied(builder: &mut Builder, tensor: TensorId) -> TensorId {
    let (dtype, shape) = (builder.dtype(tensor), builder.shape(tensor));
    let own = builder.local("next", dtype, &shape);
    copy(builder, tensor, own);
    own
}

/// Checks that a region's outputs from `first` on have the types of the states.
pub(super) fn keeps_types(
    definition: &Definition,
    region: &Graph,
    first: usize,
    initial: &[TensorId],
) -> Result<(), Error> {
    initial.iter().enumerate().try_for_each(|(position, &initial)| {
        let next = region.outputs.get(first + position).map(|&id| region.value(id));
        let next = next.ok_or_else(|| definition.malformed("its body has too few outputs"))?;
        let own = (definition.dtype(initial), definition.shape(initial));
        if own == (next.dtype, next.shape.clone()) {
            return Ok(());
        }
        Err(definition.unsupported(format!(
            "state {position} is {}{:?} and becomes {}{:?}: a state must keep its type and shape",
            own.0, own.1, next.dtype, next.shape
        )))
    })
}

/// Writes `part` as element `position` along `axis` of `whole`.
pub(super) fn store(builder: &mut Builder, whole: TensorId, axis: usize, position: &Index, part: TensorId) {
    let shape = builder.shape(part);
    builder.write(whole, Reduce::Set, &axes(&shape), |at| {
        let mut to = at.to_vec();
        to.insert(axis, position.clone());
        (to, Expr::read(part, at))
    });
}
