//! Lines through the steps of functions, in integers.
//!
//! `floor(((x + start) * slope + offset * 2^32) / 2^(32 + shift))` is what an upper word of a product, a sum and a right shift give.
//! With `B = start * slope + offset * 2^32` it reaches level `k` at `x` if and only if `x * slope + B >= k * 2^(32 + shift)`: for each
//! slope, what a line must do bounds `B` from both sides. The room between these bounds is a concave function of the slope, so that
//! bisection finds where it is widest. `B` is a multiple of `2^32` if the line starts at zero, and can be anything with some `start`.

use super::staircase::Staircase;
use super::sums::{ANY, Range};

/// The largest shift: nothing leaves 32 bits then, where `offset` is about 255 steps of `2^shift`.
pub(super) const LARGEST_SHIFT: u32 = 22;

/// Slopes are positive, and operands of a signed product of 32 bits.
pub(super) const LARGEST_SLOPE: i64 = i32::MAX as i64;

/// How far from zero a start is looked for: the room may be no more than a few hundred thousandths of `2^32`, where the line of a small
/// scale has 255 steps to take beside one of a large scale.
const FARTHEST_START: i64 = 1 << 18;

/// A room that holds a multiple of `2^32`.
const ENOUGH: i128 = 1 << 32;

/// How many shifts are tried: each has half of the precision of the one before.
const SHIFTS: usize = 2;

/// What a line must do: levels that it reaches, and levels that it stays below, at arguments.
#[derive(Debug)]
pub(super) struct Demands {
    reach: Vec<(i64, i64)>,
    below: Vec<(i64, i64)>,
    /// The first and the last step, if there is one.
    steps: Option<[(i64, i64); 2]>,
    range: Range,
}

/// One function's line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Line {
    pub slope: i64,
    pub start: i64,
    pub offset: i64,
}

/// A line for each function, with one shift for all.
#[derive(Debug)]
pub(super) struct Lines {
    pub shift: u32,
    pub lines: Vec<Line>,
}

/// The slope with the most room, and the bounds of `B` there.
#[derive(Clone, Copy, Debug)]
struct Widest {
    slope: i64,
    low: i128,
    high: i128,
}

impl Demands {
    /// What a line must do to be a staircase once it is clamped to `low..=high`.
    pub fn new(steps: &Staircase, (low, high): Range) -> Demands {
        let mut reach: Vec<(i64, i64)> = steps.steps().collect();
        let mut below: Vec<(i64, i64)> = steps.steps().map(|(t, level)| (t - 1, level)).collect();
        if steps.first > low {
            reach.push((steps.range.0, steps.first));
        }
        if steps.last() < high {
            below.push((steps.range.1, steps.last() + 1));
        }
        let ends = steps.steps().next().zip(steps.steps().last());
        Demands { reach, below, steps: ends.map(|(first, last)| [first, last]), range: steps.range }
    }

    /// The bounds of `B` for a slope.
    fn room(&self, slope: i64, shift: u32) -> (i128, i128) {
        let demand = |&(x, level): &(i64, i64)| scaled(level, shift) - i128::from(x) * i128::from(slope);
        let low = self.reach.iter().map(demand).max();
        let high = self.below.iter().map(demand).min().map(|above| above - 1);
        // On a side without demands, as much as there can be need of.
        let low = low.or(high.map(|high| high - ENOUGH)).unwrap_or(0);
        (low, high.unwrap_or(low + ENOUGH))
    }

    /// The slopes that can take the first and the last step.
    fn slopes(&self, shift: u32) -> Range {
        let Some([first, last]) = self.steps else { return (0, LARGEST_SLOPE) };
        let (levels, width) = (scaled(last.1 - first.1, shift), i128::from(last.0 - first.0));
        let clamped = |slope: i128| slope.clamp(0, i128::from(LARGEST_SLOPE)) as i64;
        match width > 1 && levels > 0 {
            true => (clamped(levels / (width + 1)), clamped(levels / (width - 1) + 1)),
            false => (0, LARGEST_SLOPE),
        }
    }

