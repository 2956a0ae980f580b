//! The words of an operand that a step of the reduced loop loads.
//!
//! Owns which loads a step takes, in which order, and which load holds a term of a point: a word that several points of the tile read
//! is one load.

use std::collections::BTreeMap;

use super::super::contraction::Operand;
use super::super::dot::Dot;

/// The most words of bytes that are loaded in a row.
const MOST_BYTES: usize = 4;

/// One loop of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Along {
    /// The statement's loop.
    pub l: usize,
    /// How many points there are, and how many iterations of the loop each has: as many as a register has sums, or one.
    pub count: usize,
    pub step: usize,
}

/// Every point of a tile: the tiled loops with their places.
pub(super) fn points(tile: &[Along]) -> Vec<Vec<(usize, i64)>> {
    tile.iter().fold(vec![vec![]], |points, along| {
        let places = |point: Vec<(usize, i64)>| {
            let place = move |n: usize| {
                let last = (along.l, (n * along.step) as i64);
                point.iter().copied().chain([last]).collect::<Vec<_>>()
            };
            (0..along.count).map(place).collect::<Vec<_>>()
        };
        points.into_iter().flat_map(places).collect()
    })
}

/// The words of an operand that a step reads.
pub(super) struct Words {
    /// One load each: how far it is from the first element, with a point and a term that read it.
    pub loads: Vec<(i64, usize, usize)>,
    /// The terms of one load.
    pub width: usize,
    /// Into how many registers a load is taken apart.
    pub halves: usize,
    /// How far each point's first element is from that of the first point.
    pub offsets: Vec<i64>,
    /// The terms of each point.
    pub terms: usize,
    /// How far apart neighbouring terms are.
    apart: i64,
}

impl Words {
    pub(super) fn new(dot: &Dot, operand: &Operand, points: &[Vec<(usize, i64)>], step: usize) -> Words {
        let halves = if operand.unpacked && dot.unpack.is_some() { 2 } else { 1 };
        let width = if halves == 2 { dot.bytes } else { dot.terms };
        let apart = operand.apart;
        let offset =
            |point: &Vec<(usize, i64)>| point.iter().map(|&(l, at)| operand.strides[l] * at).sum::<i64>();
        let offsets: Vec<i64> = points.iter().map(offset).collect();
        let mut loads = BTreeMap::new();
        for (point, offset) in offsets.iter().enumerate() {
            for term in (0..step).step_by(width) {
                loads.entry(offset + term as i64 * apart).or_insert((point, term));
            }
        }
        let loads = loads.into_iter().map(|(offset, (point, term))| (offset, point, term)).collect();
        Words { loads, width, halves, offsets, terms: step, apart }
    }

    pub(super) fn registers(&self) -> usize {
        self.loads.len() * self.halves
    }

    /// Words that are loaded in a row: neighbours, or bytes, which take one register until they are taken apart.
    pub(super) fn runs(&self) -> Vec<Vec<usize>> {
        let mut runs: Vec<Vec<usize>> = vec![];
        let size = self.width as i64 * self.apart;
        for word in 0..self.loads.len() {
            let neighbours = word > 0 && self.loads[word].0 == self.loads[word - 1].0 + size;
            let most = if self.halves == 2 { MOST_BYTES } else { 2 };
            match runs.last_mut().filter(|run| (neighbours || self.halves == 2) && run.len() < most) {
                Some(run) => run.push(word),
                None => runs.push(vec![word]),
            }
        }
        runs
    }

    /// The load that holds a term of a point.
    pub(super) fn position(&self, point: usize, term: usize) -> Option<usize> {
        let begin = self.offsets[point] + (term - term % self.width) as i64 * self.apart;
        self.loads.iter().position(|(offset, ..)| *offset == begin)
    }

    /// The points that a load serves, each with the first of its terms there.
    pub(super) fn readers(&self, word: usize) -> Vec<(usize, usize)> {
        let (offset, ..) = self.loads[word];
        let term = |begin: i64| ((offset - begin) % self.apart == 0).then_some((offset - begin) / self.apart);
        let begins = |term: &i64| term % self.width as i64 == 0 && (0..self.terms as i64).contains(term);
        let reader = |(point, begin): (usize, &i64)| Some((point, term(*begin).filter(begins)? as usize));
        self.offsets.iter().enumerate().filter_map(reader).collect()
    }
}
