//! The parts of a parallel loop.
//!
//! Owns what `parallel n` means: the iterations of `for v in a..b step s parallel n` are cut into at most `n` parts of
//! `ceil(ceil((b - a) / s) / n)` neighbours, the last of which has what is left. The iterations of one part follow each other; parts run
//! side by side, so that none may read or write what another one writes.

use nablac_index::Index;

use crate::program::{For, Kind};

/// More parts than processors that share a memory have threads.
pub const MOST_PARTS: usize = 256;

/// A parallel loop in parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts {
    /// How many there are, each with an iteration at least.
    pub count: usize,
    /// The variable's first value.
    pub begin: i64,
    /// One past its last value.
    pub end: i64,
    /// How far the variable moves from the begin of one part to the begin of the next.
    pub stride: i64,
}

impl Parts {
    /// The parts of a parallel loop; `None` where it is none, where its bounds vary or where it has no iteration.
    pub fn of(nest: &For) -> Option<Parts> {
        let Kind::Parallel(parts) = nest.kind else { return None };
        let ([lower], [upper]) = (&nest.lower[..], &nest.upper[..]) else { return None };
        let (begin, end, step) = (lower.as_constant()?, upper.as_constant()?, nest.step.max(1) as i64);
        if parts == 0 || end <= begin {
            return None;
        }
        let iterations = (end - begin + step - 1) / step;
        let each = (iterations - 1) / parts as i64 + 1;
        Some(Parts { count: ((iterations - 1) / each + 1) as usize, begin, end, stride: each * step })
    }

    /// The values of the variable in one part: from the first to one past the last.
    pub fn range(self, part: usize) -> (i64, i64) {
        let begin = self.begin + part as i64 * self.stride;
        (begin, self.end.min(begin + self.stride))
    }

    /// Which part a value of the variable is in.
    pub fn number(self, variable: Index) -> Index {
        (variable - self.begin) / self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nablac_index::LoopId;

    fn parts(begin: i64, end: i64, step: usize, parts: usize) -> Option<Vec<(i64, i64)>> {
        let (lower, upper) = (vec![begin.into()], vec![end.into()]);
        let kind = Kind::Parallel(parts);
        let all = Parts::of(&For { variable: LoopId(0), lower, upper, step, kind, body: vec![] })?;
        Some((0..all.count).map(|part| all.range(part)).collect())
    }

    #[test]
    fn parts_are_neighbours_and_none_is_empty() {
        assert_eq!(parts(0, 9, 1, 2), Some(vec![(0, 5), (5, 9)]));
        assert_eq!(parts(0, 9, 1, 4), Some(vec![(0, 3), (3, 6), (6, 9)]));
        assert_eq!(parts(0, 2, 1, 8), Some(vec![(0, 1), (1, 2)]));
        assert_eq!(parts(-1, 10, 4, 2), Some(vec![(-1, 7), (7, 10)]));
        assert_eq!(parts(0, 9, 1, 1), Some(vec![(0, 9)]));
        assert_eq!([parts(3, 3, 1, 2), parts(0, 3, 1, 0)], [None, None]);
    }
}
