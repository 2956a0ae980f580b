//! Expressions: literals for constants of one element, indices in normal form, and what needs no computing.

use crate::arithmetic;
use crate::dtype::{DType, Value};
use crate::expression::{Binary, Expr, Unary};
use crate::program::{Loop, Program, Role, Statement, Step, largest, smallest};

use super::map_indices;

/// `c[…] → 2.0` for a constant of one element, operations on literals computed, `x * 1 → x`, `x + 0 → x`, `select` with a
/// known condition decided, and every index simplified within the ranges of its loops.
pub fn simplify_expressions(program: Program) -> Program {
    let mut program = program;
    let steps = std::mem::take(&mut program.steps);
    let mut counters = vec![];
    program.steps = simplify_steps(&program, steps, &mut counters);
    program
}

fn simplify_steps(program: &Program, steps: Vec<Step>, counters: &mut Vec<Loop>) -> Vec<Step> {
    let each = |step| match step {
        Step::Statement(statement) => {
            let extents = statement.extents(&counters.iter().collect::<Vec<_>>());
            let statement = map_indices(statement, &|index| index.simplify(&extents));
            let body = statement.body.rewrite(&mut |node| simplify_node(program, node));
            Step::Statement(Statement { body, ..statement })
        }
        Step::Repeat(mut repeat) => {
            counters.push(repeat.counter.clone());
            repeat.body = simplify_steps(program, repeat.body, counters);
            counters.pop();
            Step::Repeat(repeat)
        }
        Step::Branch(mut branch) => {
            branch.then = simplify_steps(program, branch.then, counters);
            branch.otherwise = simplify_steps(program, branch.otherwise, counters);
            Step::Branch(branch)
        }
    };
    steps.into_iter().map(each).collect()
}

fn simplify_node(program: &Program, node: Expr) -> Expr {
    let literal = |e: &Expr| match e {
        Expr::Literal(dtype, value) => Some((*dtype, *value)),
        _ => None,
    };
    match &node {
        Expr::Read(access) if access.outside.is_none() => match &program.tensor(access.tensor).role {
            Role::Constant(array) if array.len() == 1 => Expr::Literal(array.dtype(), array.get(0)),
            _ => node,
        },
        Expr::Index(index) => match index.as_constant() {
            Some(value) => Expr::integer(DType::I64, value),
            None => node,
        },
        Expr::Unary(operation, a) => match literal(a) {
            Some((dtype, value)) => {
                Expr::Literal(program.type_of(&node), arithmetic::unary(*operation, dtype, value))
            }
            None => node,
        },
        Expr::Cast(to, a) => match literal(a) {
            Some((from, value)) => Expr::Literal(*to, arithmetic::cast(value, from, *to)),
            None if program.type_of(a) == *to => Expr::clone(a),
            None => node,
        },
        Expr::Binary(operation, a, b) => match (literal(a), literal(b)) {
            (Some((dtype, x)), Some((_, y))) => {
                Expr::Literal(program.type_of(&node), arithmetic::binary(*operation, dtype, x, y))
            }
            (None, Some((_, y)))
                if is_right_identity(*operation, y) || bounds_nothing(program, *operation, a, y) =>
            {
                Expr::clone(a)
            }
            (Some((_, x)), None) if is_left_identity(*operation, x) => Expr::clone(b),
            _ => node,
        },
        Expr::Select(abc) => match literal(&abc[0]) {
            Some((_, condition)) => abc[if condition.as_i64() != 0 { 1 } else { 2 }].clone(),
            None => node,
        },
        _ => node,
    }
}

/// `x * 1`, `x / 1`, `x - 0` and `x + -0.0` are `x`, bit for bit (`-0.0 + 0.0` would lose its sign).
fn is_right_identity(operation: Binary, y: Value) -> bool {
    match operation {
        Binary::Mul | Binary::Div | Binary::Pow => y.as_f64() == 1.0,
        Binary::Sub => y.as_f64() == 0.0 && y.as_f64().is_sign_positive(),
        Binary::Add => is_zero_of_sum(y),
        _ => false,
    }
}

/// `max(x, y)` where `x` is never below `y`, and `min(x, y)` where it is never above, are `x`.
fn bounds_nothing(program: &Program, operation: Binary, x: &Expr, y: Value) -> bool {
    let ends = bounds(program, x).filter(|_| program.type_of(x).is_integer());
    ends.is_some_and(|(low, high)| match operation {
        Binary::Max => low >= y.as_f64(),
        Binary::Min => high <= y.as_f64(),
        _ => false,
    })
}

/// `i32(i8(x))` is `x` where that is an `i32` which 8 bits hold. No part of `simplify_expressions`: to other rewrites the cast says where
/// a value of its own is.
pub(super) fn without_detour(program: &Program, node: Expr) -> Expr {
    let Expr::Cast(to, narrow) = &node else { return node };
    let Expr::Cast(through, inner) = narrow.as_ref() else { return node };
    let holds = |ends: (f64, f64)| ends.0 >= smallest(*through) as f64 && ends.1 <= largest(*through) as f64;
    let whole = to.is_integer() && through.is_integer() && program.type_of(inner) == *to;
    if whole && bounds(program, inner).is_some_and(holds) { Expr::clone(inner) } else { node }
}

/// Between which numbers an expression lies, where its type or its outermost operations say so; it is a number then. Integers of
/// 64 bits are not looked at: not all of them are numbers of this kind.
fn bounds(program: &Program, expression: &Expr) -> Option<(f64, f64)> {
    let dtype = program.type_of(expression);
    if !dtype.is_float() && dtype.bytes() > 4 {
        return None;
    }
    let own = match expression {
        Expr::Literal(_, value) => Some((value.as_f64(), value.as_f64())).filter(|(x, _)| !x.is_nan()),
        Expr::Unary(Unary::Round | Unary::RoundAway, a) => {
            bounds(program, a).filter(|ends| ends.0.fract() == 0.0 && ends.1.fract() == 0.0)
        }
        // The first operand wins over what is no number.
        Expr::Binary(operation @ (Binary::Min | Binary::Max), first, second) => {
            let (a, any) = (bounds(program, first)?, (f64::NEG_INFINITY, f64::INFINITY));
            let b = bounds(program, second).unwrap_or(any);
            let smaller = (a.0.min(b.0), a.1.min(b.1));
            Some(if *operation == Binary::Min { smaller } else { (a.0.max(b.0), a.1.max(b.1)) })
        }
        Expr::Cast(to, a) => {
            let inside = |ends: &(f64, f64)| ends.0 >= smallest(*to) as f64 && ends.1 <= largest(*to) as f64;
            bounds(program, a).filter(|ends| to.is_integer() && inside(ends))
        }
        _ => None,
    };
    own.or_else(|| dtype.is_integer().then(|| (smallest(dtype) as f64, largest(dtype) as f64)))
}

fn is_left_identity(operation: Binary, x: Value) -> bool {
    match operation {
        Binary::Mul => x.as_f64() == 1.0,
        Binary::Add => is_zero_of_sum(x),
        _ => false,
    }
}

fn is_zero_of_sum(x: Value) -> bool {
    match x {
        Value::Int(x) => x == 0,
        _ => x.as_f64() == 0.0 && x.as_f64().is_sign_negative(),
    }
}
