//! The rules of a well-formed program.
//!
//! Owns what the interpreter, rewrites and lowering may take for granted: names are in scope, types agree, reads without
//! `else` stay inside, and every element is written before it is read — with `=`, exactly once.

use std::collections::BTreeSet;

use crate::dtype::DType;
use crate::error::Error;
use crate::index::Index;
use crate::program::{Loop, Program, Repeat, Role, Statement, Step, TensorId, for_each_write};
use crate::scope::{Element, Scope, is_loop_name};

mod coverage;
mod rules;

pub use rules::{Rules, verify_state};

/// Checks every rule; the error names the statement or tensor.
pub fn verify(program: &Program) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for tensor in &program.tensors {
        if !names.insert(&tensor.name) {
            return Err(Error::invalid(format!("tensor `{}`", tensor.name), "the name is taken"));
        }
    }
    let mut checker = Checker { program, scope: program.scope(), counters: vec![], written: given(program) };
    checker.steps(&program.steps)?;
    for id in program.outputs() {
        if !checker.written.contains(&id) {
            return Err(Error::invalid(format!("output `{}`", program.tensor(id).name), "is never written"));
        }
    }
    for (id, state) in program.states() {
        let place = || format!("state `{}`", program.tensor(id).name);
        let element = |id: TensorId| {
            let tensor = program.tensors.get(id.0 as usize)?;
            Some(Element { name: &tensor.name, dtype: tensor.dtype, shape: &tensor.shape })
        };
        let is_state = |id| matches!(program.tensor(id).role, Role::State(_));
        verify_state(state, element(id), element(state.next), is_state, &checker.written)
            .map_err(|problem| Error::invalid(place(), problem))?;
    }
    coverage::verify(program)
}

/// Inputs, constants and states have a value from the start.
fn given(program: &Program) -> BTreeSet<TensorId> {
    let has_value = |role: &Role| matches!(role, Role::Input | Role::Constant(_) | Role::State(_));
    program.tensors().filter(|(_, t)| has_value(&t.role)).map(|(id, _)| id).collect()
}

struct Checker<'a> {
    program: &'a Program,
    scope: Scope<'a>,
    counters: Vec<&'a Loop>,
    written: BTreeSet<TensorId>,
}

impl<'a> Checker<'a> {
    fn steps(&mut self, steps: &'a [Step]) -> Result<(), Error> {
        steps.iter().try_for_each(|step| match step {
            Step::Statement(statement) => self.statement(statement),
            Step::Repeat(repeat) => self.repeat(repeat),
            Step::Branch(branch) => {
                let condition = self.program.tensor(branch.condition);
                if condition.dtype != DType::Bool || condition.shape.iter().product::<usize>() != 1 {
                    return Err(Error::invalid(
                        format!("if {}", condition.name),
                        format!("the condition is {}{:?}, not one boolean", condition.dtype, condition.shape),
                    ));
                }
                let before = self.written.clone();
                self.steps(&branch.then)?;
                let then = std::mem::replace(&mut self.written, before);
                self.steps(&branch.otherwise)?;
                self.written = self.written.intersection(&then).copied().collect();
                Ok(())
            }
        })
    }

    fn repeat(&mut self, repeat: &'a Repeat) -> Result<(), Error> {
        let place = format!("repeat {}", repeat.counter.name);
        let mut body_writes = vec![];
        for_each_write(&repeat.body, &mut |id| body_writes.push(id));
        for carry in &repeat.carried {
            let [state, initial, next] =
                [carry.state, carry.initial, carry.next].map(|id| self.program.tensor(id));
            for other in [initial, next] {
                if (other.dtype, &other.shape) != (state.dtype, &state.shape) {
                    let problem = format!("`{}` and `{}` differ in type or shape", state.name, other.name);
                    return Err(Error::invalid(place, problem));
                }
            }
            if !self.written.contains(&carry.initial) {
                return Err(Error::invalid(place, format!("`{}` has no value here", initial.name)));
            }
            if body_writes.contains(&carry.state) || !matches!(state.role, Role::Local | Role::Output) {
                let problem = format!("state `{}` is set by the repetition, and by nothing else", state.name);
                return Err(Error::invalid(place, problem));
            }
            self.written.insert(carry.state);
        }
        let names: Vec<&Loop> = self.counters.iter().copied().chain([&repeat.counter]).collect();
        self.loop_names(&place, &names)?;
        self.counters.push(&repeat.counter);
        let result = self.steps(&repeat.body);
        self.counters.pop();
        result?;
        for carry in &repeat.carried {
            if !self.written.contains(&carry.next) {
                let problem = format!("`{}` is never written", self.program.tensor(carry.next).name);
                return Err(Error::invalid(place, problem));
            }
        }
        Ok(())
    }

    fn loop_names(&self, place: &str, loops: &[&Loop]) -> Result<(), Error> {
        for (position, l) in loops.iter().enumerate() {
            if !is_loop_name(&l.name) {
                return Err(Error::invalid(place, format!("a loop can't be named `{}`", l.name)));
            }
            if loops[..position].iter().any(|other| other.name == l.name) {
                return Err(Error::invalid(place, format!("two loops are named `{}`", l.name)));
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &'a Statement) -> Result<(), Error> {
        let place = self.scope.statement_text(&self.counters, statement);
        let loops: Vec<&Loop> = self.counters.iter().copied().chain(&statement.loops).collect();
        self.loop_names(&place, &loops)?;
        let out = self.program.tensor(statement.out);
        if !matches!(out.role, Role::Local | Role::Output) {
            return Err(Error::invalid(place, format!("`{}` is given and can't be written", out.name)));
        }
        for id in statement.reads() {
            if !self.written.contains(&id) {
                let problem = format!("`{}` is read before it is written", self.program.tensor(id).name);
                return Err(Error::invalid(place, problem));
            }
        }
        let extents = statement.extents(&self.counters);
        let empty = extents.contains(&0);
        let range = |index: &Index| if empty { Some((0, -1)) } else { index.range(&extents) };
        let scope = self.scope.with_loops(loops.iter().map(|l| l.name.as_str()));
        let rules = Rules { scope: &scope, place: &place, range: &range };
        rules.element(statement.out, &statement.at)?;
        let body = rules.expression(&statement.body)?;
        rules.store(scope.tensor(statement.out), statement.reduce, body)?;
        self.written.insert(statement.out);
        Ok(())
    }
}
