//! The edges of tensors: bounds instead of tests.
//!
//! A read with an `else` value contributes nothing to a reduction where that value makes the body the reduction's identity
//! (`0 * w` to a sum, `-inf` to a maximum). There, the loop that moves the read is cut to the part that is inside:
//! `0 <= d*u + rest < extent` is `u >= ceil(-rest / d)` and `u < ceil((extent - rest) / d)`.

use nablac_index::{
    Access, Binary, DType, Expr, Index, Loop, LoopId, Program, Reduce, Statement, Unary, Value, arithmetic,
};

/// Whether `body` is the identity of `reduce` wherever `access` is outside of its tensor.
pub(super) fn vanishes_outside(program: &Program, reduce: Reduce, body: &Expr, access: &Access) -> bool {
    let Some(outside) = access.outside else { return false };
    let dtype = program.dtype(access.tensor);
    match reduce {
        Reduce::Sum => is_zero(value_outside(program, body, access, outside)),
        Reduce::Max | Reduce::Min | Reduce::Product => {
            matches!(body, Expr::Read(only) if only == access) && reduce.identity(dtype) == Some(outside)
        }
        _ => false,
    }
}

/// The value of an expression where `access` gives `outside`, if nothing else decides it.
fn value_outside(
    program: &Program,
    expression: &Expr,
    access: &Access,
    outside: Value,
) -> Option<(DType, Value)> {
    let value = |e: &Expr| value_outside(program, e, access, outside);
    match expression {
        Expr::Literal(dtype, value) => Some((*dtype, *value)),
        Expr::Read(own) => (own == access).then(|| (program.dtype(own.tensor), outside)),
        Expr::Cast(to, a) => value(a).map(|(from, x)| (*to, arithmetic::cast(x, from, *to))),
        Expr::Unary(Unary::Neg, a) => value(a).map(|(t, x)| (t, arithmetic::unary(Unary::Neg, t, x))),
        // Weights are finite: nothing times one is nothing.
        Expr::Binary(Binary::Mul, a, b) => [value(a), value(b)].into_iter().find(|x| is_zero(*x)).flatten(),
        Expr::Binary(operation @ (Binary::Add | Binary::Sub), a, b) => {
            let ((dtype, x), (_, y)) = (value(a)?, value(b)?);
            Some((dtype, arithmetic::binary(*operation, dtype, x, y)))
        }
        _ => None,
    }
}

fn is_zero(value: Option<(DType, Value)>) -> bool {
    value.is_some_and(|(_, value)| value.as_f64() == 0.0)
}

/// The bounds within which `index`, moved by `variable` with a positive factor, stays in `0..extent`; `None` where it does not
/// move it so.
pub(super) fn bounds(index: &Index, variable: LoopId, extent: usize) -> Option<(Index, Index)> {
    let d = index.factor(variable);
    if d <= 0 || !index.is_affine() {
        return None;
    }
    let rest = index.clone() - Index::of_loop(variable) * d;
    let ceiling = |i: Index| (i + (d - 1)) / d;
    Some((ceiling(-rest.clone()), ceiling(Index::constant(extent as i64) - rest)))
}

/// The values of loop `id`, out of `0..extent_of_loop`, at which `index` stays in `0..extent` whatever the other loops do; `None`
/// where it is not moved by the loop with a positive factor. `ranges` are those of all loops.
pub(super) fn interior(
    index: &Index,
    id: LoopId,
    extent: usize,
    ranges: &[(i64, i64)],
) -> Option<(i64, i64)> {
    let a = index.factor(id);
    if a <= 0 || !index.is_affine() {
        return None;
    }
    let (low, high) = (index.clone() - Index::of_loop(id) * a).range_in(ranges)?;
    let begin = (-low + a - 1).div_euclid(a);
    let end = (extent as i64 - 1 - high).div_euclid(a) + 1;
    Some((begin, end))
}

/// The iterations of a statement's loop at which every read that it moves, and that a bound may cut, is inside.
pub(super) fn interior_of(program: &Program, counters: &[&Loop], law: &Statement, l: usize) -> (i64, i64) {
    let extents = law.extents(counters);
    let ranges: Vec<(i64, i64)> = extents.iter().map(|&n| (0, (n as i64 - 1).max(0))).collect();
    let id = LoopId((counters.len() + l) as u32);
    let whole = (0, law.loops[l].extent as i64);
    law.accesses().into_iter().filter(|a| a.outside.is_some()).fold(whole, |(begin, end), access| {
        let shape = program.shape(access.tensor);
        access.at.iter().zip(shape).filter(|(index, _)| index.loops().contains(&id)).fold(
            (begin, end),
            |(begin, end), (index, &extent)| match interior(index, id, extent, &ranges) {
                Some((first, last)) => (begin.max(first), end.min(last).max(begin.max(first))),
                None => (begin, begin), // no interior: the loop is not tiled
            },
        )
    })
}
