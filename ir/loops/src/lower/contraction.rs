//! Sums of products of what is computed with constants: convolutions, dense layers and matrix products on integers.
//!
//! Owns which reductions are of this kind, `sum[space] += (x[…] - zero) * w[…]` with constant 8-bit `w`, and what is done to them ahead
//! of time: the zero point goes into the initial values, `sum (x - z) * w = sum x * w - z * sum w`; constants are packed in the order
//! in which the nest reads them; and `x` may get a buffer, with its own element type and layout, for a part of it. The nest
//! itself is `tiled`'s.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{
    Access, Array, Binary, DType, Expr, Index, LoopId, Program, Reduce, Role, Statement, Step, TensorId,
    Value, for_each_statement_mut, for_each_write, row_major_strides,
};

use super::dot::Dot;
use super::pinned::Pins;
use super::{Capacity, rules};
use crate::error::Error;

/// A reduction that runs as a product of a moving operand with packed constants.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Contraction {
    pub schedule: Schedule,
    pub dot: Dot,
    /// What is computed at run time, as the nest's innermost loop reads it: its buffer, or itself.
    pub moving: Operand,
    /// The packed constants.
    pub constant: Operand,
    /// How the main statement reads the moving operand.
    pub access: Access,
    /// The buffer's contents, if there is one.
    pub staged: Option<Staged>,
    /// The length of the fused reduced loop: the extents' product with padding, up to whole instructions.
    pub length: usize,
}

/// An operand whose elements, in the order of the fused reduced loop, are neighbours.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Operand {
    pub tensor: TensorId,
    /// How far apart neighbours along each of the statement's space loops are; 0 for reduced loops.
    pub strides: Vec<i64>,
    /// Whether a word of bytes is loaded and taken apart; otherwise elements are loaded as the product takes them.
    pub unpacked: bool,
}

/// A buffer for a part of the moving operand.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Staged {
    pub access: Access,
    /// Its elements' type.
    pub dtype: DType,
    /// What stands beyond the operand's edges.
    pub zero: Value,
    /// The buffer's stride along each dimension of the operand.
    pub strides: Vec<i64>,
}

/// The loops of a nest, outermost first.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Schedule {
    /// Space loops with their steps, as positions in the statement. What remains of a step is the register tile.
    pub space: Vec<(usize, usize)>,
    /// Reduced loops that run as one, each with the extent to which it is padded.
    pub reduced: Vec<(usize, usize)>,
    /// How much of the fused reduced loop is written out.
    pub chunk: usize,
    /// How many of the space loops are around the filling of the buffer, if there is one.
    pub staged: Option<usize>,
    /// The element type of packed constants.
    pub packed: DType,
}

/// The factors of a reduction of this kind.
#[derive(Clone, Debug)]
pub(super) struct Factors {
    pub moving: Access,
    pub constant: Access,
    /// What is subtracted from the moving operand.
    pub zero: i64,
    pub extents: Vec<usize>,
    pub depth: usize,
}

impl Factors {
    /// Which of the statement's own loops moves a dimension of the moving operand, with its factor.
    pub fn moves(&self, l: usize) -> Option<(usize, i64)> {
        let id = LoopId((self.depth + l) as u32);
        self.moving
            .at
            .iter()
            .position(|index| index.factor(id) != 0)
            .map(|d| (d, self.moving.at[d].factor(id)))
    }

    /// Whether a loop moves the constant operand.
    pub fn weighs(&self, l: usize) -> bool {
        let id = LoopId((self.depth + l) as u32);
        self.constant.at.iter().any(|index| index.loops().contains(&id))
    }
}

