//! The edges of tensors: bounds instead of tests.
//!
//! A read with an `else` value contributes nothing to a reduction where that value makes the body the reduction's identity
//! (`0 * w` to a sum, `-inf` to a maximum). There, the loop that moves the read is cut to the part that is inside:
//! `0 <= d*u + rest < extent` is `u >= ceil(-rest / d)` and `u < ceil((extent - rest) / d)`.

use nablac_index::{Access, Binary, Expr, Index, LoopId, Reduce, Unary, Value};

/// Whether `body` is the identity of `reduce` wherever `access` is outside of its tensor.
pub(super) fn vanishes_outside(reduce: Reduce, body: &Expr, access: &Access) -> bool {
    let Some(outside) = access.outside else { return false };
    match reduce {
        Reduce::Sum => is_zero(outside) && vanishes(body, access),
        Reduce::Max | Reduce::Min | Reduce::Product => {
            let Expr::Read(only) = body else { return false };
            let extreme = match (reduce, outside) {
                (Reduce::Max, Value::F32(x)) => x == f32::NEG_INFINITY,
                (Reduce::Max, Value::F64(x)) => x == f64::NEG_INFINITY,
                (Reduce::Min, Value::F32(x)) => x == f32::INFINITY,
                (Reduce::Min, Value::F64(x)) => x == f64::INFINITY,
                (Reduce::Product, x) => x.as_f64() == 1.0,
                _ => false,
            };
            extreme && only == access
        }
        _ => false,
    }
}

fn is_zero(value: Value) -> bool {
    value.as_f64() == 0.0
}

/// Whether an expression is a product with the access as a factor.
fn vanishes(expression: &Expr, access: &Access) -> bool {
    match expression {
        Expr::Read(own) => own == access,
        Expr::Binary(Binary::Mul, a, b) => vanishes(a, access) || vanishes(b, access),
        Expr::Unary(Unary::Neg, a) | Expr::Cast(_, a) => vanishes(a, access),
        _ => false,
    }
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