    /// Where there is the most room for `B`, if there is any.
    fn widest(&self, shift: u32) -> Option<Widest> {
        let width = |slope: i64| {
            let (low, high) = self.room(slope, shift);
            high - low
        };
        let (mut low, mut high) = self.slopes(shift);
        while low < high {
            let middle = low + (high - low) / 2;
            match width(middle + 1) > width(middle) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let room = self.room(low, shift);
        (room.0 <= room.1).then_some(Widest { slope: low, low: room.0, high: room.1 })
    }

    /// A line that starts at zero and has this offset.
    fn through(&self, offset: i64, shift: u32) -> Option<Line> {
        let (mut low, mut high) = (0, i128::from(LARGEST_SLOPE));
        let mut possible = true;
        // x * slope >= demand, and x * slope <= demand.
        let mut at_least = |x: i128, demand: i128| match x {
            0 => possible &= demand <= 0,
            1.. => low = low.max(-(-demand).div_euclid(x)),
            _ => high = high.min((-demand).div_euclid(-x)),
        };
        let b = i128::from(offset) << 32;
        self.reach.iter().for_each(|&(x, level)| at_least(i128::from(x), scaled(level, shift) - b));
        self.below.iter().for_each(|&(x, level)| at_least(-i128::from(x), b + 1 - scaled(level, shift)));
        let slope = low + (high - low) / 2;
        (possible && low <= high).then_some(Line { slope: slope as i64, start: 0, offset })
    }

    /// A line that starts where its offset becomes an integer, as near to zero as there is one.
    fn with_a_start(&self, widest: &Widest) -> Option<Line> {
        let (nearest, farthest) = (ANY.0 - self.range.0, ANY.1 - self.range.1);
        let starts = (0..FARTHEST_START).flat_map(|start| [start, -start]);
        starts.filter(|start| (nearest..=farthest).contains(start)).find_map(|start| {
            let begin = i128::from(start) * i128::from(widest.slope);
            let offset = (widest.high - begin) >> 32;
            let found = (offset << 32) >= widest.low - begin;
            found.then_some(Line { slope: widest.slope, start, offset: offset as i64 })
        })
    }
}

fn scaled(level: i64, shift: u32) -> i128 {
    i128::from(level) << (32 + shift)
}

impl Lines {
    /// `(x + offset) >> shift`, if that is what all of them are and the sum stays in 32 bits: `x * 2^p >> 32` is `x >> (32 - p)`.
    pub fn as_shift(&self, ranges: &[Range]) -> Option<(i64, u32)> {
        let [first, rest @ ..] = &self.lines[..] else { return None };
        let power = u64::try_from(first.slope).ok().filter(|slope| slope.is_power_of_two())?.ilog2();
        let (offset, shift) = (first.offset << (32 - power), self.shift + 32 - power);
        let stays = |range: &Range| range.0 + offset >= ANY.0 && range.1 + offset <= ANY.1;
        (rest.iter().all(|line| line == first) && shift < 32 && ranges.iter().all(stays))
            .then_some((offset, shift))
    }
}

impl Line {
    fn is_small(&self) -> bool {
        self.offset.abs() < 1 << 30 // an upper word is no larger: their sum stays in 32 bits
    }
}

/// Lines that meet the demands: with one offset for all if there is one; else with an offset each, and where `may_start` is true with a
/// start each. Their shift is `most` or the first one below it that they can have.
pub(super) fn fit(demands: &[Demands], may_start: bool, most: u32) -> Option<Lines> {
    let widest = |shift: u32| demands.iter().map(|d| d.widest(shift)).collect::<Option<Vec<_>>>();
    let all = (0..=most).rev().filter_map(|shift| Some((shift, widest(shift)?)));
    let tries: Vec<(u32, Vec<Widest>)> = all.take(SHIFTS).collect();
    let found = |shift: u32, lines: Option<Vec<Line>>| {
        let lines = lines.filter(|lines| lines.iter().all(Line::is_small))?;
        Some(Lines { shift, lines })
    };
    let common =
        tries.iter().find_map(|(shift, widest)| found(*shift, common_offset(demands, widest, *shift)));
    common.or_else(|| {
        tries.iter().find_map(|(shift, widest)| {
            let each = demands.iter().zip(widest).map(|(demand, widest)| {
                let middle = middle(widest);
                let alone = || [middle, middle + 1].into_iter().find_map(|c| demand.through(c, *shift));
                if may_start { demand.with_a_start(widest) } else { alone() }
            });
            found(*shift, each.collect())
        })
    })
}

/// The offset of the function with the most to do, if it does for all.
fn common_offset(demands: &[Demands], widest: &[Widest], shift: u32) -> Option<Vec<Line>> {
    let (_, busiest) = demands.iter().zip(widest).max_by_key(|(demand, _)| demand.reach.len())?;
    [0, 1, -1]
        .into_iter()
        .find_map(|step| demands.iter().map(|demand| demand.through(middle(busiest) + step, shift)).collect())
}

/// The upper word of the middle of the room.
fn middle(widest: &Widest) -> i64 {
    ((widest.low + (widest.high - widest.low) / 2) >> 32) as i64
}
