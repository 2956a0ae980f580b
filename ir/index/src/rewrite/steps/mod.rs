//! What ends a sum in 8 bits becomes a product, a sum and a saturation.
//!
//! A quantized network brings each sum to 8 bits by a requantization, a bound and a zero point, or by their form in reals. Whatever it
//! says, it is a function that rises, of one number `x`, with at most 255 steps, and so is
//!
//! ```text
//! line(x) = clamp((highword(x, M) + C) >> r) = clamp(floor((x * M + C * 2^32) / 2^(32 + r)))    for M >= 0
//! ```
//!
//! **Law.** Two functions of integers that rise are the same on a range if they agree at both its ends, at each argument where the first
//! takes a step, and at the argument before. For between two of these the first stands still; the second has the same value at both, and as
//! it rises it has that value in between. So `M`, `C` and `r` are found for the steps (`line`), which are found by evaluating the
//! expression (`staircase`), and both are compared there: what is written is exact, or nothing is.
//!
//! Rounded once, steps stand in a line. Rounded twice, steps at positive levels come early by `2^-(s + 1)` of a step, others late. If all
//! are positive, as behind a ReLU, a line with an offset for each channel takes them, where the sum may begin with another constant
//! (`start`): the offset alone is too coarse. Otherwise the rounding is taken apart (`twice`).
//!
//! A function of two bytes, such as the sum of two tensors, becomes a plane (`plane`).

use crate::array::Array;
use crate::dtype::{DType, Value};
use crate::expression::{Access, Binary, Expr, Rounding};
use crate::index::Index;
use crate::program::{LoopId, Program, Reduce, Role, Statement, Step, largest, smallest};

use super::algebra::without_detour;
use super::dead::remove_dead;

mod common;
mod function;
mod line;
mod plane;
mod rising;
mod staircase;
mod start;
mod sums;

use common::Shifts;
use function::{Function, is_known, unknown};
use line::{Demands, LARGEST_SHIFT, Lines};
use staircase::Staircase;
use start::Start;
use sums::{ANY, Bounds, Range};

/// Replaces what ends a sum in 8 bits by a line, and functions of one or two bytes by planes, in statements at the top level. Between a
/// line and a plane nothing is brought to 8 bits: the line has them.
pub fn fit_steps(program: Program) -> Program {
    let shifts = Shifts::of(&program);
    let mut program = program;
    let mut insert = vec![];
    for position in 0..program.steps.len() {
        let Step::Statement(statement) = &program.steps[position] else { continue };
        if statement.reduce != Reduce::Set {
            continue;
        }
        let statement = statement.clone();
        let body =
            statement.body.rewrite(&mut |node| match is_byte(&program, &node) && is_worth(&program, &node) {
                true => replaced(&mut program, &statement, &node, &shifts, &mut insert).unwrap_or(node),
                false => node,
            });
        let body = body.rewrite(&mut |node| without_detour(&program, node));
        program.steps[position] = Step::Statement(Statement { body, ..statement });
    }
    insert.sort_by_key(|(position, _)| *position);
    for (position, statement) in insert.into_iter().rev() {
        program.steps.insert(position, Step::Statement(statement));
    }
    remove_dead(program)
}

fn is_byte(program: &Program, node: &Expr) -> bool {
    matches!(program.type_of(node), DType::I8 | DType::U8)
}

/// Whether a cast to 8 bits requantizes, divides or computes on reals, outside of what has 8 bits itself.
fn is_worth(program: &Program, node: &Expr) -> bool {
    let Expr::Cast(_, inner) = node else { return false };
    fn costs(program: &Program, node: &Expr) -> bool {
        let own = match node {
            Expr::Requantize(..) | Expr::Binary(Binary::Div, ..) => true,
            Expr::Cast(..) | Expr::Binary(..) => program.type_of(node).is_float(),
            _ => false,
        };
        own || !is_byte(program, node) && node.children().into_iter().any(|child| costs(program, child))
    }
    costs(program, inner)
}

fn replaced(
    program: &mut Program,
    statement: &Statement,
    node: &Expr,
    shifts: &Shifts,
    insert: &mut Vec<(usize, Statement)>,
) -> Option<Expr> {
    match accumulator(program, node).cloned() {
        Some(sum) => {
            let tries = shifts.tries(program, statement, node, &sum);
            let ending = Ending::of(program, statement, node, sum)?;
            tries
                .into_iter()
                .find_map(|most| ending.line(program, most, insert))
                .or_else(|| ending.rounded_twice(program))
        }
        None => plane::replaced(program, statement, node),
    }
}

/// The 32-bit element that is all that an expression depends on, but for constants.
fn accumulator<'e>(program: &Program, node: &'e Expr) -> Option<&'e Access> {
    if let Expr::Read(access) = node {
        return (program.dtype(access.tensor) == DType::I32 && access.outside.is_none()).then_some(access);
    }
    let children = node.children();
    let mut open = children.into_iter().filter(|child| !is_known(program, child));
    match (open.next(), open.next()) {
        (Some(child), None) if !is_byte(program, child) => accumulator(program, child),
        _ => None,
    }
}

