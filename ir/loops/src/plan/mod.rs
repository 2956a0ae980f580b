//! The memory plan: where each buffer lies in the arena.
//!
//! Owns lifetimes (`lifetime`), how far an output may run into an input that dies as it is written (`distance`), and placing buffers
//! so that the arena is small. Two buffers that are alive at once never share a byte, except for an output that trails its
//! input's last reads.

use nablac_index::TensorId;

use crate::program::{Buffer, Program};

mod distance;
mod lifetime;

pub(crate) use distance::distance;
pub(crate) use lifetime::{Lifetime, kernels, lifetimes};

/// Gives every input, output and local buffer its place, and the program the size of its arena.
pub fn plan(program: Program) -> Program {
    let lifetimes = lifetimes(&program);
    let planned: Vec<TensorId> =
        program.buffers().filter(|(_, b)| b.is_planned()).map(|(id, _)| id).collect();
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

/// What a buffer must keep to towards another one that is alive at the same time.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Relation {
    /// No common byte.
    Disjoint,
    /// The first is written as the second dies: the first begins at least this many bytes before the second, or
    /// they have no common byte.
    Trails(i64),
}

/// A buffer that is alive at the same time as another one.
struct Neighbour {
    id: TensorId,
    /// What the one must keep to towards this neighbour.
    forth: Relation,
    /// What this neighbour must keep to towards the one.
    back: Relation,
}

/// The neighbours of every buffer.
struct Conflicts {
    neighbours: Vec<Vec<Neighbour>>,
}

impl Conflicts {
    fn new(program: &Program, lifetimes: &[Lifetime], planned: &[TensorId]) -> Conflicts {
        let kernels = kernels(program);
        let lifetime = |id: TensorId| lifetimes[id.0 as usize];
        // `a` is written as `b` dies.
        let relation = |a: TensorId, b: TensorId| {
            // C takes objects of two types to be distinct, and so may a compiler reorder what is done to them.
            let alike = program.buffer(a).dtype == program.buffer(b).dtype;
            let meet = lifetime(b).last == lifetime(a).first && lifetime(b).first < lifetime(a).first;
            let kernel = usize::try_from(lifetime(a).first).ok().and_then(|time| *kernels.get(time)?);
            match kernel.filter(|_| alike && meet) {
                Some(kernel) => distance(program, kernel, b, a).map_or(Relation::Disjoint, Relation::Trails),
                None => Relation::Disjoint,
            }
        };
        let mut neighbours: Vec<Vec<Neighbour>> = program.buffers.iter().map(|_| vec![]).collect();
        let mut order = planned.to_vec();
        order.sort_by_key(|id| lifetime(*id).first);
        let mut alive: Vec<TensorId> = vec![];
        for a in order {
            alive.retain(|b| lifetime(*b).last >= lifetime(a).first);
            for &b in &alive {
                let (forth, back) = (relation(a, b), relation(b, a));
                neighbours[a.0 as usize].push(Neighbour { id: b, forth, back });
                neighbours[b.0 as usize].push(Neighbour { id: a, forth: back, back: forth });
            }
            alive.push(a);
        }
        Conflicts { neighbours }
    }

    /// Places buffers in `order`; gives the arena's size and the offsets.
    fn place(&self, program: &Program, order: &[TensorId]) -> (usize, Vec<(TensorId, usize)>) {
        let mut offsets: Vec<Option<usize>> = vec![None; program.buffers.len()];
        for &id in order {
            offsets[id.0 as usize] = Some(self.lowest(program, id, &offsets));
        }
        let placed: Vec<(TensorId, usize)> =
            order.iter().filter_map(|id| Some((*id, offsets[id.0 as usize]?))).collect();
        let size = placed.iter().map(|(id, offset)| offset + program.buffer(*id).bytes()).max().unwrap_or(0);
        (size, placed)
    }

    /// The lowest place for a buffer that suits its neighbours which have theirs.
    fn lowest(&self, program: &Program, id: TensorId, offsets: &[Option<usize>]) -> usize {
        let (bytes, unit) = (program.buffer(id).bytes() as i64, program.buffer(id).dtype.bytes() as i64);
        let align = |offset: i64| (offset.max(0) + unit - 1) / unit * unit;
        let placed: Vec<(&Neighbour, i64, i64)> = self.neighbours[id.0 as usize]
            .iter()
            .filter_map(|n| Some((n, offsets[n.id.0 as usize]? as i64, program.buffer(n.id).bytes() as i64)))
            .collect();
        let mut candidates = vec![0];
        for &(neighbour, begin, length) in &placed {
            candidates.push(align(begin + length));
            if let Relation::Trails(distance) = neighbour.back {
                candidates.push(align(begin + distance));
            }
            if let Relation::Trails(distance) = neighbour.forth {
                let highest = begin - distance;
                candidates.extend((highest >= 0).then(|| highest - highest % unit));
            }
        }
        candidates.sort_unstable();
        let suits = |&offset: &i64| {
            placed.iter().all(|&(neighbour, begin, length)| {
                let disjoint = offset + bytes <= begin || begin + length <= offset;
                disjoint || neighbour.forth.allows(offset, begin) || neighbour.back.allows(begin, offset)
            })
        };
        candidates.into_iter().find(suits).unwrap_or(0) as usize
    }
}

impl Relation {
    /// Whether buffers that begin at these bytes may have bytes in common.
    fn allows(self, first: i64, second: i64) -> bool {
        matches!(self, Relation::Trails(distance) if first + distance <= second)
    }
}

/// The largest alignment that any planned buffer needs, in bytes.
pub fn arena_alignment(program: &Program) -> usize {
    let planned = |b: &&Buffer| b.offset.is_some();
    program.buffers.iter().filter(planned).map(|b| b.dtype.bytes()).max().unwrap_or(1)
}
