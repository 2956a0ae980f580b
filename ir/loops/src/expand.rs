//! Unrolled loops written out.
//!
//! Owns the rewrite `for k in 0..2 unroll { s(k) }` → `s(0) s(1)`, after which every index of a register is constant.

use nablac_index::{Expr, Index, LoopId, Reduce, TensorId};

use crate::error::Error;
use crate::fold::fold;
use crate::program::{For, Kernel, Kind, Statement};

/// More statements than a person would let a kernel grow to: what is beyond is a mistake in a schedule.
const MOST_STATEMENTS: usize = 1 << 16;

/// The same kernel without `unroll`. Its variables keep their ids, so that its text would not be read back.
pub fn expand(kernel: &Kernel) -> Result<Kernel, Error> {
    let mut expansion = Expansion { kernel, values: vec![None; kernel.variables.len()], statements: 0 };
    let body = expansion.body(&kernel.body)?;
    Ok(Kernel { body, ..kernel.clone() })
}

struct Expansion<'a> {
    kernel: &'a Kernel,
    /// The value of each variable whose loop is being written out.
    values: Vec<Option<i64>>,
    statements: usize,
}

impl Expansion<'_> {
    fn body(&mut self, body: &[Statement]) -> Result<Vec<Statement>, Error> {
        let mut expanded = vec![];
        for statement in body {
            self.statements += 1;
            if self.statements > MOST_STATEMENTS {
                return Err(self.error(format!("unrolls to more than {MOST_STATEMENTS} statements")));
            }
            match statement {
                Statement::For(nest) if nest.kind == Kind::Unroll => self.unroll(nest, &mut expanded)?,
                Statement::For(nest) => {
                    let bounds = |bounds: &[Index]| bounds.iter().map(|b| self.index(b)).collect();
                    let (lower, upper) = (bounds(&nest.lower), bounds(&nest.upper));
                    let body = self.body(&nest.body)?;
                    expanded.push(Statement::For(For { lower, upper, body, ..*nest }));
                }
                Statement::Store { target, at, reduce, value } => {
                    expanded.push(self.store(*target, at, *reduce, value));
                }
                Statement::Use { instruction, body } => {
                    expanded
                        .push(Statement::Use { instruction: instruction.clone(), body: self.body(body)? });
                }
                Statement::If { condition, body } => {
                    let condition = self.expression(condition);
                    match condition {
                        Expr::Literal(_, truth) if truth.as_i64() == 0 => {}
                        Expr::Literal(..) => expanded.extend(self.body(body)?),
                        condition => expanded.push(Statement::If { condition, body: self.body(body)? }),
                    }
                }
            }
        }
        Ok(expanded)
    }

    fn unroll(&mut self, nest: &For, expanded: &mut Vec<Statement>) -> Result<(), Error> {
        let constants = |bounds: &[Index]| -> Option<Vec<i64>> {
            bounds.iter().map(|bound| self.index(bound).as_constant()).collect()
        };
        let bounds = (constants(&nest.lower), constants(&nest.upper));
        let (Some(lower), Some(upper)) = bounds else {
            return Err(
                self.error(format!("loop `{}` is unrolled, but its bounds vary", self.name(nest.variable)))
            );
        };
        let (first, end) = (lower.into_iter().max().unwrap_or(0), upper.into_iter().min().unwrap_or(0));
        for value in (first..end).step_by(nest.step.max(1)) {
            self.values[nest.variable.0 as usize] = Some(value);
            let body = self.body(&nest.body)?;
            expanded.extend(body);
        }
        self.values[nest.variable.0 as usize] = None;
        Ok(())
    }

    fn store(&self, target: TensorId, at: &[Index], reduce: Reduce, value: &Expr) -> Statement {
        let at = at.iter().map(|index| self.index(index)).collect();
        Statement::Store { target, at, reduce, value: self.expression(value) }
    }

    fn index(&self, index: &Index) -> Index {
        index.substitute(&|id| match self.values.get(id.0 as usize) {
            Some(Some(value)) => Index::constant(*value),
            _ => Index::of_loop(id),
        })
    }

    fn expression(&self, expression: &Expr) -> Expr {
        expression.map_indices(&|index| self.index(index)).rewrite(&mut fold)
    }

    fn name(&self, variable: LoopId) -> &str {
        self.kernel.variables.get(variable.0 as usize).map_or("", String::as_str)
    }

    fn error(&self, problem: String) -> Error {
        Error::invalid(format!("kernel `{}`", self.kernel.name), problem)
    }
}