/// A cast to 8 bits of one element of a sum, with its steps.
struct Ending<'a> {
    statement: &'a Statement,
    node: &'a Expr,
    sum: Access,
    /// The loops of the constants, and their positions.
    loops: Vec<(LoopId, usize)>,
    channels: Vec<Vec<i64>>,
    /// What the sum can be at each channel, and where the steps are.
    ranges: Vec<Range>,
    steps: Vec<Staircase>,
}

impl<'a> Ending<'a> {
    fn of(program: &Program, statement: &'a Statement, node: &'a Expr, sum: Access) -> Option<Ending<'a>> {
        let function = function_of(program, statement, node, &Expr::Read(sum.clone()))?;
        let (loops, channels) = (function.loops.clone(), function.channels()?);
        let bounds = Bounds::of(program, sum.tensor);
        let range = |channel: &Vec<i64>| bounds.as_ref().map_or(ANY, |b| b.at(&sum, &loops, channel));
        let ranges: Vec<Range> = channels.iter().map(range).collect();
        let at = channels.iter().zip(&ranges);
        let steps =
            at.map(|(channel, range)| staircase(&function, channel, *range)).collect::<Option<Vec<_>>>()?;
        Some(Ending { statement, node, sum, loops, channels, ranges, steps })
    }

    /// One line with a shift of `most` or the next one that it can have, where there is one; the sum begins with what the line needs.
    fn line(&self, program: &mut Program, most: u32, insert: &mut Vec<(usize, Statement)>) -> Option<Expr> {
        let start = Start::of(program, &self.sum, &self.loops);
        let (lines, clamp) = self.lines(&self.steps, start.is_some(), most)?;
        let starts: Vec<i64> = lines.lines.iter().map(|line| line.start).collect();
        let line = self.written(program, Expr::Read(self.sum.clone()), &self.ranges, &lines, clamp);
        if !self.agrees(program, &line, &starts) {
            return None;
        }
        if starts.iter().any(|&start| start != 0) {
            start?.shift(program, &starts, insert)?;
        }
        Some(line)
    }

    /// `requantize_double(x, m, -s)` is `(t + 2^(s - 1)) >> s` with `t = mulhigh(x, m) + (x >> 31)`: half away from zero is half up, of one
    /// less below zero. (Where `x < 0` and `mulhigh` gives 0, the shift gives 0 of 0 and of -1 alike.) What follows is a line of `t`. Where
    /// `x + x` stays in 32 bits, `mulhigh(x, m)` is `highword_round(x + x, m)`, which saturates nowhere.
    fn rounded_twice(&self, program: &mut Program) -> Option<Expr> {
        let sum = Expr::Read(self.sum.clone());
        let (multiplier, exponent) = double_rounding(self.node, &sum)?;
        let doubled = (sum.clone() + sum.clone()).binary(Binary::HighWordRound, multiplier.clone());
        let product = sum.clone().binary(Binary::MulHigh, multiplier);
        [doubled, product].into_iter().find_map(|product| self.behind_product(program, product, &exponent))
    }

    /// The line behind the rounded product of the sum and its multiplier.
    fn behind_product(&self, program: &mut Program, product: Expr, exponent: &Expr) -> Option<Expr> {
        let sum = Expr::Read(self.sum.clone());
        let number = |x| Expr::integer(DType::I32, x);
        let shift = -exponent.clone();
        let high = product + sum.clone().binary(Binary::Shr, number(31));
        let half = number(1).binary(Binary::Shl, shift.clone() - number(1));
        let outer = self.node.rewrite(&mut |node| match &node {
            Expr::Requantize(Rounding::Double, abc) if abc[0] == sum => {
                (high.clone() + half.clone()).binary(Binary::Shr, shift.clone())
            }
            _ => node,
        });
        let shifts = function_of(program, self.statement, exponent, &sum)?;
        // A sum that is always the same needs no shift.
        let fixed = |steps: &Staircase| steps.range.0 == steps.range.1;
        let shifts_right = |(channel, steps): (&Vec<i64>, &Staircase)| {
            fixed(steps) || matches!(shifts.integer(channel, &[]), Some(-31..=-1))
        };
        if !self.channels.iter().zip(&self.steps).all(shifts_right) {
            return None;
        }
        let inner = function_of(program, self.statement, &high, &sum)?;
        let range = |(channel, range): (&Vec<i64>, &Range)| {
            let ends = inner.rising(channel, *range)?;
            Some((ends.0.as_i64(), ends.1.as_i64()))
        };
        let ranges = self.channels.iter().zip(&self.ranges).map(range).collect::<Option<Vec<_>>>()?;
        let function = function_of(program, self.statement, &outer, &high)?;
        let steps = |((channel, range), old): ((&Vec<i64>, &Range), &Staircase)| match fixed(old) {
            true => Some(Staircase { range: *range, first: old.first, thresholds: vec![] }),
            false => staircase(&function, channel, *range),
        };
        let steps =
            self.channels.iter().zip(&ranges).zip(&self.steps).map(steps).collect::<Option<Vec<_>>>()?;
        let (lines, clamp) = self.lines(&steps, false, LARGEST_SHIFT)?;
        let line = self.written(program, high, &ranges, &lines, clamp);
        self.agrees(program, &line, &vec![0; self.channels.len()]).then_some(line)
    }

    /// Lines that are the steps once they are clamped: to the ends of the type, which is an instruction of its own, or to those of the steps.
    fn lines(&self, steps: &[Staircase], may_start: bool, most: u32) -> Option<(Lines, Range)> {
        let of_type = (smallest(self.dtype()), largest(self.dtype()));
        let own = steps.iter().map(|s| (s.first, s.last())).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let narrower = Some(own).filter(|own| *own != of_type);
        [Some(of_type), narrower].into_iter().flatten().find_map(|clamp| {
            let demands: Vec<Demands> = steps.iter().map(|steps| Demands::new(steps, clamp)).collect();
            Some((line::fit(&demands, may_start, most)?, clamp))
        })
    }

    fn dtype(&self) -> DType {
        if let Expr::Cast(DType::U8, _) = self.node { DType::U8 } else { DType::I8 }
    }

    /// The lines of `x`, which runs over `ranges`.
    fn written(&self, program: &mut Program, x: Expr, ranges: &[Range], lines: &Lines, clamp: Range) -> Expr {
        let own = |of: fn(&line::Line) -> i64| lines.lines.iter().map(of).collect::<Vec<_>>();
        if let Some((offset, shift)) = lines.as_shift(ranges) {
            return clamped(x + Expr::integer(DType::I32, offset), shift, clamp, self.dtype());
        }
        let slope = self.constant(program, "slope", own(|line| line.slope));
        let offset = self.constant(program, "offset", own(|line| line.offset));
        clamped(x.binary(Binary::HighWord, slope) + offset, lines.shift, clamp, self.dtype())
    }

    /// A number for each channel: a literal if it is the same for all, else a constant tensor, of 16 bits if they suffice.
    fn constant(&self, program: &mut Program, name: &str, values: Vec<i64>) -> Expr {
        if let [first, rest @ ..] = &values[..]
            && rest.iter().all(|value| value == first)
        {
            return Expr::integer(DType::I32, *first);
        }
        let narrow = values.iter().all(|value| i16::try_from(*value).is_ok());
        let dtype = if narrow { DType::I16 } else { DType::I32 };
        let shape: Vec<usize> = self.loops.iter().map(|l| l.1).collect();
        let array = Array::from_values(dtype, &shape, values.into_iter().map(Value::Int));
        let name = format!("{}.{name}", program.tensor(self.statement.out).name);
        let tensor = program.add_tensor(&name, dtype, &shape, Role::Constant(array));
        let at: Vec<Index> = self.loops.iter().map(|l| Index::of_loop(l.0)).collect();
        let read = Expr::read(tensor, at);
        if narrow { read.cast(DType::I32) } else { read }
    }

    /// The law: whether `line` of a sum that begins with `starts` more rises, and agrees with the steps wherever it must.
    fn agrees(&self, program: &Program, line: &Expr, starts: &[i64]) -> bool {
        let Some(new) = function_of(program, self.statement, line, &Expr::Read(self.sum.clone())) else {
            return false;
        };
        self.channels.iter().zip(&self.steps).zip(starts).all(|((channel, steps), start)| {
            let range = (steps.range.0 + start, steps.range.1 + start);
            let same = |(x, value): (i64, i64)| new.integer(channel, &[x + start]) == Some(value);
            new.rising(channel, range).is_some() && steps.witnesses().all(same)
        })
    }
}

