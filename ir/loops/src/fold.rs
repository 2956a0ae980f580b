//! What is known of an expression before it runs.
//!
//! Owns the folding of one node: operations on numbers are computed, comparisons of constant indices decided, and choices
//! with a known condition made.

use nablac_index::{Binary, DType, Expr, Unary, Value, arithmetic};

/// The node, or what it comes to. Its operands are folded already.
pub(crate) fn fold(node: Expr) -> Expr {
    match &node {
        Expr::Unary(operation, a) => match number(a) {
            Some((dtype, x)) => {
                let result = if *operation == Unary::IsNan { DType::Bool } else { dtype };
                Expr::Literal(result, arithmetic::unary(*operation, dtype, x))
            }
            None => node,
        },
        Expr::Binary(operation, a, b) => match (number(a), number(b)) {
            (Some((dtype, x)), Some((_, y))) => {
                let result = if operation.is_comparison() { DType::Bool } else { dtype };
                Expr::Literal(result, arithmetic::binary(*operation, dtype, x, y))
            }
            (Some((DType::Bool, truth)), None) => fold_logic(*operation, truth, b).unwrap_or(node),
            (None, Some((DType::Bool, truth))) => fold_logic(*operation, truth, a).unwrap_or(node),
            _ => node,
        },
        Expr::Cast(to, a) => match number(a) {
            Some((from, x)) => Expr::Literal(*to, arithmetic::cast(x, from, *to)),
            None => node,
        },
        Expr::Select(abc) => match number(&abc[0]) {
            Some((_, truth)) => abc[if truth.as_i64() != 0 { 1 } else { 2 }].clone(),
            None => node,
        },
        _ => node,
    }
}

/// `true and x = x`, `false and x = false`, `false or x = x`, `true or x = true`.
fn fold_logic(operation: Binary, truth: Value, other: &Expr) -> Option<Expr> {
    let truth_of = |value: i64| Expr::Literal(DType::Bool, Value::Int(value));
    match (operation, truth.as_i64() != 0) {
        (Binary::And, true) | (Binary::Or, false) => Some(other.clone()),
        (Binary::And, false) => Some(truth_of(0)),
        (Binary::Or, true) => Some(truth_of(1)),
        _ => None,
    }
}

fn number(expression: &Expr) -> Option<(DType, Value)> {
    match expression {
        Expr::Literal(dtype, value) => Some((*dtype, *value)),
        Expr::Index(index) => index.as_constant().map(|value| (DType::I64, Value::Int(value))),
        _ => None,
    }
}
