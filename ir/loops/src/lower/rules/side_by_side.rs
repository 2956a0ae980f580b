//! Loops for sums that are side by side in vector registers.
//!
//! Owns rules that a person can read: neighbouring channels are the lanes, pixels by registers of channels the tile, and the tile is the one
//! that takes the fewest cycles for all of a row, with what remains of it.

use nablac_index::{Program, Statement};

use super::super::contraction::{Factors, Schedule};
use super::super::dot::{Dot, Moving};
use super::super::{Capacity, RANKS};
use super::chunk;
use crate::optimize::Optimize;

/// The most pixels and registers of channels of a tile.
const MOST_PIXELS: usize = 14;
const MOST_REGISTERS: usize = 8;

/// What a tile takes besides its terms, in instructions for each register of sums: initial values, last map and store.
const AROUND: usize = 6;

/// The least of a register's lanes that must hold a sum, one of so many.
const LEAST_FILLED: usize = 2;

/// The schedules of a product with these instructions, each with its cycles, the fewest first; none where channels would not fill
/// registers.
pub(super) fn candidates(
    program: &Program,
    statement: &Statement,
    factors: &Factors,
    dot: &Dot,
    capacity: &Capacity,
) -> Vec<(usize, Schedule)> {
    let reduced = statement.reduced_loops(factors.depth);
    let space = super::super::schedule::space_order(statement, factors.depth);
    let moves = |l: &usize| factors.moves(*l).is_some();
    let wide = |l: &&usize| factors.extents[**l] > 1;
    let counted = capacity.row(statement, &space);
    let pixel = space.iter().filter(|l| moves(l) && !factors.weighs(**l) && Some(**l) != counted);
    let pixel = pixel.rev().find(wide).copied();
    let channel = space.iter().filter(|l| !moves(l) && factors.weighs(**l)).rfind(wide).copied();
    let (Some(channel), Some(last)) = (channel, factors.moving.at.len().checked_sub(1)) else {
        return vec![];
    };
    let channels = factors.extents[channel];
    if channels * LEAST_FILLED < dot.sums {
        return vec![];
    }
    let pixels = pixel.map_or(1, |l| factors.extents[l]);
    let terms: usize = reduced.iter().map(|&l| factors.extents[l]).product();
    let work = Work { dot, pixels, registers: channels.div_ceil(dot.sums), terms, capacity };
    let outer = space.iter().copied().filter(|l| Some(*l) != pixel && *l != channel);
    let outer: Vec<(usize, usize)> = outer.map(|l| (l, 1)).collect();
    let reduced: Vec<(usize, usize)> =
        super::reduced_order(factors, &reduced, pixel).into_iter().map(|l| (l, factors.extents[l])).collect();
    let slides =
        |l: usize| space.iter().any(|&s| factors.moves(s).map(|m| m.0) == factors.moves(l).map(|m| m.0));
    let direct = factors.moving.outside.is_none()
        && matches!(reduced[..], [(l, _)] if !slides(l) && factors.moves(l).is_some_and(|m| m.0 == last))
        && program.dtype(factors.moving.tensor) == dot.takes;
    let schedule = |tile: (usize, usize)| {
        // A panel of constants stays in the cache while pixels pass; a buffer for a few pixels is small.
        let inner = [(channel, tile.1 * dot.sums)].into_iter().chain(pixel.map(|l| (l, tile.0)));
        let mut inner: Vec<(usize, usize)> = inner.collect();
        let small = capacity.optimize == Optimize::Ram && !direct && inner.len() > 1;
        if small {
            inner.reverse();
        }
        Schedule {
            space: outer.iter().copied().chain(inner).collect(),
            chunk: chunk(terms.next_multiple_of(dot.terms), dot.terms, capacity.optimize == Optimize::Size),
            reduced: reduced.clone(),
            staged: (!direct).then_some(outer.len() + usize::from(small)),
            packed: dot.packed,
        }
    };
    work.tiles().into_iter().take(RANKS).map(|tile| (work.total(tile), schedule(tile))).collect()
}

/// What is to be done for one row: every term of every pixel in every register of channels.
struct Work<'c> {
    dot: &'c Dot,
    pixels: usize,
    registers: usize,
    terms: usize,
    capacity: &'c Capacity,
}

impl Work<'_> {
    /// The tiles of pixels by registers of channels, the one that takes the fewest cycles first.
    fn tiles(&self) -> Vec<(usize, usize)> {
        let all = (1..=self.pixels.min(MOST_PIXELS))
            .flat_map(|p| (1..=self.registers.min(MOST_REGISTERS)).map(move |c| (p, c)));
        // What is computed at run time may be held in other registers.
        let fits = |&(p, c): &(usize, usize)| {
            let operands = match self.dot.moving {
                Moving::Scalar if p <= c => 1,
                Moving::Scalar => c,
                _ => p.min(c) + 1,
            };
            // What adds products that another instruction makes has them in a register.
            let between = usize::from(self.takes(&self.dot.multiply) > 1);
            p * c + operands + between <= self.capacity.vector_registers
        };
        let mut tiles: Vec<(usize, usize)> = all.filter(fits).collect();
        tiles.sort_by_key(|&tile| (self.total(tile), tile.0 * tile.1));
        tiles
    }

    /// The cycles of all tiles and of what remains, in parts of one.
    fn total(&self, tile: (usize, usize)) -> usize {
        let parts =
            |n: usize, size: usize| [(n / size, size), (usize::from(!n.is_multiple_of(size)), n % size)];
        let pairs = parts(self.pixels, tile.0)
            .into_iter()
            .flat_map(|p| parts(self.registers, tile.1).map(|c| (p, c)));
        let steps = self.terms.div_ceil(self.dot.terms);
        let cycles = |p: usize, c: usize| match p * c {
            0 => 0,
            sums => steps * self.step(p, c) + sums * AROUND * SCALE / self.capacity.pipeline.issues,
        };
        pairs.map(|((np, p), (nc, c))| np * nc * cycles(p, c)).sum()
    }

    /// The cycles of one step of a tile, times `SCALE`.
    fn step(&self, pixels: usize, registers: usize) -> usize {
        let pipeline = &self.capacity.pipeline;
        let (loads, products) = (pixels + registers, pixels * registers);
        let started = registers * self.takes(&self.dot.load) + products * self.takes(&self.dot.multiply);
        let of = |count: usize, at_once: usize| SCALE * count / at_once.max(1);
        let busy = of(loads, pipeline.loads)
            .max(of(products, pipeline.multiplies))
            .max(of(pixels + started, pipeline.issues));
        busy.max(SCALE * pipeline.latency).max(self.refill(registers))
    }

    /// The machine instructions that one of the library is.
    fn takes(&self, name: &str) -> usize {
        let library = self.capacity.library.as_ref();
        library.and_then(|library| library.instruction(name)).map_or(1, |instruction| instruction.takes)
    }

    /// The cycles in which a step's constants come into the first cache, times `SCALE`: a panel that does not stay there from one tile
    /// of pixels to the next comes anew for each.
    fn refill(&self, registers: usize) -> usize {
        let step = registers * self.dot.sums * self.dot.terms * self.dot.packed.bytes();
        let panel = step * self.terms.div_ceil(self.dot.terms);
        let behind = self.capacity.caches.iter().take_while(|cache| panel > cache.bytes);
        behind.map(|cache| SCALE * step / cache.refill.max(1)).max().unwrap_or(0)
    }
}

/// Cycles are counted in parts of one.
const SCALE: usize = 12;
