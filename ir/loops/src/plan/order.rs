//! The order of steps that needs the least memory at one time.
//!
//! Owns the search over the orders that dependences allow. What is alive while a step runs depends on which steps have run, not on their order,
//! so that sets of steps are the states of a shortest path problem whose length is the fullest moment. It is solved exactly, the least
//! full sets first; where that takes too long, the fullest moment so far bounds every order, and a search that keeps a few sets of each size
//! gives one. Steps inside repetitions and branches stay where they are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use nablac_index::TensorId;

use super::bound::{Weights, weights};
use super::instance::{Instance, Item};
use super::lifetime::{self, Lifetime, Touches};
use super::overlaps::Overlaps;
use crate::program::{Program, Repeat, Role, Step};

/// The most moments that the exact search looks at: tenths of a second.
const MOMENTS: usize = 20_000;

/// The sets that are kept of each size where the exact search gives up.
const KEPT: usize = 8;

/// What is known of orders.
pub(super) struct Orders<'a> {
    program: &'a Program,
    /// The bytes in use at the fullest moment of any order, at least.
    pub least: i64,
    /// The bytes in use at the fullest moment of the given order, at least.
    pub given: i64,
    /// The buffers that only steps touch which have one place among all others: they are alive together in every order, or in none.
    pub fixed: BTreeSet<TensorId>,
    /// An order whose fullest moment is less full than in the given one, and how full it is.
    better: Option<(i64, Vec<usize>)>,
}

impl Orders<'_> {
    /// The steps in an order whose fullest moment is less full.
    pub(super) fn better(&self) -> Option<Vec<Step>> {
        let (_, order) = self.better.as_ref()?;
        Some(order.iter().map(|&step| self.program.steps[step].clone()).collect())
    }
}

/// Looks for a better order than the given one.
pub(super) fn search<'a>(program: &'a Program, overlaps: &mut Overlaps) -> Orders<'a> {
    let mut model = Model::new(program, overlaps);
    let count = program.steps.len();
    let identity: Vec<usize> = (0..count).collect();
    let given = model.peak(&identity);
    let fixed = model.fixed();
    let mut paths = Paths { model, moments: 0, limit: MOMENTS };
    let (least, path) = paths.least_full(given);
    let order = path.or_else(|| {
        paths.limit = usize::MAX;
        Some(paths.kept()).filter(|(peak, _)| *peak < given)
    });
    let better = order.map(|(peak, order)| {
        paths.limit = paths.moments.saturating_add(MOMENTS);
        // Steps stay where they were as far as that makes no difference.
        let first = paths.first_within(peak).unwrap_or(order);
        (peak, first)
    });
    Orders { program, least, given, fixed, better }
}

/// A set of steps.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Set(Vec<u64>);

impl Set {
    fn empty(count: usize) -> Set {
        Set(vec![0; count.div_ceil(64)])
    }

    fn has(&self, step: usize) -> bool {
        self.0[step / 64] >> (step % 64) & 1 == 1
    }

    fn with(&self, step: usize) -> Set {
        let mut set = self.clone();
        set.0[step / 64] |= 1 << (step % 64);
        set
    }

    fn union(&self, other: &Set) -> Set {
        Set(self.0.iter().zip(&other.0).map(|(own, other)| own | other).collect())
    }

    fn has_all(&self, other: &Set) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| own & other == *other)
    }

    fn has_any(&self, other: &Set) -> bool {
        self.0.iter().zip(&other.0).any(|(own, other)| own & other != 0)
    }
}

/// A buffer and the steps that touch it.
struct Held {
    item: Item,
    users: Set,
    from_begin: bool,
    to_end: bool,
}

/// What is alive when.
struct Model<'a, 'o> {
    program: &'a Program,
    overlaps: &'o mut Overlaps,
    held: Vec<Held>,
    /// For each step, how many moments it takes and what it touches from when to when.
    touches: Vec<Touches>,
    /// The steps that must have run before each.
    before: Vec<Set>,
}

impl<'a, 'o> Model<'a, 'o> {
    fn new(program: &'a Program, overlaps: &'o mut Overlaps) -> Model<'a, 'o> {
        let count = program.steps.len();
        let touches: Vec<_> = program.steps.iter().map(|step| lifetime::touches(program, step)).collect();
        let next: Vec<TensorId> = program.states().map(|(_, state)| state.next).collect();
        let mut held = vec![];
        for (id, buffer) in program.buffers().filter(|(_, b)| b.is_planned() && !b.is_empty()) {
            let (from_begin, to_end) = match buffer.role {
                Role::State(_) => (true, true),
                Role::Output => (false, true),
                Role::Local => (false, next.contains(&id)),
                _ => (true, next.contains(&id)),
            };
            let users = (0..count).filter(|&step| touches[step].1.contains_key(&id));
            let users = users.fold(Set::empty(count), |set, step| set.with(step));
            let (bytes, unit) = (buffer.bytes() as i64, buffer.dtype.bytes() as i64);
            let item = Item { id, bytes, unit, lifetime: Lifetime { first: 0, last: 0 } };
            held.push(Held { item, users, from_begin, to_end });
        }
        Model { program, overlaps, held, touches, before: dependences(program) }
    }

