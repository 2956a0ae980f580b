//! Sums of products of what is computed with constants: convolutions, dense layers and matrix products.
//!
//! Owns which reductions are of this kind, `sum[space] += (x[…] - zero) * w[…]` with constant `w` of 8 bits, or `x[…] * w[…]` on reals, and
//! what is done to them ahead of time: the zero point goes into the initial values, `sum (x - z) * w = sum x * w - z * sum w`; constants
//! are packed in the order in which the nest reads them; and `x` may get a buffer, with its own element type and layout, for a
//! part of it. The nest itself is `tiled`'s.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{
    Access, Array, Binary, DType, Expr, Index, LoopId, Program, Reduce, Role, Statement, Step, TensorId,
    Value, for_each_statement_mut, for_each_write, row_major_strides,
};

use super::dot::Dot;
use super::pinned::Pins;
use super::side_by_side::SideBySide;
use super::{Capacity, operands, rules};
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
    /// The loop whose iterations are side by side in one register, if sums are.
    pub side_by_side: Option<SideBySide>,
}

/// An operand whose elements, in the order of the fused reduced loop, are neighbours.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Operand {
    pub tensor: TensorId,
    /// How far apart neighbours along each of the statement's space loops are; 0 for reduced loops.
    pub strides: Vec<i64>,
    /// How far apart neighbouring terms are: the constants of sums that are side by side lie together.
    pub apart: i64,
    /// Whether a word of bytes is loaded and taken apart; otherwise elements are loaded as the product takes them.
    pub unpacked: bool,
}

/// A buffer for a part of the moving operand.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Staged {
    pub access: Access,
    /// Its elements' type.
    pub dtype: DType,
    /// What is added to the operand's.
    pub offset: i64,
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
    /// What its buffer holds more than it: a part of `zero` then.
    pub offset: i64,
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
    for (position, statement, mut factors) in candidates {
        let chosen = match pins.get(position) {
            Some(pinned) if pinned.instruction().is_none() => None,
            Some(pinned) => Some(pinned.packed(&program, &statement, &factors, library)?),
            None => {
                let capacity = pins.capacity(position, capacity);
                rules::choose(&program, &statement, &factors, library, &capacity)
            }
        };
        let Some((schedule, dot)) = chosen else { continue };
        factors.offset = dot.offset(program.dtype(factors.moving.tensor));
        factors.zero += factors.offset;
        if factors.zero != 0 && !fold_zero(&mut program, &statement, &factors) {
            continue;
        }
        let contraction = operands::pack(&mut program, &statement, &factors, schedule, dot);
        found.insert(position, contraction);
    }
    pins.all_met(&|position| found.contains_key(&position), Some(library))?;
    Ok((program, found))
}

