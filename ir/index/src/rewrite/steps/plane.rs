//! A function of one or two bytes becomes a plane that is rounded down.
//!
//! The sum of two quantized tensors is `f(x, y)` of two numbers of 8 bits, with three requantizations. There are 65536 pairs, so that
//!
//! ```text
//! f(x, y) = clamp((x * A + y * B + C) >> r)
//! ```
//!
//! is shown by trying all of them. The factors are those of the reals that `f` rounds, or next to them; given both, each pair bounds `C`
//! from one side or from both.

use crate::dtype::DType;
use crate::expression::Expr;
use crate::program::{Program, Statement, largest, smallest};

use super::function::{Function, is_known, unknown};
use super::sums::{ANY, Range};
use super::{clamped, is_byte};

/// The largest shift: `255 * 2^22` and as much again stay in 32 bits.
const LARGEST_SHIFT: u32 = 22;

/// How many shifts are tried: with each the room for `C` is halved.
const SHIFTS: u32 = 6;

/// How far from the nearest integers the factors are looked for.
const NEIGHBOURS: [i64; 7] = [0, 1, -1, 2, -2, 3, -3];

/// `clamp((x * a + y * b + c) >> shift)`.
#[derive(Clone, Copy, Debug)]
struct Plane {
    factors: [i64; 2],
    offset: i64,
    shift: u32,
    clamp: Range,
}

/// The function at all pairs of bytes, row by row.
struct Table {
    /// The range of each of the operands.
    ranges: [Range; 2],
    values: Vec<i64>,
}

/// `node`, a cast to 8 bits, as a plane over the bytes that it is computed from.
pub(super) fn replaced(program: &Program, statement: &Statement, node: &Expr) -> Option<Expr> {
    let (body, operands) = with_unknown_bytes(program, node);
    let types: Vec<DType> = operands.iter().map(|operand| program.type_of(operand)).collect();
    if !(1..=2).contains(&operands.len()) {
        return None;
    }
    let function = Function::new(program, statement, &body, &types)?;
    if !function.loops.is_empty() {
        return None;
    }
    let slopes = function.slopes(&vec![0; statement.loops.len()])?;
    let range = |n: usize| types.get(n).map_or((0, 0), |&t| (smallest(t), largest(t)));
    let table = Table::of(&function, [range(0), range(1)], statement.loops.len())?;
    let dtype = program.type_of(node);
    let plane = table.plane(slopes, (smallest(dtype), largest(dtype)))?;
    Some(plane.over(&operands, dtype))
}

/// The function's expression with an unknown for each different part of 8 bits, and these parts.
fn with_unknown_bytes(program: &Program, node: &Expr) -> (Expr, Vec<Expr>) {
    let mut operands = vec![];
    let body = replace_bytes(program, node, true, &mut operands);
    (body, operands)
}

fn replace_bytes(program: &Program, node: &Expr, is_root: bool, operands: &mut Vec<Expr>) -> Expr {
    if !is_root && is_byte(program, node) && !is_known(program, node) {
        let place = operands.iter().position(|operand| operand == node).unwrap_or_else(|| {
            operands.push(node.clone());
            operands.len() - 1
        });
        return unknown(program, place);
    }
    node.map_children(&mut |child| replace_bytes(program, child, false, operands))
}

impl Table {
    fn of(function: &Function, ranges: [Range; 2], depth: usize) -> Option<Table> {
        let [rows, columns] = ranges.map(|range| range.0..=range.1);
        let pairs = rows.flat_map(|x| columns.clone().map(move |y| [x, y]));
        let point = vec![0; depth];
        let values = pairs.map(|pair| function.integer(&point, &pair)).collect::<Option<Vec<_>>>()?;
        Some(Table { ranges, values })
    }