/// Finds the reductions of this kind that the machine has instructions for, out of the statements that reduce into registers, and
/// prepares the program for their nests.
pub(super) fn prepare(
    mut program: Program,
    capacity: &Capacity,
    pins: &Pins,
    in_registers: &BTreeSet<usize>,
) -> Result<(Program, BTreeMap<usize, Contraction>), Error> {
    let mut found = BTreeMap::new();
    let Some(library) = &capacity.library else {
        pins.all_met(&|_| false, None)?;
        return Ok((program, found));
    };
    let (mut candidates, mut next) = (vec![], 0);
    program.visit_statements(&mut |counters, statement| {
        let depth = counters.len();
        let position = next;
        next += 1;
        if in_registers.contains(&position)
            && let Some(factors) = factors(&program, statement, depth)
        {
            candidates.push((position, statement.clone(), factors));
        }
    });
    for (position, statement, factors) in candidates {
        let chosen = match pins.get(position) {
            Some(pinned) if pinned.instruction().is_none() => None,
            Some(pinned) => Some(pinned.packed(&program, &statement, &factors, library)?),
            None => rules::choose(&program, &statement, &factors, library, capacity),
        };
        let Some((schedule, dot)) = chosen else { continue };
        if factors.zero != 0 && !fold_zero(&mut program, &statement, &factors) {
            continue;
        }
        let contraction = pack(&mut program, &statement, &factors, schedule, dot);
        found.insert(position, contraction);
    }
    pins.all_met(&|position| found.contains_key(&position), Some(library))?;
    Ok((program, found))
}

/// The factors of `sum += (i32(x[…]) - zero) * i32(w[…])`.
pub(super) fn factors(program: &Program, statement: &Statement, depth: usize) -> Option<Factors> {
    let Expr::Binary(Binary::Mul, a, b) = &statement.body else { return None };
    if statement.reduce != Reduce::Sum || program.dtype(statement.out) != DType::I32 {
        return None;
    }
    let is_constant = |access: &Access| matches!(program.tensor(access.tensor).role, Role::Constant(_));
    let (a, b) = (widened(a)?, widened(b)?);
    let ((moving, zero), (constant, none)) = if is_constant(&a.0) { (b, a) } else { (a, b) };
    let narrow = matches!(program.dtype(moving.tensor), DType::I8 | DType::U8);
    let fits = is_constant(&constant)
        && !is_constant(&moving)
        && none == 0
        && narrow
        && program.dtype(constant.tensor) == DType::I8
        && constant.outside.is_none()
        && moving.outside.is_none_or(|outside| outside.as_i64() == zero);
    let own = |index: &Index| index.loops().iter().all(|id| id.0 as usize >= depth);
    let affine = |access: &Access| access.at.iter().all(|index| index.is_affine() && own(index));
    if !fits || !affine(&moving) || !affine(&constant) {
        return None;
    }
    let extents: Vec<usize> = statement.loops.iter().map(|l| l.extent).collect();
    let factors = Factors { moving, constant, zero, extents, depth };
    let reduced = statement.reduced_loops(depth);
    let id = |l: usize| LoopId((depth + l) as u32);
    let in_dimensions = |l: usize| factors.moving.at.iter().filter(|index| index.factor(id(l)) != 0).count();
    // Each loop moves one dimension at most, forwards; a reduced loop step by step.
    let forwards = (0..factors.extents.len())
        .all(|l| in_dimensions(l) <= 1 && factors.moves(l).is_none_or(|(_, factor)| factor > 0));
    let plain = reduced.iter().all(|&l| {
        factors.weighs(l)
            && factors.moves(l).is_some_and(|(d, factor)| {
                factor == 1
                    && reduced
                        .iter()
                        .all(|&other| other == l || factors.moves(other).is_none_or(|o| o.0 != d))
            })
    });
    (forwards && plain && !reduced.is_empty() && factors.extents.iter().all(|&n| n > 0)).then_some(factors)
}

