//! The memory plan: where each buffer lies in the arena.
//!
//! Owns lifetimes (`lifetime`), how far an output may run into an input that dies as it is written (`distance`), and placing buffers
//! so that the arena is small. Two buffers that are alive at once never share a byte, except for an output that trails its
//! input's last reads.

use nablac_index::TensorId;

use crate::program::{Buffer, Program, Role};

mod distance;
mod lifetime;

use lifetime::Lifetime;

/// Gives every input, output and local buffer its place, and the program the size of its arena.
pub fn plan(program: Program) -> Program {
    let lifetimes = lifetime::lifetimes(&program);
    let planned: Vec<TensorId> =
        program.buffers().filter(|(_, b)| !matches!(b.role, Role::Constant(_))).map(|(id, _)| id).collect();
    let conflicts = Conflicts::new(&program, &lifetimes, &planned);
    let best = orders(&program, &lifetimes, &planned)
        .into_iter()
        .map(|order| conflicts.place(&program, &order))
        .min_by_key(|(size, _)| *size);
    let mut program = program;
    if let Some((size, offsets)) = best {
        program.arena_bytes = size;
        for (id, offset) in offsets {
            program.buffers[id.0 as usize].offset = Some(offset);
        }
    }
    program
}

/// The orders in which buffers are placed, each at the lowest place that is free: from the last to the first, which lets
/// a chain of trailing outputs climb; and from the largest to the smallest.
fn orders(program: &Program, lifetimes: &[Lifetime], planned: &[TensorId]) -> Vec<Vec<TensorId>> {
    let sorted = |key: &dyn Fn(&TensorId) -> (i64, i64)| {
        let mut order = planned.to_vec();
        order.sort_by_key(key);
        order
    };
    let lifetime = |id: &TensorId| lifetimes[id.0 as usize];
    let bytes = |id: &TensorId| program.buffer(*id).bytes() as i64;
    vec![
        sorted(&|id| (-lifetime(id).first, -bytes(id))),
        sorted(&|id| (-lifetime(id).last, -bytes(id))),
        sorted(&|id| (-bytes(id), lifetime(id).first)),
        sorted(&|id| (-bytes(id), -lifetime(id).first)),
        sorted(&|id| (lifetime(id).first, -bytes(id))),
    ]
}

/// What two buffers must keep to.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Relation {
    /// Never alive at once.
    Free,
    /// Alive at once: no common byte.
    Disjoint,
    /// The first is written as the second dies: the first begins at least this many bytes before the second, or
    /// they have no common byte.
    Trails(i64),
}

/// The relations of all pairs.
struct Conflicts {
    relations: Vec<Vec<Relation>>,
}

impl Conflicts {
    fn new(program: &Program, lifetimes: &[Lifetime], planned: &[TensorId]) -> Conflicts {
        let mut relations = vec![vec![Relation::Free; program.buffers.len()]; program.buffers.len()];
        for &a in planned {
            for &b in planned.iter().filter(|b| **b != a) {
                let (la, lb) = (lifetimes[a.0 as usize], lifetimes[b.0 as usize]);
                if la.first > lb.last || lb.first > la.last {
                    continue;
                }
                // C takes objects of two types to be distinct, and so may a compiler reorder what is done to them.
                let alike = program.buffer(a).dtype == program.buffer(b).dtype;
                relations[a.0 as usize][b.0 as usize] =
                    match alike && lb.last == la.first && lb.first < la.first {
                        true => lifetime::kernel_at(program, la.first)
                            .and_then(|kernel| distance::distance(program, kernel, b, a))
                            .map_or(Relation::Disjoint, Relation::Trails),
                        false => Relation::Disjoint,
                    };
            }
        }
        Conflicts { relations }
    }

    /// Places buffers in `order`; gives the arena's size and the offsets.
    fn place(&self, program: &Program, order: &[TensorId]) -> (usize, Vec<(TensorId, usize)>) {
        let mut placed: Vec<(TensorId, usize)> = vec![];
        for &id in order {
            let offset = self.lowest(program, id, &placed);
            placed.push((id, offset));
        }
        let size = placed.iter().map(|(id, offset)| offset + program.buffer(*id).bytes()).max().unwrap_or(0);
        (size, placed)
    }

    fn lowest(&self, program: &Program, id: TensorId, placed: &[(TensorId, usize)]) -> usize {
        let buffer = program.buffer(id);
        let unit = buffer.dtype.bytes() as i64;
        let align = |offset: i64| (offset.max(0) + unit - 1) / unit * unit;
        let mut candidates = vec![0];
        for &(other, offset) in placed {
            let end = (offset + program.buffer(other).bytes()) as i64;
            candidates.push(align(end));
            // `id` dies as `other` is written: it may begin this far behind.
            if let Relation::Trails(distance) = self.relations[other.0 as usize][id.0 as usize] {
                candidates.push(align(offset as i64 + distance));
            }
            // `id` is written as `other` dies: it may begin this far before, and lower.
            if let Relation::Trails(distance) = self.relations[id.0 as usize][other.0 as usize] {
                let highest = offset as i64 - distance;
                candidates.extend((highest >= 0).then(|| highest - highest % unit));
            }
        }
        candidates.sort_unstable();
        let fits = |offset: &i64| {
            placed.iter().all(|&(other, at)| self.compatible(program, (id, *offset), (other, at as i64)))
        };
        candidates.into_iter().find(fits).unwrap_or(0) as usize
    }

    fn compatible(&self, program: &Program, (a, at_a): (TensorId, i64), (b, at_b): (TensorId, i64)) -> bool {
        let bytes = |id: TensorId| program.buffer(id).bytes() as i64;
        let disjoint = at_a + bytes(a) <= at_b || at_b + bytes(b) <= at_a;
        let holds = |relation: Relation, first: i64, second: i64| match relation {
            Relation::Free => true,
            Relation::Disjoint => false,
            Relation::Trails(distance) => first + distance <= second,
        };
        let [ab, ba] =
            [self.relations[a.0 as usize][b.0 as usize], self.relations[b.0 as usize][a.0 as usize]];
        // Only one of the two can trail the other; the other relation of the pair is then `Disjoint` by lifetime alone.
        disjoint
            || match (ab, ba) {
                (Relation::Free, Relation::Free) => true,
                (Relation::Trails(_), _) => holds(ab, at_a, at_b),
                (_, Relation::Trails(_)) => holds(ba, at_b, at_a),
                _ => false,
            }
    }
}

/// The largest alignment that any planned buffer needs, in bytes.
pub fn arena_alignment(program: &Program) -> usize {
    let planned = |b: &&Buffer| b.offset.is_some();
    program.buffers.iter().filter(planned).map(|b| b.dtype.bytes()).max().unwrap_or(1)
}
