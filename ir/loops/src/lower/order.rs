//! Constants are stored in the order in which their nest reads them.
//!
//! A weight's dimensions are permuted ahead of time: those of untiled space loops first, then those of reduced loops, then those of
//! tiled loops, so that one tile's operands are neighbours.

use std::collections::BTreeMap;

use nablac_index::{Index, Program, Reduce, Role, Statement, TensorId, for_each_carry, reorder_dimensions};

use super::contraction::Contraction;
use super::{Capacity, group, schedule};

/// Permutes every constant that a reduction into registers reads with more than one dimension.
pub(super) fn order_constants(
    program: Program,
    capacity: &Capacity,
    contractions: &BTreeMap<TensorId, Contraction>,
) -> Program {
    let mut orders: BTreeMap<TensorId, Vec<usize>> = BTreeMap::new();
    program.visit_statements(&mut |counters, statement| {
        let depth = counters.len();
        let reduces = statement.reduce != Reduce::Set && statement.reduce != Reduce::ArgMax;
        let packed = contractions.contains_key(&statement.out);
        if !reduces || packed || !group::reduces_in_registers(&program, statement, depth) {
            return;
        }
        let rank = loop_ranks(&program, statement, depth, capacity);
        for access in statement.accesses() {
            let constant = matches!(program.tensor(access.tensor).role, Role::Constant(_));
            if constant && access.at.len() > 1 && access.outside.is_none() {
                let mut order: Vec<usize> = (0..access.at.len()).collect();
                let key =
                    |index: &Index| index.loops().iter().map(|id| rank[id.0 as usize]).max().unwrap_or(0);
                order.sort_by_key(|&d| key(&access.at[d]));
                orders.entry(access.tensor).or_insert(order);
            }
        }
    });
    // What a state is copied from keeps the state's order, whether it lasts for a run or for a repetition.
    for_each_carry(&program.steps, &mut |carry| _ = orders.remove(&carry.initial));
    program.states().for_each(|(_, state)| _ = orders.remove(&state.next));
    reorder_dimensions(program, &orders)
}

/// How far inside of the nest each loop that a statement sees runs.
fn loop_ranks(program: &Program, statement: &Statement, depth: usize, capacity: &Capacity) -> Vec<usize> {
    let chosen = schedule::choose(program, statement, depth, capacity, &|l| statement.loops[l].extent);
    let mut rank = vec![0; depth + statement.loops.len()];
    for (position, (l, tile)) in chosen.space.iter().enumerate() {
        rank[depth + l] = position + if *tile > 1 { 2 * statement.loops.len() } else { 0 };
    }
    for (position, l) in chosen.reduced.iter().enumerate() {
        rank[depth + l] = position + statement.loops.len();
    }
    rank
}
