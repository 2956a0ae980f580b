//! The operands of a product as its nest reads them.
//!
//! Owns how constants are packed, row by row in the order of the fused reduced loop, and the layout of the buffer for what is computed at
//! run time.

use nablac_index::{Array, DType, Program, Role, Statement, Value, row_major_strides};

use super::contraction::{Contraction, Elements, Factors, Operand, Schedule, Staged};
use super::dot::Dot;
use super::side_by_side::SideBySide;

/// Packs the constants, and makes a buffer for the moving operand where the schedule asks for one.
pub(super) fn pack(
    program: &mut Program,
    statement: &Statement,
    factors: &Factors,
    schedule: Schedule,
    dot: Dot,
) -> Contraction {
    let whole: usize = schedule.reduced.iter().map(|(_, padded)| padded).product();
    let length = whole.next_multiple_of(dot.group(schedule.packed));
    let staged =
        schedule.staged.map(|around| stage(program, factors, &schedule, around, dot.takes, length - whole));
    let (moving, staged) = match staged {
        Some((operand, staged)) => (operand, Some(staged)),
        None => (unstaged(program, factors, dot.unpack.is_some()), None),
    };
    // Bytes that are taken apart come as even and odd ones: where only the constants are, they are shuffled ahead of time.
    let unpacked = dot.unpack.is_some() && schedule.packed != dot.dtype;
    let shuffled = unpacked && !moving.unpacked;
    let row = Row { length, shuffled: shuffled.then_some(dot.bytes), terms: dot.terms, sums: dot.sums };
    let constant = pack_constants(program, statement, factors, &schedule, &row);
    let constant = Operand { unpacked, ..constant };
    let side_by_side = channel(&schedule, factors).filter(|_| dot.sums > 1).map(|l| {
        let points: usize = tile_of(&schedule, factors)
            .map(|(own, n)| if own == l { n.div_ceil(dot.sums) } else { n })
            .product();
        let name = format!("{}.lanes", program.tensor(statement.out).name);
        let put_down = program.add_tensor(&name, dot.sum(), &[points * dot.sums], Role::Local);
        SideBySide { l, lanes: dot.sums, put_down }
    });
    let access = factors.moving.clone();
    Contraction { schedule, dot, moving, constant, access, staged, length, side_by_side }
}

/// The innermost space loop that moves the constants alone.
pub(super) fn channel(schedule: &Schedule, factors: &Factors) -> Option<usize> {
    let alone = |l: &usize| factors.weighs(*l) && factors.moves(*l).is_none();
    schedule.space.iter().map(|(l, _)| *l).rfind(alone)
}

/// What remains of the space loops for the tile.
fn tile_of<'s>(schedule: &'s Schedule, factors: &'s Factors) -> impl Iterator<Item = (usize, usize)> + 's {
    let reduced = |l: &usize| schedule.reduced.iter().any(|(own, _)| own == l);
    let space = (0..factors.extents.len()).filter(move |l| !reduced(l));
    space.map(|l| (l, remaining(&schedule.space, l, factors.extents[l])))
}

/// How a row of packed constants lies in memory.
struct Row {
    /// Its terms.
    length: usize,
    /// Whether bytes are shuffled within groups of this many.
    shuffled: Option<usize>,
    /// The terms that lie together.
    terms: usize,
    /// How many rows lie together, term by term.
    sums: usize,
}

