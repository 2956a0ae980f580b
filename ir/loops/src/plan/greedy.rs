//! First plans: buffers one after the other, each at the lowest place that is free.
//!
//! Owns the orders that are tried. A plan of theirs is what the search for a smaller one begins with, and all there is where that
//! search gives up.

use super::instance::Instance;

/// How often the items that end highest are placed earlier. Few rounds help, and a round takes as long as a plan.
const ROUNDS: usize = 64;

/// The best of all plans: a place for each item.
pub(super) fn place(instance: &Instance) -> Vec<i64> {
    let mut best: Option<(i64, Vec<i64>)> = None;
    let mut keep = |offsets: Vec<i64>| {
        let size = instance.size(&offsets);
        if best.as_ref().is_none_or(|(least, _)| size < *least) {
            best = Some((size, offsets));
        }
    };
    for order in orders(instance) {
        improved(instance, order, &mut keep);
    }
    best.map(|(_, offsets)| offsets).unwrap_or_default()
}

/// From the last to the first, which lets a chain of trailing outputs climb; from the largest to the smallest; and from the first.
fn orders(instance: &Instance) -> Vec<Vec<usize>> {
    let sorted = |key: &dyn Fn(usize) -> (i64, i64)| {
        let mut order: Vec<usize> = (0..instance.items.len()).collect();
        order.sort_by_key(|&position| key(position));
        order
    };
    let lifetime = |position: usize| instance.items[position].lifetime;
    let bytes = |position: usize| instance.items[position].bytes;
    vec![
        sorted(&|i| (-lifetime(i).first, -bytes(i))),
        sorted(&|i| (-lifetime(i).last, -bytes(i))),
        sorted(&|i| (-bytes(i), lifetime(i).first)),
        sorted(&|i| (-bytes(i), -lifetime(i).first)),
        sorted(&|i| (lifetime(i).first, -bytes(i))),
    ]
}

/// Gives `keep` the plan of an order, and those of orders in which the items that end highest come earlier.
fn improved(instance: &Instance, mut order: Vec<usize>, keep: &mut dyn FnMut(Vec<i64>)) {
    let mut least = i64::MAX;
    for _ in 0..ROUNDS {
        let offsets = in_order(instance, &order);
        let size = instance.size(&offsets);
        let highest = |&item: &usize| offsets[item] + instance.items[item].bytes == size;
        let (mut first, rest): (Vec<usize>, Vec<usize>) = order.iter().partition(|item| highest(item));
        keep(offsets.clone());
        if size >= least && first == order[..first.len()] {
            return;
        }
        least = least.min(size);
        first.extend(rest);
        order = first;
    }
}

/// Each item of an order at its lowest place.
fn in_order(instance: &Instance, order: &[usize]) -> Vec<i64> {
    let mut offsets = vec![None; instance.items.len()];
    for &item in order {
        offsets[item] = Some(lowest(instance, item, &offsets));
    }
    offsets.into_iter().map(Option::unwrap_or_default).collect()
}

/// The lowest place for an item that suits those which have theirs.
fn lowest(instance: &Instance, own: usize, offsets: &[Option<i64>]) -> i64 {
    let item = &instance.items[own];
    let mut candidates = vec![0];
    let mut closed = vec![];
    for &pair in &instance.pairs_of[own] {
        let pair = &instance.pairs[pair];
        let Some(begin) = offsets[pair.other(own)] else { continue };
        let (before, behind) = if pair.a == own { (pair.forth, pair.back) } else { (pair.back, pair.forth) };
        let (low, high) = (item.down(begin - before), item.up(begin + behind));
        candidates.extend([low, high].into_iter().filter(|offset| *offset >= 0));
        closed.push((begin - before, begin + behind));
    }
    candidates.sort_unstable();
    let free = |offset: &i64| closed.iter().all(|(low, high)| offset <= low || offset >= high);
    // Behind everything there is always room.
    candidates.into_iter().find(free).unwrap_or_default()
}