/// The factors of `sum += (i32(x[…]) - zero) * i32(w[…])`, or of `sum += x[…] * w[…]` on reals.
pub(super) fn factors(program: &Program, statement: &Statement, depth: usize) -> Option<Factors> {
    let Expr::Binary(Binary::Mul, a, b) = &statement.body else { return None };
    let sum = program.dtype(statement.out);
    if statement.reduce != Reduce::Sum || ![DType::I32, DType::F32].contains(&sum) {
        return None;
    }
    let factor = |expression: &Expr| match (sum, expression) {
        (DType::F32, Expr::Read(access)) => Some((access.clone(), 0)),
        (DType::F32, _) => None,
        _ => widened(expression),
    };
    let is_constant = |access: &Access| matches!(program.tensor(access.tensor).role, Role::Constant(_));
    let (a, b) = (factor(a)?, factor(b)?);
    let ((moving, zero), (constant, none)) = if is_constant(&a.0) { (b, a) } else { (a, b) };
    let types = (program.dtype(moving.tensor), program.dtype(constant.tensor));
    let multiplied = match sum {
        DType::F32 => types == (DType::F32, DType::F32),
        _ => matches!(types, (DType::I8 | DType::U8, DType::I8)),
    };
    let beyond = |outside: Value| match sum {
        DType::F32 => outside.as_f64() == 0.0,
        _ => outside.as_i64() == zero,
    };
    let fits = is_constant(&constant)
        && !is_constant(&moving)
        && none == 0
        && multiplied
        && constant.outside.is_none()
        && moving.outside.is_none_or(beyond);
    let own = |index: &Index| index.loops().iter().all(|id| id.0 as usize >= depth);
    let affine = |access: &Access| access.at.iter().all(|index| index.is_affine() && own(index));
    if !fits || !affine(&moving) || !affine(&constant) {
        return None;
    }
    let extents: Vec<usize> = statement.loops.iter().map(|l| l.extent).collect();
    let factors = Factors { moving, constant, zero, offset: 0, extents, depth };
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

/// The initial values of a sum, where they are constants of the space loops that move its constants.
struct Initial {
    array: Array,
    /// The loops of the main statement that move them, in the order of the array.
    loops: Vec<LoopId>,
    /// The step that has them, and where it reads them.
    place: (usize, Vec<Index>),
}

/// Whether a zero point can be folded into a sum's initial values.
pub(super) fn zero_folds(program: &Program, statement: &Statement, factors: &Factors) -> bool {
    initial(program, statement, factors).is_some()
}

fn initial(program: &Program, statement: &Statement, factors: &Factors) -> Option<Initial> {
    let mut writes = 0;
    for_each_write(&program.steps, &mut |id| writes += usize::from(id == statement.out));
    let position = program.steps.iter().position(
        |step| matches!(step, Step::Statement(s) if s.out == statement.out && s.reduce == Reduce::Set),
    )?;
    let Step::Statement(first) = &program.steps[position] else { return None };
    let Expr::Read(Access { tensor, at, outside: None }) = &first.body else { return None };
    let Role::Constant(array) = &program.tensor(*tensor).role else { return None };
    // Which of the main statement's loops are the initial statement's: both name the sum's elements.
    let own = |index: &Index| {
        let own = index.as_loop()?;
        let d = first.at.iter().position(|i| i.as_loop() == Some(own))?;
        statement.at[d].as_loop()
    };
    let loops = at.iter().map(own).collect::<Option<Vec<LoopId>>>()?;
    let reduced = statement.reduced_loops(factors.depth);
    let mut weighing = (0..factors.extents.len()).filter(|l| factors.weighs(*l) && !reduced.contains(l));
    let all = weighing.all(|l| loops.iter().any(|id| id.0 as usize == factors.depth + l));
    let place = (position, at.clone());
    (writes == 2 && all).then(|| Initial { array: array.clone(), loops, place })
}

/// `sum[s] = b[s]; sum[s] += (x - z) * w` becomes `sum[s] = b'[s]; sum[s] += x * w`, where the initial values are constants of the
/// space loops that move `w`. Says whether they are. With an offset it is `(x + offset) * w`, as the nest has it.
fn fold_zero(program: &mut Program, statement: &Statement, factors: &Factors) -> bool {
    let Some(Initial { array, loops, place: (position, at) }) = initial(program, statement, factors) else {
        return false;
    };
    let reduced = statement.reduced_loops(factors.depth);
    let Role::Constant(weights) = &program.tensor(factors.constant.tensor).role else { return false };
    let weights = Elements::new(weights, &factors.constant);
    let sum = |point: &[usize]| {
        let mut values = vec![0; factors.depth + factors.extents.len()];
        loops.iter().zip(point).for_each(|(id, &value)| values[id.0 as usize] = value as i64);
        let mut total = 0i64;
        for_each_point(&reduced, &factors.extents, factors.depth, &mut values, &mut |values| {
            total += weights.at(values).as_i64();
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
    if let Step::Statement(first) = &mut program.steps[position] {
        first.body = Expr::read(folded, at);
    }
    let moving = Expr::Read(factors.moving.clone()).cast(DType::I32);
    let moving =
        if factors.offset == 0 { moving } else { moving + Expr::integer(DType::I32, factors.offset) };
    let body = moving * Expr::Read(factors.constant.clone()).cast(DType::I32);
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

/// The elements of an array that an access with affine indices reads.
pub(super) struct Elements<'a> {
    array: &'a Array,
    first: i64,
    /// How far apart neighbours along each loop are.
    strides: Vec<i64>,
}

impl Elements<'_> {
    pub(super) fn new<'a>(array: &'a Array, access: &Access) -> Elements<'a> {
        let (mut first, mut strides) = (0, vec![]);
        for (index, stride) in access.at.iter().zip(row_major_strides(array.shape())) {
            first += index.offset() * stride;
            for id in index.loops() {
                strides.resize(strides.len().max(id.0 as usize + 1), 0);
                strides[id.0 as usize] += index.factor(id) * stride;
            }
        }
        Elements { array, first, strides }
    }

    /// The one at these values of all loops.
    pub(super) fn at(&self, values: &[i64]) -> Value {
        let along: i64 = self.strides.iter().zip(values).map(|(stride, value)| stride * value).sum();
        self.array.get((self.first + along) as usize)
    }
}
