//! Which loops a product of packed operands runs in when nobody asks for others.
//!
//! Owns rules that a person can read: which loops are tiled, what gets a buffer and where, and how much is written out. The machine's
//! registers decide the tile.

use nablac_index::{DType, Program, Statement};

use super::contraction::{self, Factors, Schedule};
use super::dot::{self, Dot};
use super::{Capacity, RANKS};
use crate::instruction::Library;
use crate::optimize::Optimize;

mod side_by_side;

/// Sums of vectors that a general register each holds: a pair of registers is taken for one.
const VECTOR_SUMS: usize = 8;

/// Vector registers.
const VECTORS: usize = 8;

/// General registers of the innermost loop that hold no value: a pointer to each operand.
const POINTERS: usize = 2;

/// How many channels of a depthwise convolution are copied at a time.
const COPIED_TOGETHER: usize = 8;

/// The most bytes of a buffer where code is to take little memory, if fewer channels together make it that small.
const SMALL_BUFFER: usize = 1024;

/// The most steps of a sum that are written out: beyond, another copy of the code saves less than a loop's end costs.
const WRITTEN_OUT: usize = 16;

/// The fewest steps that are written out where all would be too many.
const CHUNK: usize = 8;

/// The most steps that are written out where code is to be small: one more takes 100 bytes in a tile of 3 by 2, and two leave a loop's
/// end an eighth of the cycles.
const SMALL_CHUNK: usize = 4;

/// Where code is to be small, a remainder of a tile, which is a second copy of the code, must save more than one part in this many.
const REMAINDER_SHARE: usize = 8;

/// The schedule and the instructions of a reduction, one of the candidates; `None` where there are no instructions for it.
pub(super) fn choose(
    program: &Program,
    statement: &Statement,
    factors: &Factors,
    library: &Library,
    capacity: &Capacity,
) -> Option<(Schedule, Dot)> {
    let dots = dot::for_sums(library, program.dtype(statement.out));
    let (vectors, scalars): (Vec<Dot>, Vec<Dot>) = dots.into_iter().partition(|dot| dot.sums > 1);
    let own = program.dtype(factors.moving.tensor);
    let offset_folds = contraction::zero_folds(program, statement, factors);
    let fits = |dot: &Dot| dot.offset(own) == 0 || offset_folds;
    let mut side_by_side: Vec<(usize, Schedule, Dot)> = vec![];
    for dot in vectors.into_iter().filter(fits) {
        let candidates = side_by_side::candidates(program, statement, factors, &dot, capacity);
        side_by_side.extend(candidates.into_iter().map(|(cycles, schedule)| (cycles, schedule, dot.clone())));
    }
    // Of registers that take the same time, the smallest have the fewest lanes without a sum, which go through memory.
    side_by_side.sort_by_key(|(cycles, _, dot)| (*cycles, dot.sums));
    if !side_by_side.is_empty() {
        let rank = capacity.rank.min(side_by_side.len() - 1);
        let (_, schedule, dot) = side_by_side.swap_remove(rank);
        return Some((schedule, dot));
    }
    in_lanes(program, statement, factors, scalars.into_iter().next()?, capacity)
}

