//! Tensors are stored in the order in which windows move over them.
//!
//! Frameworks disagree on where the channels stand; a loop nest wants them last, where all channels of a pixel are neighbours.
//! Every local tensor and constant that a window slides over, or that is computed from one position by position, is
//! stored as `[batch, window dimensions…, other dimensions…]`. A layout is a permutation of dimensions, applied to the tensor and
//! to every index of it, so that no transposition remains. Inputs and outputs keep the order that the caller knows.

use std::collections::BTreeMap;

use crate::array::Array;
use crate::expression::{Access, Expr};
use crate::index::{Atom, Index};
use crate::interpret::row_major_strides;
use crate::program::{LoopId, Program, Role, Statement, Step, TensorId};

use super::map_statements;

/// `order[d]` is the old dimension that becomes dimension `d`.
type Order = Vec<usize>;

/// Stores every local tensor that takes part in a window with its channels last.
pub fn assign_layouts(program: Program) -> Program {
    // What the caller sees keeps its order, and so do states, which are copied whole; everything else may follow the windows.
    let fixed = |role: &Role| matches!(role, Role::Input | Role::Output | Role::State(_));
    let given = program.tensors().filter(|(_, t)| fixed(&t.role)).map(|(id, _)| id);
    let next = program.states().map(|(_, state)| state.next);
    let mut orders: BTreeMap<TensorId, Order> =
        given.chain(next).map(|id| (id, (0..program.shape(id).len()).collect())).collect();
    for statement in program.statements() {
        from_windows(&program, statement, &mut orders);
    }
    while spread(&program, &mut orders) {}
    orders.retain(|id, order| {
        let local = matches!(program.tensor(*id).role, Role::Local);
        local && order.windows(2).any(|pair| pair[0] > pair[1]) && !carried(&program.steps, *id)
    });
    reorder_dimensions(program, &orders)
}

/// What a repetition carries is copied whole and keeps its order.
fn carried(steps: &[Step], id: TensorId) -> bool {
    steps.iter().any(|step| match step {
        Step::Statement(_) => false,
        Step::Repeat(repeat) => {
            repeat.carried.iter().any(|c| [c.state, c.initial, c.next].contains(&id))
                || carried(&repeat.body, id)
        }
        Step::Branch(branch) => carried(&branch.then, id) || carried(&branch.otherwise, id),
    })
}

/// The loops that move a window: they share an index with another loop, or are scaled or shifted.
fn window_loops(statement: &Statement) -> Vec<LoopId> {
    let indices = statement.accesses().into_iter().flat_map(|a| &a.at).chain(&statement.at);
    indices.filter(|index| index.terms().len() > 1).flat_map(Index::loops).collect()
}

fn from_windows(program: &Program, statement: &Statement, orders: &mut BTreeMap<TensorId, Order>) {
    let moving = window_loops(statement);
    if moving.is_empty() {
        return;
    }
    let accesses = statement.accesses().into_iter().map(|a| (a.tensor, &a.at));
    for (tensor, at) in accesses.chain([(statement.out, &statement.at)]) {
        let window: Vec<bool> = at.iter().map(|i| i.loops().iter().any(|l| moving.contains(l))).collect();
        let constant = matches!(program.tensor(tensor).role, Role::Constant(_));
        if !constant && window.iter().any(|&w| w) && window.iter().skip(1).any(|&w| !w) {
            orders.entry(tensor).or_insert_with(|| {
                let lead = if window[0] { vec![] } else { vec![0] };
                let rest = |wanted: bool| {
                    (lead.len()..at.len()).filter(|&d| window[d] == wanted).collect::<Vec<_>>()
                };
                [lead.clone(), rest(true), rest(false)].concat()
            });
        }
    }
}

/// Statements that read and write at plain loops give the order of one side to the other; whether any order is new.
fn spread(program: &Program, orders: &mut BTreeMap<TensorId, Order>) -> bool {
    let mut changed = false;
    for statement in program.statements() {
        let sides = plain_sides(program, statement);
        for (from, loops) in &sides {
            let Some(order) = orders.get(from).cloned() else { continue };
            let sequence: Vec<LoopId> = order.iter().filter_map(|&d| loops[d]).collect();
            for (to, other) in &sides {
                if !orders.contains_key(to)
                    && let Some(order) = follow(&sequence, other)
                {
                    orders.insert(*to, order);
                    changed = true;
                }
            }
        }
    }
    changed
}

