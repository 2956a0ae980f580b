//! Other ids for buffers and registers.

use nablac_index::{Access, Expr, Index, TensorId};

use crate::program::{For, Statement};

/// A body with `of(id)` in the place of each id, which is asked in the order of the text.
pub(crate) fn rename(body: Vec<Statement>, of: &dyn Fn(TensorId) -> TensorId) -> Vec<Statement> {
    let index = |i: &Index| i.map_tensors(of);
    let expression = |e: &Expr| {
        e.rewrite(&mut |node| match node {
            Expr::Read(a) => {
                Expr::Read(Access { tensor: of(a.tensor), at: a.at.iter().map(index).collect(), ..a })
            }
            Expr::Index(i) => Expr::Index(index(&i)),
            other => other,
        })
    };
    let each = |statement| match statement {
        Statement::For(f) => Statement::For(For { body: rename(f.body, of), ..f }),
        Statement::Use { instruction, body } => Statement::Use { instruction, body: rename(body, of) },
        Statement::If { condition, body } => {
            Statement::If { condition: expression(&condition), body: rename(body, of) }
        }
        Statement::Store { target, at, reduce, value } => Statement::Store {
            target: of(target),
            at: at.iter().map(index).collect(),
            reduce,
            value: expression(&value),
        },
    };
    body.into_iter().map(each).collect()
}
