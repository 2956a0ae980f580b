//! The kernels of a program by name, before any of them is built.
//!
//! Owns which statement a name stands for: the way through a program is lowering's own, without the nests.

use nablac_index::{Index, Loop, LoopId, Program, Reduce, Statement, TensorId};

use super::group::{self, Group};
use super::{Chosen, Lowering, nest};

/// A kernel that has a statement of the program; those that only fill a tensor have none.
pub(super) struct Named<'a> {
    /// The kernel's name.
    pub name: String,
    /// The main statement.
    pub main: &'a Statement,
    /// Where it stands among the program's statements.
    pub position: usize,
    /// The counters around it.
    pub counters: Vec<&'a Loop>,
    /// Whether it reduces into registers.
    pub in_registers: bool,
    /// What it writes.
    pub out: TensorId,
    /// Where it writes, over the main statement's loops.
    pub at: Vec<Index>,
}

/// The kernels in order.
pub(super) fn kernels<'a>(program: &'a Program) -> Vec<Named<'a>> {
    let mut found = vec![];
    let mut lowering = Lowering::new(program, Chosen::default());
    lowering.steps_with(&program.steps, &mut |lowering, group| {
        found.push(named(lowering, group));
        None
    });
    found
}

fn named<'a>(lowering: &mut Lowering<'a>, group: &Group<'a>) -> Named<'a> {
    let main = group.main;
    let name = nest::name_of(lowering, group);
    if main.reduce != Reduce::ArgMax {
        lowering.begun.push(main.out);
    }
    let (out, at) = stored(group, lowering.counters.len());
    Named {
        out,
        at,
        name,
        main,
        position: lowering.position(main),
        counters: lowering.counters.clone(),
        in_registers: group.in_registers,
    }
}

/// What a group's nest stores to, and where, over the main statement's loops.
fn stored(group: &Group, depth: usize) -> (TensorId, Vec<Index>) {
    let main = group.main;
    let Some(map) = group.last else { return (main.out, main.at.clone()) };
    let through = map.accesses().into_iter().find(|access| access.tensor == main.out);
    let through = through.map(|access| access.at.clone()).unwrap_or_default();
    let values = group::follow(map, &through, main, depth).unwrap_or_default();
    let of = |id: LoopId| match (id.0 as usize).checked_sub(depth) {
        Some(own) => values.get(own).cloned().unwrap_or_default(),
        None => Index::of_loop(id),
    };
    (map.out, map.at.iter().map(|index| index.substitute(&of)).collect())
}
