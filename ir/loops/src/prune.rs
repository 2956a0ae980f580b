//! What is decided before it runs is dropped.
//!
//! Owns the rewrite of loops without an iteration and conditions that never hold to nothing, and of tests whose outcome
//! `Bounds` shows to what they come to.

use nablac_index::{Access, Binary, DType, Expr, Scope, Value};

use crate::bounds::{Bounds, as_index};
use crate::fold::fold;
use crate::program::{For, Kernel, Program, Statement};

/// The same kernel without what never runs, and without tests whose outcome is known. `counters` are the extents of the
/// repetitions around it. Variables keep their ids, so that the kernel's text would not be read back.
pub fn prune(program: &Program, kernel: &Kernel, counters: &[usize]) -> Kernel {
    let pruning = Pruning { scope: program.scope(kernel) };
    let bounds = Bounds::new(kernel.variables.len(), counters);
    Kernel { body: pruning.body(&kernel.body, &bounds), ..kernel.clone() }
}

struct Pruning<'a> {
    scope: Scope<'a>,
}

impl Pruning<'_> {
    fn body(&self, body: &[Statement], bounds: &Bounds) -> Vec<Statement> {
        body.iter().flat_map(|statement| self.statement(statement, bounds)).collect()
    }

    fn statement(&self, statement: &Statement, bounds: &Bounds) -> Vec<Statement> {
        match statement {
            Statement::For(nest) => {
                let inside = bounds.inside(nest);
                if inside.is_empty() {
                    return vec![];
                }
                let (lower, upper) = (nest.lower.clone(), nest.upper.clone());
                vec![Statement::For(For { lower, upper, body: self.body(&nest.body, &inside), ..*nest })]
            }
            Statement::If { condition, body } => {
                let condition = self.expression(condition, bounds);
                let inside = bounds.given(&condition);
                match condition {
                    Expr::Literal(_, truth) if truth.as_i64() == 0 => vec![],
                    _ if inside.is_empty() => vec![],
                    Expr::Literal(..) => self.body(body, bounds),
                    condition => vec![Statement::If { condition, body: self.body(body, &inside) }],
                }
            }
            // It is what it is: an instruction's meaning.
            Statement::Use { .. } => vec![statement.clone()],
            Statement::Store { target, at, reduce, value } => {
                let value = self.expression(value, bounds);
                vec![Statement::Store { target: *target, at: at.clone(), reduce: *reduce, value }]
            }
        }
    }

    fn expression(&self, expression: &Expr, bounds: &Bounds) -> Expr {
        expression.rewrite(&mut |node| match fold(node) {
            Expr::Read(access) => self.read(access, bounds),
            Expr::Binary(operation, a, b) if operation.is_comparison() => {
                match decide(operation, &a, &b, bounds) {
                    Some(truth) => Expr::Literal(DType::Bool, Value::Int(i64::from(truth))),
                    None => Expr::Binary(operation, a, b),
                }
            }
            other => other,
        })
    }

    /// A read that is always outside is its `else` value; one that is always inside needs none.
    fn read(&self, access: Access, bounds: &Bounds) -> Expr {
        let Some(value) = access.outside else { return Expr::Read(access) };
        let own = self.scope.tensor(access.tensor);
        let mut inside = true;
        for (index, &extent) in access.at.iter().zip(own.shape) {
            let (low, high) = bounds.range(index).unwrap_or((i64::MIN, i64::MAX));
            if high < 0 || low >= extent as i64 {
                return Expr::Literal(own.dtype, value);
            }
            inside &= low >= 0 && high < extent as i64;
        }
        Expr::Read(Access { outside: Some(value).filter(|_| !inside), ..access })
    }
}

/// What a comparison of indices always gives, if it is always the same.
fn decide(operation: Binary, a: &Expr, b: &Expr, bounds: &Bounds) -> Option<bool> {
    let (low, high) = bounds.range(&(as_index(a)? - as_index(b)?))?;
    let known = |always: bool, never: bool| if always { Some(true) } else { never.then_some(false) };
    match operation {
        Binary::Lt => known(high < 0, low >= 0),
        Binary::Le => known(high <= 0, low > 0),
        Binary::Gt => known(low > 0, high <= 0),
        Binary::Ge => known(low >= 0, high < 0),
        Binary::Eq => known(low == 0 && high == 0, low > 0 || high < 0),
        _ => known(low > 0 || high < 0, low == 0 && high == 0),
    }
}
