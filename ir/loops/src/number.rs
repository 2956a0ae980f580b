//! The canonical numbers of variables.
//!
//! Owns the rule that a kernel's variables stand in the order in which the text opens their loops, each loop with its own:
//! what a reader of the text would number them.

use nablac_index::{Index, LoopId};

use crate::program::{For, Kernel, Program, Repeat, Statement, Step};

/// The same program with every kernel's variables numbered in the order of the text. Loops that shared a variable, one after
/// the other, each get their own.
pub fn number_variables(program: Program) -> Program {
    let steps = number_steps(program.steps, 0);
    Program { steps, ..program }
}

fn number_steps(steps: Vec<Step>, counters: usize) -> Vec<Step> {
    let number = |step| match step {
        Step::Kernel(kernel) => Step::Kernel(number_kernel(kernel, counters)),
        Step::Repeat(repeat) => {
            let body = number_steps(repeat.body, counters + 1);
            Step::Repeat(Repeat { body, ..repeat })
        }
        Step::Receive(receive) => Step::Receive(receive),
        Step::Branch { condition, then, otherwise } => Step::Branch {
            condition,
            then: number_steps(then, counters),
            otherwise: number_steps(otherwise, counters),
        },
    };
    steps.into_iter().map(number).collect()
}

fn number_kernel(kernel: Kernel, counters: usize) -> Kernel {
    let identity = (0..kernel.variables.len()).map(|v| LoopId(v as u32)).collect();
    let mut numbering = Numbering {
        before: &kernel.variables,
        after: kernel.variables.iter().take(counters).cloned().collect(),
        current: identity,
    };
    let body = numbering.body(&kernel.body);
    let variables = numbering.after;
    Kernel { body, variables, ..kernel }
}

struct Numbering<'a> {
    before: &'a [String],
    after: Vec<String>,
    /// What each old variable is called at this place.
    current: Vec<LoopId>,
}

impl Numbering<'_> {
    fn body(&mut self, body: &[Statement]) -> Vec<Statement> {
        body.iter().map(|statement| self.statement(statement)).collect()
    }

    fn statement(&mut self, statement: &Statement) -> Statement {
        match statement {
            Statement::For(nest) => {
                let limits = |limits: &[Index]| limits.iter().map(|index| self.index(index)).collect();
                let (lower, upper) = (limits(&nest.lower), limits(&nest.upper));
                let variable = LoopId(self.after.len() as u32);
                let old = nest.variable.0 as usize;
                self.after.push(self.before.get(old).cloned().unwrap_or_default());
                let outside = self.current.clone();
                if let Some(current) = self.current.get_mut(old) {
                    *current = variable;
                }
                let body = self.body(&nest.body);
                self.current = outside;
                Statement::For(For { variable, lower, upper, body, ..*nest })
            }
            Statement::Store { target, at, reduce, value } => Statement::Store {
                target: *target,
                at: at.iter().map(|index| self.index(index)).collect(),
                reduce: *reduce,
                value: value.map_indices(&|index| self.index(index)),
            },
            Statement::Use { instruction, body } => {
                Statement::Use { instruction: instruction.clone(), body: self.body(body) }
            }
            Statement::If { condition, body } => Statement::If {
                condition: condition.map_indices(&|index| self.index(index)),
                body: self.body(body),
            },
        }
    }

    fn index(&self, index: &Index) -> Index {
        index.substitute(&|id| Index::of_loop(self.current.get(id.0 as usize).copied().unwrap_or(id)))
    }
}
