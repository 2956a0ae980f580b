//! The order and tiling of a nest's loops when nobody asks for another.
//!
//! Space loops run in the order of the output's dimensions, reduced loops so that the last one walks along neighbours. A register
//! tile over the two innermost space loops is chosen by counting: loads and arithmetic per point, of the whole extent with its
//! remainder, among the tiles that fit the registers.

use nablac_index::{Access, Index, LoopId, Program, Role, Statement, TensorId, row_major_strides};

use super::side_by_side::SideBySide;
use super::{Capacity, RANKS, group, lanes};
use crate::optimize::Optimize;

/// The loops of a reduction's nest, as positions in its statement.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Schedule {
    /// Space loops, outermost first, each with its tile: 1 for none.
    pub space: Vec<(usize, usize)>,
    /// Reduced loops, outermost first.
    pub reduced: Vec<usize>,
    /// Those of the reduced loops that are written out where their bounds are constant.
    pub unrolled: Vec<usize>,
    /// The space loop whose iterations are lanes, if one's are; its tile is whole registers.
    pub vector: Option<SideBySide>,
}

/// The most points of a tile times taps that are written out one by one: beyond it the code grows faster than it gains.
const UNROLLED_POINTS: usize = 64;

/// The same where code is to be small.
const SMALL_UNROLLED_POINTS: usize = 16;

/// Registers that a tile leaves free for addresses' and constants' sake.
const SPARE_REGISTERS: usize = 3;

/// Vector registers that a tile leaves free: for a value on its way, and for constants.
const SPARE_VECTORS: usize = 2;

/// General registers that hold something else than values: two addresses and a counter.
const BUSY_REGISTERS: usize = 3;

/// The loops of a map, or of a statement that combines in memory: in the order of the output's dimensions, the rest inside; but slices
/// that follow each other outermost.
pub(super) fn plain_order(statement: &Statement, depth: usize) -> Vec<usize> {
    let mut order = space_order(statement, depth);
    order.splice(0..0, group::streams(statement, depth));
    order.extend((0..statement.loops.len()).filter(|l| !order.contains(l)).collect::<Vec<_>>());
    order
}

/// The loops that `at` names, in the order of its dimensions; within one dimension the larger step first.
pub(super) fn space_order(statement: &Statement, depth: usize) -> Vec<usize> {
    let mut order = vec![];
    for index in &statement.at {
        let mut loops: Vec<(i64, usize)> = index
            .loops()
            .iter()
            .filter_map(|id| Some((-index.factor(*id).abs(), (id.0 as usize).checked_sub(depth)?)))
            .collect();
        loops.sort_unstable();
        order.extend(loops.into_iter().map(|(_, l)| l).filter(|l| !order.contains(l)).collect::<Vec<_>>());
    }
    order
}

/// The schedule of a reduction into registers. `tileable(l)` says whether loop `l` may be tiled, and how many of its iterations are
/// away from the edges.
pub(super) fn choose(
    program: &Program,
    statement: &Statement,
    depth: usize,
    capacity: &Capacity,
    tileable: &dyn Fn(usize) -> usize,
) -> Schedule {
    let space = space_order(statement, depth);
    let reduced = reduced_order(program, statement, depth);
    let row = capacity.row(statement, &space);
    let vector = vector(program, statement, depth, capacity, &space).filter(|side| Some(side.l) != row);
    let lanes = |l: usize| vector.as_ref().filter(|side| side.l == l).map_or(1, |side| side.lanes);
    let is_wide = |l: &usize| statement.loops[*l].extent > 1 && Some(*l) != row;
    let wide: Vec<usize> = space.iter().copied().filter(is_wide).collect();
    let candidates: Vec<usize> = wide.iter().rev().take(2).copied().collect();
    let accesses = statement.accesses();
    let uses = |access: &Access, l: usize| {
        let id = LoopId((depth + l) as u32);
        access.at.iter().any(|index| index.loops().contains(&id))
    };
    let small = capacity.optimize == Optimize::Size;
    let counts = TileCost {
        remainder_share: if small { SMALL_REMAINDER_SHARE } else { REMAINDER_SHARE },
        extents: candidates.iter().map(|&l| tileable(l) / lanes(l)).collect(),
        uses: accesses.iter().map(|a| candidates.iter().map(|&l| uses(a, l)).collect()).collect(),
        registers: match program.dtype(statement.out).is_float() {
            _ if vector.is_some() => capacity.vector_registers.saturating_sub(SPARE_VECTORS),
            true => capacity.float_registers.saturating_sub(SPARE_REGISTERS).max(4),
            false => capacity.general_registers.saturating_sub(BUSY_REGISTERS).max(4),
        },
    };
    let tiles = counts.tile(capacity.rank.min(RANKS - 1));
    let tile = |l: usize| candidates.iter().position(|&c| c == l).map_or(1, |p| tiles[p]) * lanes(l);
    let points: usize = tiles.iter().product();
    let most = if small { SMALL_UNROLLED_POINTS } else { UNROLLED_POINTS };
    let unrolled = reduced
        .iter()
        .rev()
        .filter(|&&l| statement.loops[l].extent > 1)
        .take(1)
        .copied()
        .filter(|&l| statement.loops[l].extent * points <= most)
        .collect();
    Schedule { space: space.into_iter().map(|l| (l, tile(l))).collect(), reduced, unrolled, vector }
}