    /// A plane that is the function, once it is clamped to the ends of the type or else to the ends of the function.
    fn plane(&self, slopes: [f64; 2], of_type: Range) -> Option<Plane> {
        let own = (*self.values.iter().min()?, *self.values.iter().max()?);
        let steepest = slopes[0].abs() + slopes[1].abs();
        // Everything stays in 32 bits: the check below says so for sure.
        let most =
            f64::from(LARGEST_SHIFT).min((f64::from(1 << 23) / steepest).log2().floor().max(0.0)) as u32;
        let shifts = (0..=most).rev().take(SHIFTS as usize);
        let factors = |slope: f64, shift: u32| {
            let near = (slope * f64::from(shift).exp2()).round() as i64;
            let others = if slope == 0.0 { &NEIGHBOURS[..1] } else { &NEIGHBOURS[..] };
            others.iter().map(move |step| near + step)
        };
        let tries = shifts.flat_map(|shift| {
            let pairs =
                factors(slopes[0], shift).flat_map(move |a| factors(slopes[1], shift).map(move |b| [a, b]));
            pairs.map(move |factors| (factors, shift))
        });
        let narrower = Some(own).filter(|own| *own != of_type);
        let clamps = || [Some(of_type), narrower].into_iter().flatten();
        tries.flat_map(|attempt| clamps().map(move |clamp| (attempt, clamp))).find_map(
            |((factors, shift), clamp)| {
                let offset = self.offset(factors, shift, clamp)?;
                Some(Plane { factors, offset, shift, clamp }).filter(|plane| self.fits(plane))
            },
        )
    }

    /// An offset with which the plane is the function, if there is one.
    fn offset(&self, [a, b]: [i64; 2], shift: u32, clamp: Range) -> Option<i64> {
        let (mut low, mut high) = (i64::MIN, i64::MAX);
        let [rows, columns] = self.ranges;
        for (x, row) in (rows.0..).zip(self.rows()) {
            for (y, &value) in (columns.0..).zip(row) {
                let sum = a * x + b * y;
                if value > clamp.0 {
                    low = low.max((value << shift) - sum);
                }
                if value < clamp.1 {
                    high = high.min(((value + 1) << shift) - 1 - sum);
                }
            }
            if low > high {
                return None;
            }
        }
        match (low, high) {
            (i64::MIN, i64::MAX) => Some(0), // every pair saturates
            (i64::MIN, high) => Some(high),
            (low, i64::MAX) => Some(low),
            _ => Some(low + (high - low) / 2),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &[i64]> {
        let [_, columns] = self.ranges;
        self.values.chunks((columns.1 - columns.0 + 1) as usize)
    }

    /// Whether the plane stays in 32 bits, for which its corners speak, and is the function at each pair.
    fn fits(&self, plane: &Plane) -> bool {
        let [rows, columns] = self.ranges;
        let sum = |x: i64, y: i64| x * plane.factors[0] + y * plane.factors[1] + plane.offset;
        let corners = [rows.0, rows.1].map(|x| [columns.0, columns.1].map(|y| sum(x, y)));
        let inside = corners.as_flattened().iter().all(|sum| (ANY.0..=ANY.1).contains(sum));
        let same = |x: i64, y: i64, value: i64| {
            (sum(x, y) >> plane.shift).clamp(plane.clamp.0, plane.clamp.1) == value
        };
        inside
            && (rows.0..)
                .zip(self.rows())
                .all(|(x, row)| (columns.0..).zip(row).all(|(y, &value)| same(x, y, value)))
    }
}

impl Plane {
    fn over(&self, operands: &[Expr], dtype: DType) -> Expr {
        let number = |x: i64| Expr::integer(DType::I32, x);
        let begin = number(self.offset);
        let terms = operands.iter().zip(self.factors).rev(); // offset + y * b + x * a: two multiply-accumulates
        let sum = terms.fold(begin, |sum, (x, factor)| sum + x.clone().cast(DType::I32) * number(factor));
        clamped(sum, self.shift, self.clamp, dtype)
    }
}
