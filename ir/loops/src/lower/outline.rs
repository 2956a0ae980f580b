//! The kernels of a program by name, before any of them is built.
//!
//! Owns which statement a name stands for: the way through a program is lowering's own, without the nests.

use nablac_index::{Loop, Program, Reduce, Statement};

use super::group::Group;
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
    Named {
        name,
        main,
        position: lowering.position(main),
        counters: lowering.counters.clone(),
        in_registers: group.in_registers,
    }
}