/// The innermost loop, if a register's lanes can be its iterations: the most lanes that it fills.
fn vector(
    program: &Program,
    statement: &Statement,
    depth: usize,
    capacity: &Capacity,
    space: &[usize],
) -> Option<SideBySide> {
    let library = capacity.library.as_ref()?;
    let &l = space.last()?;
    let id = LoopId((depth + l) as u32);
    let neighbours = statement.at.last().is_some_and(|index| index.factor(id) == 1);
    let dtype = program.dtype(statement.out);
    let mut widths: Vec<usize> =
        library.vectors.iter().filter(|v| v.dtype == dtype).map(|v| v.lanes).collect();
    widths.sort_unstable();
    let fits = |lanes: &usize| {
        *lanes <= statement.loops[l].extent && lanes::combines(program, library, statement, id, *lanes)
    };
    let lanes = widths.into_iter().filter(|_| neighbours).rfind(fits)?;
    Some(SideBySide { l, lanes, put_down: TensorId(u32::MAX) })
}

/// Reduced loops by the stride with which they walk through what is computed at run time, largest first.
fn reduced_order(program: &Program, statement: &Statement, depth: usize) -> Vec<usize> {
    let stride = |l: usize| {
        let id = LoopId((depth + l) as u32);
        let through = |access: &&Access| {
            let strides = row_major_strides(program.shape(access.tensor));
            access.at.iter().zip(strides).map(|(index, s)| index_stride(index, id) * s).sum::<i64>()
        };
        let accesses = statement.accesses();
        let constant = |a: &&Access| matches!(program.tensor(a.tensor).role, Role::Constant(_));
        let computed = accesses.iter().filter(|a| !constant(a)).map(through).max();
        computed.or_else(|| accesses.iter().map(through).max()).unwrap_or(0)
    };
    let mut reduced = statement.reduced_loops(depth);
    reduced.sort_by_key(|&l| -stride(l));
    reduced
}

fn index_stride(index: &Index, id: LoopId) -> i64 {
    let direct = index.factor(id).abs();
    if direct == 0 && index.loops().contains(&id) { 1 } else { direct }
}

/// Counts instructions of a tile: what a candidate pair of tile sizes costs over the whole extents.
struct TileCost {
    /// The extents of the candidate loops, innermost first.
    extents: Vec<usize>,
    /// Per access, which candidates it moves with.
    uses: Vec<Vec<bool>>,
    registers: usize,
    /// A remainder must save more than one part in this many.
    remainder_share: usize,
}

/// Instructions of a loop around a tile: increment, comparison, branch.
const LOOP_INSTRUCTIONS: usize = 3;

/// A remainder is a second copy of the code: it must save more than one part in this many.
const REMAINDER_SHARE: usize = 12;

/// The same where code is to be small.
const SMALL_REMAINDER_SHARE: usize = 3;

impl TileCost {
    /// The tile sizes of a rank by what they cost; the smaller tile first where two cost the same.
    fn tile(&self, rank: usize) -> Vec<usize> {
        let sizes = |p: usize| 1..=self.extents.get(p).copied().unwrap_or(1).clamp(1, 16);
        let pairs = sizes(0).flat_map(|a| sizes(1).map(move |b| [a, b]));
        let mut all: Vec<[usize; 2]> = pairs.filter(|tile| self.fits(tile)).collect();
        all.sort_by_key(|tile| (self.total(tile), tile.iter().product::<usize>()));
        let tile = all.get(rank).or(all.last()).copied().unwrap_or([1, 1]);
        tile[..self.extents.len()].to_vec()
    }

    fn loads(&self, tile: &[usize; 2]) -> usize {
        let of = |uses: &Vec<bool>| {
            uses.iter().zip(tile).filter(|(uses, _)| **uses).map(|(_, n)| n).product::<usize>()
        };
        self.uses.iter().map(of).sum()
    }

    fn fits(&self, tile: &[usize; 2]) -> bool {
        let largest =
            |uses: &Vec<bool>| uses.iter().zip(tile).filter(|(uses, _)| **uses).map(|(_, n)| n).product();
        let points: usize = tile.iter().product();
        // One stream of operands is held while the other passes through one register.
        let held: usize = self.uses.iter().map(largest).min().unwrap_or(0);
        points + held < self.registers
    }

    /// Instructions for one term of every point: the extents in whole tiles and one remainder each.
    fn total(&self, tile: &[usize; 2]) -> usize {
        let parts = |p: usize| {
            let extent = self.extents.get(p).copied().unwrap_or(1);
            [(extent / tile[p], tile[p]), (usize::from(extent % tile[p] > 0), extent % tile[p])]
        };
        let cost = |a: usize, b: usize| {
            let tile = [a, b];
            2 * a * b + self.loads(&tile) + LOOP_INSTRUCTIONS + self.uses.len()
        };
        let pairs = parts(0).into_iter().flat_map(|a| parts(1).map(|b| (a, b)));
        let counted: usize =
            pairs.map(|((na, a), (nb, b))| if na * nb == 0 { 0 } else { na * nb * cost(a, b) }).sum();
        let remainders = (0..2).filter(|&p| self.extents.get(p).is_some_and(|n| n % tile[p] > 0)).count();
        counted + counted * remainders / self.remainder_share
    }
}
