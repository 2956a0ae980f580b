//! Constants are stored in the order in which their nest reads them.
//!
//! A weight's dimensions are permuted ahead of time: those of untiled space loops first, then those of reduced loops, then those of
//! tiled loops, so that one tile's operands are neighbours.

use std::collections::BTreeMap;

use nablac_index::{Index, Program, Role, Statement, TensorId, for_each_carry, reorder_dimensions};

use super::chosen::Chosen;
use super::schedule::Schedule;

/// Permutes every constant that a reduction into registers reads with more than one dimension.
pub(super) fn order_constants(program: Program, chosen: &Chosen) -> Program {
    let mut orders: BTreeMap<TensorId, Vec<usize>> = BTreeMap::new();
    let mut next = 0;
    program.visit_statements(&mut |counters, statement| {
        let position = next;
        next += 1;
        let Some(schedule) = chosen.plain.get(&position) else { return };
        let rank = loop_ranks(schedule, statement, counters.len());
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
fn loop_ranks(schedule: &Schedule, statement: &Statement, depth: usize) -> Vec<usize> {
    let mut rank = vec![0; depth + statement.loops.len()];
    for (position, (l, tile)) in schedule.space.iter().enumerate() {
        rank[depth + l] = position + if *tile > 1 { 2 * statement.loops.len() } else { 0 };
    }
    for (position, l) in schedule.reduced.iter().enumerate() {
        rank[depth + l] = position + statement.loops.len();
    }
    rank
}