    /// The bytes that are in use, at least, at the fullest moment of a step after `done`.
    fn moment(&mut self, done: &Set, step: usize) -> i64 {
        let (span, touched) = &self.touches[step];
        let after = done.with(step);
        // What is there before and behind the step shares no byte with anything.
        let (mut through, mut items) = (0, vec![]);
        for held in &self.held {
            let here = touched.get(&held.item.id);
            let begun = held.from_begin || done.has_any(&held.users);
            let goes_on = held.to_end || !after.has_all(&held.users);
            let first = if begun { Some(-1) } else { here.map(|(first, _)| *first) };
            let last = if goes_on { Some(*span) } else { here.map(|(_, last)| *last) };
            match (first, last) {
                (Some(-1), Some(last)) if last == *span => through += held.item.bytes,
                (Some(first), Some(last)) => {
                    items.push(Item { lifetime: Lifetime { first, last }, ..held.item });
                }
                _ => {}
            }
        }
        let kernel = match &self.program.steps[step] {
            Step::Kernel(kernel) => Some(kernel),
            _ => None,
        };
        let (program, overlaps) = (self.program, &mut *self.overlaps);
        let instance =
            Instance::new(items, &mut |output, input| overlaps.of(program, kernel?, output.id, input.id));
        through + weights(&instance).iter().map(Weights::least).max().unwrap_or(0)
    }

    /// What is in use before the first step or behind the last one.
    fn ends(&self) -> i64 {
        let bytes = |alive: &dyn Fn(&Held) -> bool| {
            self.held.iter().filter(|held| alive(held)).map(|held| held.item.bytes).sum::<i64>()
        };
        bytes(&|held| held.from_begin).max(bytes(&|held| held.to_end))
    }

    /// The fullest moment of an order.
    fn peak(&mut self, order: &[usize]) -> i64 {
        let mut done = Set::empty(order.len());
        let mut peak = self.ends();
        for &step in order {
            peak = peak.max(self.moment(&done, step));
            done = done.with(step);
        }
        peak
    }

    /// The steps that may run next.
    fn ready(&self, done: &Set) -> Vec<usize> {
        let open = (0..self.before.len()).filter(|step| !done.has(*step));
        open.filter(|step| done.has_all(&self.before[*step])).collect()
    }

    /// The buffers that only steps touch which all others wait for, or which wait for them.
    fn fixed(&self) -> BTreeSet<TensorId> {
        let count = self.before.len();
        let mut ancestors: Vec<Set> = vec![];
        for before in &self.before {
            let earlier = (0..ancestors.len()).filter(|step| before.has(*step));
            let all = earlier.fold(before.clone(), |set, step| set.union(&ancestors[step]));
            ancestors.push(all);
        }
        let ordered = |a: usize, b: usize| ancestors[a].has(b) || ancestors[b].has(a);
        let free = (0..count).filter(|&step| !(0..count).all(|other| other == step || ordered(step, other)));
        let free = free.fold(Set::empty(count), |set, step| set.with(step));
        let fixed = self.held.iter().filter(|held| !free.has_any(&held.users));
        fixed.map(|held| held.item.id).collect()
    }

    /// The bytes that stay in use behind a set of steps.
    fn resting(&self, done: &Set) -> i64 {
        let alive = |held: &&Held| {
            (held.from_begin || done.has_any(&held.users)) && (held.to_end || !done.has_all(&held.users))
        };
        self.held.iter().filter(alive).map(|held| held.item.bytes).sum()
    }
}

/// The steps that each one waits for: one of the two writes what the other one uses.
fn dependences(program: &Program) -> Vec<Set> {
    let count = program.steps.len();
    let uses: Vec<_> = program.steps.iter().map(|step| uses(program, step)).collect();
    let waits = |late: usize, early: usize| {
        let ((reads, writes), (read, written)) = (&uses[late], &uses[early]);
        !written.is_disjoint(reads) || !written.is_disjoint(writes) || !read.is_disjoint(writes)
    };
    let before = |late: usize| {
        let early = (0..late).filter(|early| waits(late, *early));
        early.fold(Set::empty(count), |set, early| set.with(early))
    };
    (0..count).map(before).collect()
}