/// The schedule of a product whose instruction adds several products to one sum.
fn in_lanes(
    program: &Program,
    statement: &Statement,
    factors: &Factors,
    dot: Dot,
    capacity: &Capacity,
) -> Option<(Schedule, Dot)> {
    let reduced = statement.reduced_loops(factors.depth);
    let space: Vec<usize> = super::schedule::space_order(statement, factors.depth);
    let moves = |l: &usize| factors.moves(*l).is_some();
    let wide = |l: &&usize| factors.extents[**l] > 1;
    // Pixels move one operand, channels the other, and what moves both is no tile.
    let counted = capacity.row(statement, &space);
    let pixel = space.iter().filter(|l| moves(l) && !factors.weighs(**l) && Some(**l) != counted);
    let pixel = pixel.rev().find(wide).copied();
    let channel = space.iter().filter(|l| !moves(l) && factors.weighs(**l)).rfind(wide).copied();
    let shares = |l: usize| {
        let window = |s: usize| factors.moves(s).map(|m| m.0) == factors.moves(l).map(|m| m.0);
        space.iter().any(|&s| window(s))
    };
    let windowed = factors.moving.outside.is_some() || reduced.iter().any(|&l| shares(l));
    let depthwise = channel.is_none() && pixel.is_some();
    let registers = capacity.general_registers.saturating_sub(POINTERS);
    let (pixels, channels) = match (pixel, channel) {
        (Some(p), Some(c)) => tile(&dot, (factors.extents[p], factors.extents[c]), registers, capacity),
        (Some(p), None) => (divided(factors.extents[p], 6), 1),
        (None, Some(c)) => (1, row(factors.extents[c], capacity.optimize)),
        (None, None) => return None,
    };
    let outer: Vec<usize> =
        space.iter().copied().filter(|l| Some(*l) != pixel && Some(*l) != channel).collect();
    let mut loops: Vec<(usize, usize)> = outer.iter().map(|&l| (l, 1)).collect();
    // Channels that are neighbours in memory are copied together, then gone through one by one.
    if depthwise && let Some((l, step)) = loops.last_mut() {
        let small = capacity.optimize == Optimize::Ram;
        let most =
            if small { SMALL_BUFFER / window_bytes(factors, &dot, pixel, &reduced) } else { usize::MAX };
        *step = factors.extents[*l].min(COPIED_TOGETHER).min(most).max(1);
    }
    let around = loops.len();
    if depthwise && let Some((l, _)) = loops.last().copied() {
        loops.push((l, 1));
    }
    loops.extend(pixel.map(|l| (l, pixels)));
    let inside_pixels = loops.len();
    loops.extend(channel.map(|l| (l, channels)));
    let ordered = reduced_order(factors, &reduced, pixel);
    let aligned = |position: usize, l: usize| {
        let n = factors.extents[l];
        // A column of a depthwise window is whole registers, which neighbours share.
        let column = depthwise && position + 1 == ordered.len() && ordered.len() > 1;
        if column && dot.unpack.is_some() { n.next_multiple_of(dot.terms) } else { n }
    };
    let padded: Vec<(usize, usize)> = ordered.iter().enumerate().map(|(p, &l)| (l, aligned(p, l))).collect();
    let whole: usize = padded.iter().map(|(_, n)| n).product();
    let last = factors.moving.at.len().checked_sub(1)?;
    let alike = program.dtype(factors.moving.tensor) == DType::I8;
    if dot.dtype == DType::I8 && !alike {
        return None;
    }
    // Bytes that must be taken apart for every pixel are better widened once.
    let direct = !windowed
        && (pixel.is_none() || dot.dtype == DType::I8)
        && reduced.len() == 1
        && factors.moves(reduced[0]).is_some_and(|m| m.0 == last)
        && whole.is_multiple_of(dot.bytes)
        && alike;
    let staged = match (direct, windowed) {
        (true, _) => None,
        // A buffer for a few pixels is small, but holds what two of them share twice.
        (false, true) if capacity.optimize == Optimize::Ram && !depthwise => Some(inside_pixels),
        (false, true) => Some(around),
        (false, false) => Some(inside_pixels),
    };
    // A channel's constants are taken apart once for many pixels: twice the bytes save little.
    let widened = depthwise && capacity.optimize != Optimize::Size;
    let packed = if widened { dot.dtype } else { DType::I8 };
    let group = dot.group(packed);
    // Neighbours share the words of a column, which go together.
    let small = capacity.optimize == Optimize::Size && !depthwise;
    let schedule = Schedule {
        space: loops,
        chunk: chunk(whole.next_multiple_of(group), group, small),
        reduced: padded,
        staged,
        packed,
    };
    Some((schedule, dot))
}

/// The bytes of what windows slide over in one row of a channel.
fn window_bytes(factors: &Factors, dot: &Dot, pixel: Option<usize>, reduced: &[usize]) -> usize {
    let reach = |d: usize| {
        let along = |l: &usize| match factors.moves(*l) {
            Some((own, factor)) if own == d => factor.unsigned_abs() as usize * (factors.extents[*l] - 1),
            _ => 0,
        };
        reduced.iter().chain(&pixel).map(along).sum::<usize>() + 1
    };
    let columns = pixel.and_then(|l| factors.moves(l)).map(|(d, _)| d);
    // A column is whole registers.
    let elements = |d: usize| match reach(d) {
        rows if rows > 1 && Some(d) != columns => rows.next_multiple_of(dot.terms),
        columns => columns,
    };
    (0..factors.moving.at.len()).map(elements).product::<usize>() * dot.dtype.bytes()
}

