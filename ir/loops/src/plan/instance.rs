//! The placement problem: buffers with sizes, and what pairs of them must keep to.
//!
//! Owns its form. It knows nothing of kernels: whoever builds it has found out what may overlap. A pair of buffers that are alive at once
//! keeps to one of two rules: the second begins so many bytes behind the first, or the first so many bytes behind the second. For buffers
//! that have no byte in common these are their sizes; an output that trails its input's last reads needs less.

use nablac_index::TensorId;

use super::lifetime::Lifetime;

/// A buffer to place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Item {
    pub id: TensorId,
    pub bytes: i64,
    /// What its offset is a multiple of.
    pub unit: i64,
    pub lifetime: Lifetime,
}

/// Two items that are alive at once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pair {
    /// One item, by position; where one runs into the other, it is the output.
    pub a: usize,
    /// The other one.
    pub b: usize,
    /// The item `b` begins at least so many bytes behind `a`, or
    pub forth: i64,
    /// the item `a` begins at least so many bytes behind `b`.
    pub back: i64,
}

/// What is known of a pair that may overlap: its `forth` and `back`.
pub(super) type Overlap<'a> = dyn FnMut(&Item, &Item) -> Option<(i64, i64)> + 'a;

/// Everything that is to be placed.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Instance {
    pub items: Vec<Item>,
    pub pairs: Vec<Pair>,
    /// The pairs of each item, by position.
    pub pairs_of: Vec<Vec<usize>>,
    /// What is alive at each time at which something begins to be, by position.
    pub alive: Vec<Vec<usize>>,
}

impl Instance {
    /// The instance of these items. `overlap` says how far the first of two items, which begins to be alive as the second one ends, must
    /// stay behind or before it: `forth` and `back` of their pair.
    pub(super) fn new(items: Vec<Item>, overlap: &mut Overlap) -> Instance {
        let mut instance =
            Instance { pairs_of: vec![vec![]; items.len()], items, pairs: vec![], alive: vec![] };
        let mut begins: Vec<i64> = instance.items.iter().map(|item| item.lifetime.first).collect();
        begins.sort_unstable();
        begins.dedup();
        for time in begins {
            let alive = |item: &Item| item.lifetime.first <= time && time <= item.lifetime.last;
            let (items, positions) = (&instance.items, 0..instance.items.len());
            let now: Vec<usize> = positions.filter(|&position| alive(&items[position])).collect();
            for (n, &one) in now.iter().enumerate() {
                for &other in &now[..n] {
                    let (i, j) = (&instance.items[one].lifetime, &instance.items[other].lifetime);
                    // A pair is met once, at the later begin.
                    if i.first.max(j.first) == time {
                        instance.meet(one, other, overlap);
                    }
                }
            }
            instance.alive.push(now);
        }
        instance
    }

    fn meet(&mut self, one: usize, other: usize, overlap: &mut Overlap) {
        let written_as_dies =
            |a: &Item, b: &Item| b.lifetime.last == a.lifetime.first && b.lifetime.first < a.lifetime.first;
        let items = &self.items;
        let (a, b) = if written_as_dies(&items[other], &items[one]) { (other, one) } else { (one, other) };
        let (first, second) = (&items[a], &items[b]);
        let apart = (first.bytes, second.bytes);
        let found = if written_as_dies(first, second) { overlap(first, second) } else { None };
        let (forth, back) = found.map_or(apart, |(f, b)| (f.min(apart.0), b.min(apart.1)));
        self.pairs_of[a].push(self.pairs.len());
        self.pairs_of[b].push(self.pairs.len());
        self.pairs.push(Pair { a, b, forth, back });
    }

    /// The bytes up to the last one that these places use.
    pub(super) fn size(&self, offsets: &[i64]) -> i64 {
        self.items.iter().zip(offsets).map(|(item, offset)| offset + item.bytes).max().unwrap_or(0)
    }

    /// Whether these places keep to every rule.
    pub(super) fn allows(&self, offsets: &[i64]) -> bool {
        self.pairs.iter().all(|pair| pair.allows(offsets))
    }
}

impl Pair {
    /// Whether these places keep to one of its rules.
    pub(super) fn allows(&self, offsets: &[i64]) -> bool {
        let (a, b) = (offsets[self.a], offsets[self.b]);
        b >= a + self.forth || a >= b + self.back
    }

    /// The other item.
    pub(super) fn other(&self, item: usize) -> usize {
        self.a + self.b - item
    }
}

impl Item {
    /// The next offset that suits its elements.
    pub(super) fn up(&self, offset: i64) -> i64 {
        (offset.max(0) + self.unit - 1) / self.unit * self.unit
    }

    /// The last offset up to this one that suits its elements; negative where there is none.
    pub(super) fn down(&self, offset: i64) -> i64 {
        offset.div_euclid(self.unit) * self.unit
    }
}
