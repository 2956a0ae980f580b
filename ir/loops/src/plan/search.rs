//! The smallest arena: branch and bound over placements.
//!
//! Owns the question whether everything fits into so many bytes, and asking it until the least such number is known, or the search has cost
//! enough. An item has a range of offsets. Each pair of items leaves one of two rules, and where only one is possible, it narrows their
//! ranges; what is alive at one time must have room in the ranges together. The lowest offsets that are left are a plan if they keep to every
//! rule; if not, the two ways to mend a pair are tried one after the other. Nothing depends on a clock: steps are counted.

use super::bound::{Weights, weights};
use super::instance::{Instance, Pair};

/// What all questions together may cost, in pairs that are looked at: about a second.
const STEPS: usize = 40_000_000;

/// What is known of the smallest arena.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Found {
    /// The best plan: a place for each item.
    pub offsets: Vec<i64>,
    /// Its size.
    pub size: i64,
    /// No plan is smaller.
    pub least: i64,
}

/// Looks for a plan that is smaller than one that is known.
pub(super) fn improve(instance: &Instance, known: Vec<i64>) -> Found {
    let weights = weights(instance);
    let largest = instance.items.iter().map(|item| item.bytes).max().unwrap_or(0);
    let least = weights.iter().map(Weights::least).max().unwrap_or(0).max(largest);
    let mut found = Found { size: instance.size(&known), offsets: known, least };
    let mut search = Search::new(instance, weights);
    // The bound is often the answer. If it is not, plans get smaller one by one, and then the bound larger, by halves.
    for (share, ask) in [(4, Ask::Bound), (2, Ask::Smaller), (1, Ask::Half)] {
        search.allowed = STEPS / share;
        while found.least < found.size {
            let size = match ask {
                Ask::Bound => found.least,
                Ask::Smaller => found.size - 1,
                Ask::Half => (found.least + found.size) / 2,
            };
            match search.fits(size) {
                Answer::Yes(offsets) => {
                    found.size = instance.size(&offsets);
                    found.offsets = offsets;
                }
                Answer::No => found.least = size + 1,
                Answer::Unknown => break,
            }
            if ask == Ask::Bound {
                break;
            }
        }
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Bound,
    Smaller,
    Half,
}

enum Answer {
    Yes(Vec<i64>),
    No,
    /// It would cost too much to know.
    Unknown,
}

/// The lowest and the highest offset of each item.
#[derive(Clone)]
struct Ranges {
    low: Vec<i64>,
    high: Vec<i64>,
    /// Which rule each pair keeps to.
    rules: Vec<Rule>,
}

/// One of a pair's rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Either,
    Forth,
    Back,
}

/// There is no plan within some ranges.
struct Nothing;

struct Search<'a> {
    instance: &'a Instance,
    weights: Vec<Weights>,
    /// The times at which each item is alive, by position in `weights`.
    times: Vec<Vec<usize>>,
    /// How full it is at most while a pair is alive: what is tight is decided first.
    urgency: Vec<i64>,
    steps: usize,
    allowed: usize,
}