/// `node` as a function of its part `x`.
fn function_of<'a>(
    program: &'a Program,
    statement: &Statement,
    node: &Expr,
    x: &Expr,
) -> Option<Function<'a>> {
    let body = replace(node, x, &unknown(program, 0));
    Function::new(program, statement, &body, &[DType::I32])
}

/// `node` with `by` in the place of each `part`.
fn replace(node: &Expr, part: &Expr, by: &Expr) -> Expr {
    if node == part { by.clone() } else { node.map_children(&mut |child| replace(child, part, by)) }
}

/// The steps at a channel; nothing unless the function surely rises there.
fn staircase(function: &Function, channel: &[i64], range: Range) -> Option<Staircase> {
    function.rising(channel, range)?;
    Staircase::of(range, &|x| function.integer(channel, &[x]))
}

/// The multiplier and the exponent with which `sum` is rounded twice.
fn double_rounding(node: &Expr, sum: &Expr) -> Option<(Expr, Expr)> {
    match node {
        Expr::Requantize(Rounding::Double, abc) if abc[0] == *sum => Some((abc[1].clone(), abc[2].clone())),
        _ => node.children().into_iter().find_map(|child| double_rounding(child, sum)),
    }
}

/// `sum >> shift` between two levels, in 8 bits.
fn clamped(sum: Expr, shift: u32, (low, high): Range, dtype: DType) -> Expr {
    let number = |x| Expr::integer(DType::I32, x);
    let level = if shift == 0 { sum } else { sum.binary(Binary::Shr, number(i64::from(shift))) };
    level.max(number(low)).min(number(high)).cast(dtype)
}