/// What a step reads and writes. A repetition may do both with what it carries.
fn uses(program: &Program, step: &Step) -> (BTreeSet<TensorId>, BTreeSet<TensorId>) {
    let buffers = program.buffers.len();
    let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
    let mut inner = |steps: &[Step]| {
        for (read, written) in steps.iter().map(|step| uses(program, step)) {
            reads.extend(read);
            writes.extend(written);
        }
    };
    match step {
        Step::Kernel(kernel) => {
            return (
                kernel.reads(buffers).into_iter().collect(),
                kernel.writes(buffers).into_iter().collect(),
            );
        }
        Step::Repeat(Repeat { carried, body, .. }) => {
            inner(body);
            let carried = carried.iter().flat_map(|(state, initial, next)| [*state, *initial, *next]);
            carried.for_each(|id| {
                reads.insert(id);
                writes.insert(id);
            });
        }
        // Rows come in one order.
        Step::Receive(receive) => writes.extend([receive.input, receive.buffer]),
        Step::Branch { condition, then, otherwise } => {
            inner(then);
            inner(otherwise);
            reads.insert(*condition);
        }
    }
    (reads, writes)
}

/// The search itself.
struct Paths<'a, 'o> {
    model: Model<'a, 'o>,
    moments: usize,
    limit: usize,
}

impl Paths<'_, '_> {
    fn count(&self) -> usize {
        self.model.before.len()
    }

    /// How full a step's fullest moment is, or nothing where looking takes too long.
    fn moment(&mut self, done: &Set, step: usize) -> Option<i64> {
        self.moments += 1;
        (self.moments <= self.limit).then(|| self.model.moment(done, step))
    }

    /// A bound of every order's fullest moment, and an order that meets it if the search came to its end and found one that is less full
    /// than the `given` one.
    fn least_full(&mut self, given: i64) -> (i64, Option<(i64, Vec<usize>)>) {
        let (count, begin) = (self.count(), self.model.ends());
        let mut known: Known = BTreeMap::from([(Set::empty(count), (begin, None))]);
        // The least full sets first, and of these the largest.
        let mut open = BinaryHeap::from([(Reverse(begin), 0, Set::empty(count))]);
        while let Some((Reverse(peak), size, done)) = open.pop() {
            if known.get(&done).is_some_and(|(least, _)| *least < peak) {
                continue; // another way to the same set is less full
            }
            if peak >= given || size == count {
                return (peak.min(given), (peak < given).then(|| (peak, path(&known, done))));
            }
            for step in self.model.ready(&done) {
                let Some(moment) = self.moment(&done, step) else { return (peak, None) };
                let (next, later) = (done.with(step), peak.max(moment));
                if known.get(&next).is_none_or(|(least, _)| later < *least) {
                    known.insert(next.clone(), (later, Some((done.clone(), step))));
                    open.push((Reverse(later), size + 1, next));
                }
            }
        }
        (given, None)
    }

    /// An order found by keeping the least full sets of each size.
    fn kept(&mut self) -> (i64, Vec<usize>) {
        let mut level = vec![(self.model.ends(), 0, Set::empty(self.count()), vec![])];
        for _ in 0..self.count() {
            let mut next: BTreeMap<Set, (i64, Vec<usize>)> = BTreeMap::new();
            for (peak, _, done, order) in level {
                for step in self.model.ready(&done) {
                    let peak = peak.max(self.model.moment(&done, step));
                    let order: Vec<usize> = order.iter().copied().chain([step]).collect();
                    let known = next.entry(done.with(step)).or_insert((i64::MAX, vec![]));
                    if (peak, &order) < (known.0, &known.1) {
                        *known = (peak, order);
                    }
                }
            }
            let full = |(done, (peak, order))| (peak, self.model.resting(&done), done, order);
            level = next.into_iter().map(full).collect();
            level.sort();
            level.truncate(KEPT);
        }
        level.into_iter().next().map(|(peak, _, _, order)| (peak, order)).unwrap_or_default()
    }

    /// The first order, by positions, whose moments are all as full as `peak` at most; nothing where looking for it takes too long.
    fn first_within(&mut self, peak: i64) -> Option<Vec<usize>> {
        let mut dead: BTreeSet<Set> = BTreeSet::new();
        let mut order: Vec<usize> = vec![];
        let mut done = vec![Set::empty(self.count())];
        while order.len() < self.count() {
            let now = done.last()?.clone();
            let mut found = None;
            for step in self.model.ready(&now) {
                let next = now.with(step);
                if !dead.contains(&next) && self.moment(&now, step)? <= peak {
                    found = Some((step, next));
                    break;
                }
            }
            match found {
                Some((step, next)) => {
                    order.push(step);
                    done.push(next);
                }
                None => {
                    dead.insert(done.pop()?);
                    order.pop()?;
                }
            }
        }
        Some(order)
    }
}

/// How full it is on the way to a set at least, and the set before with the step between them.
type Known = BTreeMap<Set, (i64, Option<(Set, usize)>)>;

/// The steps that lead to a set.
fn path(known: &Known, done: Set) -> Vec<usize> {
    let mut order = vec![];
    let mut at = done;
    while let Some((_, Some((before, step)))) = known.get(&at) {
        order.push(*step);
        at = before.clone();
    }
    order.reverse();
    order
}