fn pack_constants(
    program: &mut Program,
    statement: &Statement,
    factors: &Factors,
    schedule: &Schedule,
    row: &Row,
) -> Operand {
    let Role::Constant(weights) = program.tensor(factors.constant.tensor).role.clone() else {
        return Operand { tensor: factors.constant.tensor, strides: vec![], apart: 1, unpacked: false };
    };
    let weights = Elements::new(&weights, &factors.constant);
    let mut space: Vec<usize> =
        schedule.space.iter().map(|(l, _)| *l).filter(|l| factors.weighs(*l)).fold(vec![], |mut all, l| {
            if !all.contains(&l) {
                all.push(l);
            }
            all
        });
    let together = channel(schedule, factors).filter(|_| row.sums > 1);
    space.sort_by_key(|l| Some(*l) == together);
    // Rows that lie together are as many as a register has sums, whether there are so many or not.
    let extent = |l: usize| match Some(l) == together {
        true => factors.extents[l].next_multiple_of(row.sums),
        false => factors.extents[l],
    };
    let rows: usize = space.iter().map(|&l| extent(l)).product();
    let length = row.length;
    let mut values = vec![0i64; factors.depth + factors.extents.len()];
    let mut packed = vec![Value::from_i64(schedule.packed, 0); rows * length];
    for number in 0..rows {
        let mut rest = number;
        let mut inside = true;
        for &l in space.iter().rev() {
            let value = rest % extent(l);
            inside &= value < factors.extents[l];
            values[factors.depth + l] = value as i64;
            rest /= extent(l);
        }
        for place in (0..length).filter(|_| inside) {
            let mut rest = row.shuffled.map_or(place, |bytes| source_of(place, bytes));
            let mut within = true;
            for &(l, padded) in schedule.reduced.iter().rev() {
                let value = rest % padded;
                within &= value < factors.extents[l];
                values[factors.depth + l] = value as i64;
                rest /= padded;
            }
            if within && rest == 0 {
                let (block, lane) = (number / row.sums, number % row.sums);
                let (group, term) = (place / row.terms, place % row.terms);
                let at = ((block * length.div_ceil(row.terms) + group) * row.sums + lane) * row.terms + term;
                let at = if row.sums > 1 { at } else { number * length + place };
                let value = weights.at(&values);
                packed[at] = match schedule.packed.is_float() {
                    true => value,
                    false => Value::from_i64(schedule.packed, value.as_i64()),
                };
            }
        }
    }
    let shape = if row.sums > 1 { vec![rows * length] } else { vec![rows, length] };
    let array = Array::from_values(schedule.packed, &shape, packed);
    let name = format!("{}.packed", program.tensor(statement.out).name.trim_end_matches(".sum"));
    let tensor = program.add_tensor(&name, schedule.packed, &shape, Role::Constant(array));
    let mut strides = vec![0; factors.extents.len()];
    space.iter().rev().fold(length as i64, |stride, &l| {
        strides[l] = stride;
        stride * extent(l) as i64
    });
    Operand { tensor, strides, apart: row.sums as i64, unpacked: false }
}

/// Which element of a group lies at `place`, so that its even bytes are the group's first half, and its odd ones the second.
fn source_of(place: usize, bytes: usize) -> usize {
    let (group, within) = (place / bytes, place % bytes);
    group * bytes + within % 2 * (bytes / 2) + within / 2
}

/// The moving operand as it is: its last dimension is the reduced one.
fn unstaged(program: &Program, factors: &Factors, unpacked: bool) -> Operand {
    let shape = program.shape(factors.moving.tensor);
    let strides = row_major_strides(shape);
    let stride = |l: usize| factors.moves(l).map_or(0, |(d, factor)| strides[d] * factor);
    let strides = (0..factors.extents.len()).map(stride).collect();
    Operand { tensor: factors.moving.tensor, strides, apart: 1, unpacked }
}

/// A buffer for what the loops inside of the first `around` space loops read; `slack` elements behind it are never written.
fn stage(
    program: &mut Program,
    factors: &Factors,
    schedule: &Schedule,
    around: usize,
    dtype: DType,
    slack: usize,
) -> (Operand, Staged) {
    let inner = |l: usize| remaining(&schedule.space[..around], l, factors.extents[l]);
    let reduced =
        |d: usize| schedule.reduced.iter().position(|(l, _)| factors.moves(*l).is_some_and(|m| m.0 == d));
    let mut order: Vec<usize> = (0..factors.moving.at.len()).collect();
    order.sort_by_key(|&d| reduced(d).map_or(0, |position| position + 1));
    let extent = |d: usize| {
        let of_space = (0..factors.extents.len())
            .filter(|l| !schedule.reduced.iter().any(|(r, _)| r == l))
            .filter_map(|l| factors.moves(l).filter(|m| m.0 == d).map(|m| m.1 as usize * (inner(l) - 1)));
        of_space.sum::<usize>() + reduced(d).map_or(1, |position| schedule.reduced[position].1)
    };
    let mut strides = vec![0i64; order.len()];
    let total = order.iter().rev().fold(1usize, |stride, &d| {
        strides[d] = stride as i64;
        stride * extent(d)
    });
    let name = format!("{}.rows", program.tensor(factors.moving.tensor).name);
    let tensor = program.add_tensor(&name, dtype, &[total + slack], Role::Local);
    let along = |l: usize| match schedule.reduced.iter().any(|(r, _)| *r == l) {
        true => 0,
        false => factors.moves(l).map_or(0, |(d, factor)| strides[d] * factor),
    };
    let along = (0..factors.extents.len()).map(along).collect();
    let zero = Value::from_i64(dtype, factors.moving.outside.map_or(0, |_| factors.zero)); // a real's is 0 too
    let operand = Operand { tensor, strides: along, apart: 1, unpacked: false };
    (operand, Staged { access: factors.moving.clone(), dtype, offset: factors.offset, zero, strides })
}

/// How much of loop `l` is left inside of these loops.
pub(super) fn remaining(around: &[(usize, usize)], l: usize, extent: usize) -> usize {
    around.iter().filter(|(own, _)| *own == l).map(|(_, step)| *step).min().unwrap_or(extent).min(extent)
}
