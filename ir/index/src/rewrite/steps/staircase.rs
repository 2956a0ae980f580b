//! Where a function that rises takes its steps.

use super::sums::Range;

/// A function of integers that rises over a range: where it starts, and where each of its levels begins.
#[derive(Debug)]
pub(super) struct Staircase {
    /// The smallest and the largest argument.
    pub range: Range,
    /// The value at the smallest argument.
    pub first: i64,
    /// The smallest argument that gives at least `first + 1`, `first + 2`, … up to the value at the largest argument.
    pub thresholds: Vec<i64>,
}

impl Staircase {
    /// The steps of `f`, which rises over `range`; nothing if it has no value somewhere.
    pub fn of(range: Range, f: &dyn Fn(i64) -> Option<i64>) -> Option<Staircase> {
        let (first, last) = (f(range.0)?, f(range.1)?);
        let mut thresholds: Vec<i64> = vec![];
        for level in first + 1..=last {
            // Steps of quantization are of about the same width: as wide as those before.
            let width = match thresholds[..] {
                [begin, .., end] => ((end - begin) / (thresholds.len() as i64 - 1)).max(1),
                _ => (range.1 - range.0) / (last - first) + 1,
            };
            let below = thresholds.last().map_or(range.0, |&t| t - 1);
            let reached = |x: i64| Some(f(x)? >= level);
            thresholds.push(first_reached(below, range.1, below.saturating_add(width + 1), &reached)?);
        }
        Some(Staircase { range, first, thresholds })
    }

    /// The value at the largest argument.
    pub fn last(&self) -> i64 {
        self.first + self.thresholds.len() as i64
    }

    /// The levels with the argument at which each begins.
    pub fn steps(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.thresholds.iter().zip(self.first + 1..).map(|(&t, level)| (t, level))
    }

    /// Where a function that rises must agree with this one to be the same: at the ends, at each threshold and just below it. Between
    /// two of these arguments this function stands still, and so must one that rises and agrees at both.
    pub fn witnesses(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let around = self.steps().filter(|&(t, level)| self.at(t) == level);
        let around = around.flat_map(|(t, _)| [t - 1, t]);
        [self.range.0, self.range.1].into_iter().chain(around).map(|x| (x, self.at(x)))
    }

    fn at(&self, x: i64) -> i64 {
        self.first + self.thresholds.partition_point(|&t| t <= x) as i64
    }
}

/// The smallest number that is `reached`, where `below` is not and `above` is: bisection, after looking around a guess.
fn first_reached(below: i64, above: i64, guess: i64, reached: &dyn Fn(i64) -> Option<bool>) -> Option<i64> {
    let (mut below, mut above) = (below, above);
    let (mut probe, mut stride) = (guess, 1);
    while above - below > 1 {
        probe = if probe > below && probe < above { probe } else { below + (above - below) / 2 };
        // Away from the guess in growing strides as long as all answers are the same, halves of what is left after that.
        match reached(probe)? {
            true => (above, probe) = (probe, probe - stride),
            false => (below, probe) = (probe, probe + stride),
        }
        stride *= 2;
    }
    Some(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_where_levels_begin() {
        let f = |x: i64| Some((x * 3 + 7).div_euclid(100).clamp(-5, 9) + i64::from(x >= 40) * 3);
        let steps = Staircase::of((-1000, 1000), &f).unwrap();
        assert_eq!((steps.first, steps.last()), (-5, 12));
        for (t, level) in steps.steps() {
            assert!(f(t).unwrap() >= level && f(t - 1).unwrap() < level, "{level} at {t}");
        }
        assert!(steps.witnesses().all(|(x, value)| f(x) == Some(value)));
        assert_eq!(Staircase::of((3, 3), &f).unwrap().thresholds, []);
    }
}