impl<'a> Search<'a> {
    fn new(instance: &'a Instance, weights: Vec<Weights>) -> Search<'a> {
        let mut times = vec![vec![]; instance.items.len()];
        for (time, weights) in weights.iter().enumerate() {
            weights.items.iter().for_each(|&item| times[item].push(time));
        }
        let fullest = |pair: &Pair| {
            let both = times[pair.a].iter().filter(|time| times[pair.b].contains(time));
            both.map(|&time| weights[time].least()).max().unwrap_or(0)
        };
        let urgency = instance.pairs.iter().map(fullest).collect();
        Search { instance, weights, times, urgency, steps: 0, allowed: 0 }
    }

    /// Whether everything fits into `size` bytes.
    fn fits(&mut self, size: i64) -> Answer {
        let items = &self.instance.items;
        let high: Vec<i64> = items.iter().map(|item| item.down(size - item.bytes)).collect();
        if high.iter().any(|high| *high < 0) {
            return Answer::No;
        }
        let rules = vec![Rule::Either; self.instance.pairs.len()];
        let ranges = Ranges { low: vec![0; items.len()], high, rules };
        let mut open = vec![(ranges, (0..items.len()).collect())];
        while let Some((mut ranges, changed)) = open.pop() {
            self.steps += self.instance.pairs.len() / 2; // for the copy of the ranges
            let narrowed = self.narrow(&mut ranges, changed);
            if self.steps > self.allowed {
                return Answer::Unknown;
            }
            if narrowed.is_err() {
                continue;
            }
            match self.broken(&ranges) {
                None => return Answer::Yes(ranges.low),
                Some(pair) => open.extend(branches(self.instance, &ranges, pair)),
            }
        }
        Answer::No
    }

    /// The most urgent pair that the lowest offsets do not keep to.
    fn broken(&mut self, ranges: &Ranges) -> Option<usize> {
        self.steps += self.instance.pairs.len() / 8; // looking is cheaper than narrowing
        let pairs = &self.instance.pairs;
        let bytes = |item: usize| self.instance.items[item].bytes;
        let broken = (0..pairs.len()).filter(|pair| !pairs[*pair].allows(&ranges.low));
        // Of equals the first.
        broken.rev().max_by_key(|&n| (self.urgency[n], bytes(pairs[n].a).min(bytes(pairs[n].b))))
    }

    /// Narrows ranges until nothing changes any more, beginning with the items that have changed.
    fn narrow(&mut self, ranges: &mut Ranges, mut changed: Vec<usize>) -> Result<(), Nothing> {
        let mut waiting = vec![false; self.instance.items.len()];
        let mut touched = waiting.clone();
        changed.iter().for_each(|&item| waiting[item] = true);
        while let Some(item) = changed.pop() {
            waiting[item] = false;
            touched[item] = true;
            for &pair in &self.instance.pairs_of[item] {
                self.steps += 1;
                for narrower in self.one_way(ranges, pair)?.into_iter().flatten() {
                    if !std::mem::replace(&mut waiting[narrower], true) {
                        changed.push(narrower);
                    }
                }
            }
            if self.steps > self.allowed {
                return Ok(());
            }
        }
        let mut times: Vec<usize> = (0..touched.len())
            .filter(|item| touched[*item])
            .flat_map(|item| self.times[item].clone())
            .collect();
        times.sort_unstable();
        times.dedup();
        times.into_iter().try_for_each(|time| self.room(ranges, time))
    }

    /// Where only one of a pair's rules is possible still, its items keep to it; those whose ranges get narrower.
    fn one_way(&self, ranges: &mut Ranges, pair: usize) -> Result<[Option<usize>; 2], Nothing> {
        let Pair { a, b, forth, back } = self.instance.pairs[pair];
        let rule = ranges.rules[pair];
        let forth_possible = rule != Rule::Back && ranges.low[a] + forth <= ranges.high[b];
        let back_possible = rule != Rule::Forth && ranges.low[b] + back <= ranges.high[a];
        match (forth_possible, back_possible) {
            (false, false) => Err(Nothing),
            (true, true) => Ok([None, None]),
            (true, false) => keep(self.instance, ranges, a, b, forth),
            (false, true) => keep(self.instance, ranges, b, a, back),
        }
    }

    /// Whether what is alive at a time has room: any of it, in the bytes that its ranges reach.
    fn room(&mut self, ranges: &Ranges, time: usize) -> Result<(), Nothing> {
        let weights = &self.weights[time];
        let count = weights.items.len();
        self.steps += count * count / 2;
        let end = |n: usize| ranges.high[weights.items[n]] + self.instance.items[weights.items[n]].bytes;
        let begin = |n: usize| ranges.low[weights.items[n]];
        let mut by_end: Vec<usize> = (0..count).collect();
        by_end.sort_by_key(|&n| end(n));
        for first in (0..count).map(begin) {
            for way in &weights.ways {
                let mut used = 0;
                for &n in by_end.iter().filter(|n| begin(**n) >= first) {
                    used += way[n];
                    if used > end(n) - first {
                        return Err(Nothing);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Keeps `second` at least `distance` bytes behind `first`; the items whose ranges get narrower.
fn keep(
    instance: &Instance,
    ranges: &mut Ranges,
    first: usize,
    second: usize,
    distance: i64,
) -> Result<[Option<usize>; 2], Nothing> {
    let mut narrower = [None, None];
    let low = instance.items[second].up(ranges.low[first] + distance);
    if low > ranges.low[second] {
        ranges.low[second] = low;
        narrower[0] = Some(second);
    }
    let high = instance.items[first].down(ranges.high[second] - distance);
    if high < ranges.high[first] {
        ranges.high[first] = high;
        narrower[1] = Some(first);
    }
    let empty = |item: usize| ranges.low[item] > ranges.high[item];
    if empty(first) || empty(second) { Err(Nothing) } else { Ok(narrower) }
}

/// The ranges in which a pair keeps to one of its rules, and to the other; the one that leaves more room comes last, which is next.
fn branches(instance: &Instance, ranges: &Ranges, pair: usize) -> Vec<(Ranges, Vec<usize>)> {
    let Pair { a, b, forth, back } = instance.pairs[pair];
    let room =
        |first: usize, second: usize, distance: i64| ranges.high[second] - ranges.low[first] - distance;
    let mut ways = [(Rule::Forth, a, b, forth), (Rule::Back, b, a, back)];
    ways.sort_by_key(|&(_, first, second, distance)| room(first, second, distance));
    let kept = ways.into_iter().filter_map(|(rule, first, second, distance)| {
        let mut ranges = ranges.clone();
        ranges.rules[pair] = rule;
        let narrower = keep(instance, &mut ranges, first, second, distance).ok()?;
        Some((ranges, narrower.into_iter().flatten().collect()))
    });
    kept.collect()
}