/// The tensors of a statement that are indexed by distinct loops and constants, with the loop of each dimension. Constants are
/// left out: their order is the business of who reads them.
fn plain_sides(program: &Program, statement: &Statement) -> Vec<(TensorId, Vec<Option<LoopId>>)> {
    let accesses = statement.accesses().into_iter().map(|a| (a.tensor, &a.at));
    let plain = |(tensor, at): (TensorId, &Vec<Index>)| {
        let constant = matches!(program.tensor(tensor).role, Role::Constant(_));
        let known = at.iter().all(|i| i.as_loop().is_some() || i.as_constant().is_some());
        (known && !constant).then(|| (tensor, at.iter().map(Index::as_loop).collect()))
    };
    accesses.chain([(statement.out, &statement.at)]).filter_map(plain).collect()
}

/// An order for dimensions that run over `loops`, after a neighbour whose dimensions run over `sequence`: dimensions without a
/// loop first, then common loops as there. A loop that the neighbour has not takes the place of one that only the
/// neighbour has (the output channel that of the input channel): before the common loops, or behind them.
fn follow(sequence: &[LoopId], loops: &[Option<LoopId>]) -> Option<Order> {
    let at = |wanted: LoopId| loops.iter().position(|l| *l == Some(wanted));
    let fixed = (0..loops.len()).filter(|&d| loops[d].is_none());
    let common: Vec<usize> = sequence.iter().filter_map(|&l| at(l)).collect();
    let own: Vec<usize> =
        (0..loops.len()).filter(|&d| loops[d].is_some_and(|l| !sequence.contains(&l))).collect();
    let last = sequence.last().is_some_and(|&l| at(l).is_none());
    let order: Order = match last {
        true => fixed.chain(common.clone()).chain(own).collect(),
        false => fixed.chain(own).chain(common.clone()).collect(),
    };
    let whole = (0..loops.len()).all(|d| order.contains(&d)) && order.len() == loops.len();
    (!common.is_empty() && whole).then_some(order)
}

/// The program with the dimensions of some tensors in another order: `order[d]` is the old dimension that becomes dimension `d`.
/// Constants are transposed, and every index follows.
pub fn reorder_dimensions(program: Program, orders: &BTreeMap<TensorId, Order>) -> Program {
    let mut program = program;
    for (id, order) in orders {
        let tensor = &mut program.tensors[id.0 as usize];
        if let Role::Constant(array) = &tensor.role {
            tensor.role = Role::Constant(transposed(array, order));
        }
        tensor.shape = order.iter().map(|&d| tensor.shape[d]).collect();
    }
    let reorder = |tensor: TensorId, at: Vec<Index>| reordered(tensor, &at, orders);
    program.steps = map_statements(std::mem::take(&mut program.steps), 0, &mut |_, statement| {
        let body = statement.body.rewrite(&mut |node| match node {
            Expr::Read(a) => Expr::Read(Access { at: reorder(a.tensor, a.at), ..a }),
            Expr::Index(index) => Expr::Index(reordered_index(&index, orders)),
            other => other,
        });
        Statement { at: reorder(statement.out, statement.at), body, ..statement }
    });
    program
}

/// The index of a tensor in its new order; tensors that are read inside of it are in theirs.
fn reordered(tensor: TensorId, at: &[Index], orders: &BTreeMap<TensorId, Order>) -> Vec<Index> {
    let at: Vec<Index> = at.iter().map(|index| reordered_index(index, orders)).collect();
    match orders.get(&tensor) {
        Some(order) => order.iter().map(|&d| at[d].clone()).collect(),
        None => at,
    }
}

fn reordered_index(index: &Index, orders: &BTreeMap<TensorId, Order>) -> Index {
    index.rebuild(&|atom| match atom {
        Atom::Loop(id) => Index::of_loop(*id),
        Atom::Div(inner, n) => reordered_index(inner, orders) / *n,
        Atom::Mod(inner, n) => reordered_index(inner, orders) % *n,
        Atom::Read(tensor, at) => Index::of_read(*tensor, reordered(*tensor, at, orders)),
    })
}

/// The array with dimension `order[d]` as dimension `d`.
fn transposed(array: &Array, order: &[usize]) -> Array {
    let shape: Vec<usize> = order.iter().map(|&d| array.shape()[d]).collect();
    let strides = row_major_strides(array.shape());
    let strides: Vec<usize> = order.iter().map(|&d| strides[d] as usize).collect();
    let source = |position: usize| {
        let (mut rest, mut offset) = (position, 0);
        for d in (0..shape.len()).rev() {
            offset += rest % shape[d] * strides[d];
            rest /= shape[d];
        }
        array.get(offset)
    };
    Array::from_values(array.dtype(), &shape, (0..array.len()).map(source))
}