/// Reduced loops as the buffer has them: first the one whose window slides along the pixels of a tile, the others as in memory.
fn reduced_order(factors: &Factors, reduced: &[usize], pixel: Option<usize>) -> Vec<usize> {
    let dimension = |l: usize| factors.moves(l).map_or(0, |m| m.0);
    let along = pixel.map(dimension);
    let mut order = reduced.to_vec();
    order.sort_by_key(|&l| (Some(dimension(l)) != along, dimension(l)));
    order
}

/// A tile of pixels by channels: sums, a channel's constants in two registers each, a pixel's elements in two.
fn tile(
    dot: &Dot,
    (pixels, channels): (usize, usize),
    registers: usize,
    capacity: &Capacity,
) -> (usize, usize) {
    let unpacked = dot.unpack.is_some();
    let cost = |p: usize, c: usize| -> usize {
        let whole_and_rest = |n: usize, size: usize| [(n / size, size), (1, n % size)];
        let parts = whole_and_rest(pixels, p);
        let parts = parts.into_iter().flat_map(|a| whole_and_rest(channels, c).map(|b| (a, b)));
        parts
            .map(|((many, p), (times, c))| if p * c > 0 { many * times * cycles(unpacked, p, c) } else { 0 })
            .sum()
    };
    let fits = |p: usize, c: usize| match unpacked {
        true => p * c + 2 * c + 2 <= registers,
        // Vectors have registers of their own, and sums take every other general one.
        false => p * c <= VECTOR_SUMS && p.min(c) < VECTORS,
    };
    let all = (1..=pixels.min(8)).flat_map(|p| (1..=channels.min(4)).map(move |c| (p, c)));
    let mut all: Vec<(usize, usize)> = all.filter(|&(p, c)| fits(p, c)).collect();
    all.sort_by_key(|&(p, c)| (cost(p, c), p * c));
    let best = all.first().copied().unwrap_or((1, 1));
    if capacity.optimize == Optimize::Size {
        let allowed = cost(best.0, best.1) * REMAINDER_SHARE / (REMAINDER_SHARE - 1);
        let whole = all.iter().find(|(p, c)| pixels.is_multiple_of(*p) && channels.is_multiple_of(*c));
        return whole.copied().filter(|&(p, c)| cost(p, c) <= allowed).unwrap_or(best);
    }
    all.get(capacity.rank.min(RANKS - 1)).copied().unwrap_or(best)
}

/// The cycles of one step of a tile. The first load of a run takes one more; a pixel's two words are a run, and so are all channels'.
fn cycles(unpacked: bool, pixels: usize, channels: usize) -> usize {
    match unpacked {
        true => (channels + 1) + 2 * channels + pixels * 3 + 2 * pixels * channels,
        false => channels + pixels + pixels * channels,
    }
}

/// A tile of channels without pixels: four of them share what they read.
fn row(channels: usize, optimize: Optimize) -> usize {
    let whole = (2..=4).rev().find(|size| channels.is_multiple_of(*size));
    whole.filter(|_| optimize == Optimize::Size).unwrap_or(divided(channels, 4))
}

/// The size of the fewest parts that are at most `most`, as equal as they can be.
fn divided(extent: usize, most: usize) -> usize {
    extent.div_ceil(extent.div_ceil(most))
}

/// How much of a loop is written out: all of it, or the largest part that leaves nothing over.
fn chunk(length: usize, group: usize, small: bool) -> usize {
    let steps = length.div_ceil(group);
    let (fewest, most) = if small { (1, SMALL_CHUNK) } else { (CHUNK, WRITTEN_OUT) };
    if steps <= most {
        return length;
    }
    (fewest..=most).filter(|part| steps.is_multiple_of(*part)).max().unwrap_or(fewest) * group
}