/// `i32(x[…])` or `i32(x[…]) - zero`: the access and the zero.
fn widened(expression: &Expr) -> Option<(Access, i64)> {
    match expression {
        Expr::Cast(DType::I32, inner) => match inner.as_ref() {
            Expr::Read(access) => Some((access.clone(), 0)),
            _ => None,
        },
        Expr::Binary(operation @ (Binary::Sub | Binary::Add), inner, by) => {
            match (widened(inner)?, by.as_ref()) {
                ((access, 0), Expr::Literal(DType::I32, Value::Int(by))) => {
                    Some((access, if *operation == Binary::Sub { *by } else { -by }))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// `sum[s] = b[s]; sum[s] += (x - z) * w` becomes `sum[s] = b'[s]; sum[s] += x * w`, where the initial values are constants of the
/// space loops that move `w`, or there are none. Says whether they are.
fn fold_zero(program: &mut Program, statement: &Statement, factors: &Factors) -> bool {
    let mut writes = 0;
    for_each_write(&program.steps, &mut |id| writes += usize::from(id == statement.out));
    let initial = program.steps.iter().position(
        |step| matches!(step, Step::Statement(s) if s.out == statement.out && s.reduce == Reduce::Set),
    );
    // The loops of the main statement that move the initial values, in the order of the array.
    let (array, loops, place) = match (initial, writes) {
        (Some(position), 2) => {
            let Step::Statement(first) = &program.steps[position] else { return false };
            let Expr::Read(Access { tensor, at, outside: None }) = &first.body else { return false };
            let Role::Constant(array) = &program.tensor(*tensor).role else { return false };
            // Which of the main statement's loops are the initial statement's: both name the sum's elements.
            let own = |index: &Index| {
                let own = index.as_loop()?;
                let d = first.at.iter().position(|i| i.as_loop() == Some(own))?;
                statement.at[d].as_loop()
            };
            let Some(loops) = at.iter().map(own).collect::<Option<Vec<LoopId>>>() else { return false };
            (array.clone(), loops, Some((position, at.clone())))
        }
        _ => return false,
    };
    let reduced = statement.reduced_loops(factors.depth);
    let weighing: Vec<usize> =
        (0..factors.extents.len()).filter(|l| factors.weighs(*l) && !reduced.contains(l)).collect();
    let position_of = |l: usize| loops.iter().position(|id| id.0 as usize == factors.depth + l);
    if !weighing.iter().all(|&l| position_of(l).is_some()) {
        return false;
    }
    let Role::Constant(weights) = &program.tensor(factors.constant.tensor).role else { return false };
    let sum = |point: &[usize]| {
        let mut values = vec![0; factors.depth + factors.extents.len()];
        loops.iter().zip(point).for_each(|(id, &value)| values[id.0 as usize] = value as i64);
        let mut total = 0i64;
        for_each_point(&reduced, &factors.extents, factors.depth, &mut values, &mut |values| {
            total += weight(weights, &factors.constant, values);
        });
        total
    };
    let shape = array.shape().to_vec();
    let strides = row_major_strides(&shape);
    let folded = (0..array.len()).map(|flat| {
        let point: Vec<usize> = strides.iter().zip(&shape).map(|(&s, &n)| flat / s as usize % n).collect();
        Value::from_i64(
            DType::I32,
            array.get(flat).as_i64().wrapping_sub(factors.zero.wrapping_mul(sum(&point))),
        )
    });
    let folded = Array::from_values(DType::I32, &shape, folded.collect::<Vec<_>>());
    let name = format!("{}.initial", program.tensor(statement.out).name.trim_end_matches(".sum"));
    let folded = program.add_tensor(&name, DType::I32, &shape, Role::Constant(folded));
    if let Some((position, at)) = place
        && let Step::Statement(first) = &mut program.steps[position]
    {
        first.body = Expr::read(folded, at);
    }
    let body = Expr::Read(factors.moving.clone()).cast(DType::I32)
        * Expr::Read(factors.constant.clone()).cast(DType::I32);
    for_each_statement_mut(&mut program.steps, &mut |s| {
        if s.out == statement.out && s.reduce == Reduce::Sum {
            s.body = body.clone();
        }
    });
    true
}

/// Calls `f` with the values of all loops for every point of the loops `own`.
fn for_each_point(
    own: &[usize],
    extents: &[usize],
    depth: usize,
    values: &mut Vec<i64>,
    f: &mut dyn FnMut(&[i64]),
) {
    let Some((&l, rest)) = own.split_first() else { return f(values) };
    for value in 0..extents[l] {
        values[depth + l] = value as i64;
        for_each_point(rest, extents, depth, values, f);
    }
}

fn weight(weights: &Array, access: &Access, values: &[i64]) -> i64 {
    let strides = row_major_strides(weights.shape());
    let position = access.at.iter().zip(strides).map(|(index, stride)| {
        let terms = index.loops().into_iter().map(|id| index.factor(id) * values[id.0 as usize]);
        (index.offset() + terms.sum::<i64>()) * stride
    });
    weights.get(position.sum::<i64>() as usize).as_i64()
}

/// Packs the constants, and makes a buffer for the moving operand where the schedule asks for one.
fn pack(
    program: &mut Program,
    statement: &Statement,
    factors: &Factors,
    schedule: Schedule,
    dot: Dot,
) -> Contraction {
    let whole: usize = schedule.reduced.iter().map(|(_, padded)| padded).product();
    let length = whole.next_multiple_of(dot.group(schedule.packed));
    let staged =
        schedule.staged.map(|around| stage(program, factors, &schedule, around, dot.dtype, length - whole));
    let (moving, staged) = match staged {
        Some((operand, staged)) => (operand, Some(staged)),
        None => (unstaged(program, factors, dot.unpack.is_some()), None),
    };
    // Bytes that are taken apart come as even and odd ones: where only the constants are, they are shuffled ahead of time.
    let unpacked = schedule.packed != dot.dtype;
    let shuffled = unpacked && !moving.unpacked;
    let constant =
        pack_constants(program, statement, factors, &schedule, length, shuffled.then_some(dot.bytes));
    let constant = Operand { unpacked, ..constant };
    Contraction { schedule, dot, moving, constant, access: factors.moving.clone(), staged, length }
}

fn pack_constants(
    program: &mut Program,
    statement: &Statement,
    factors: &Factors,
    schedule: &Schedule,
    length: usize,
    shuffled: Option<usize>,
) -> Operand {
    let Role::Constant(weights) = program.tensor(factors.constant.tensor).role.clone() else {
        return Operand { tensor: factors.constant.tensor, strides: vec![], unpacked: false };
    };
    let space: Vec<usize> =
        schedule.space.iter().map(|(l, _)| *l).filter(|l| factors.weighs(*l)).fold(vec![], |mut all, l| {
            if !all.contains(&l) {
                all.push(l);
            }
            all
        });
    let rows: usize = space.iter().map(|&l| factors.extents[l]).product();
    let mut values = vec![0i64; factors.depth + factors.extents.len()];
    let mut packed = Vec::with_capacity(rows * length);
    for row in 0..rows {
        let mut rest = row;
        for &l in space.iter().rev() {
            values[factors.depth + l] = (rest % factors.extents[l]) as i64;
            rest /= factors.extents[l];
        }
        for place in 0..length {
            let mut rest = shuffled.map_or(place, |bytes| source_of(place, bytes));
            let mut inside = true;
            for &(l, padded) in schedule.reduced.iter().rev() {
                let value = rest % padded;
                inside &= value < factors.extents[l];
                values[factors.depth + l] = value as i64;
                rest /= padded;
            }
            let value = if inside && rest == 0 { weight(&weights, &factors.constant, &values) } else { 0 };
            packed.push(Value::from_i64(schedule.packed, value));
        }
    }
    let array = Array::from_values(schedule.packed, &[rows, length], packed);
    let name = format!("{}.packed", program.tensor(statement.out).name.trim_end_matches(".sum"));
    let tensor = program.add_tensor(&name, schedule.packed, &[rows, length], Role::Constant(array));
    let mut strides = vec![0; factors.extents.len()];
    space.iter().rev().fold(length as i64, |stride, &l| {
        strides[l] = stride;
        stride * factors.extents[l] as i64
    });
    Operand { tensor, strides, unpacked: false }
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
    Operand { tensor: factors.moving.tensor, strides, unpacked }
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
    let zero = Value::from_i64(dtype, factors.moving.outside.map_or(0, |_| factors.zero));
    let operand = Operand { tensor, strides: along, unpacked: false };
    (operand, Staged { access: factors.moving.clone(), dtype, zero, strides })
}

/// How much of loop `l` is left inside of these loops.
pub(super) fn remaining(around: &[(usize, usize)], l: usize, extent: usize) -> usize {
    around.iter().filter(|(own, _)| *own == l).map(|(_, step)| *step).min().unwrap_or(extent).min(extent)
}
