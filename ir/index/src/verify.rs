//! The rules of a well-formed program.
//!
//! Owns what the interpreter, rewrites and lowering may take for granted: names are in scope, types agree, reads without
//! `else` stay inside, and every element is written before it is read — with `=`, exactly once.

use std::collections::BTreeSet;

use crate::dtype::DType;
use crate::error::Error;
use crate::expression::{Access, Binary, Expr, Unary};
use crate::index::{Atom, Index};
use crate::program::{Loop, Program, Reduce, Repeat, Role, Statement, Step, TensorId, for_each_write};

mod coverage;

/// Checks every rule; the error names the statement or tensor.
pub fn verify(program: &Program) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for tensor in &program.tensors {
        if !names.insert(&tensor.name) {
            return Err(Error::invalid(format!("tensor `{}`", tensor.name), "the name is taken"));
        }
    }
    let mut checker = Checker { program, counters: vec![], written: given(program) };
    checker.steps(&program.steps)?;
    for id in program.outputs() {
        if !checker.written.contains(&id) {
            return Err(Error::invalid(format!("output `{}`", program.tensor(id).name), "is never written"));
        }
    }
    coverage::verify(program)
}

/// Inputs and constants have a value from the start.
fn given(program: &Program) -> BTreeSet<TensorId> {
    let has_value = |role: &Role| matches!(role, Role::Input | Role::Constant(_));
    program.tensors().filter(|(_, t)| has_value(&t.role)).map(|(id, _)| id).collect()
}

struct Checker<'a> {
    program: &'a Program,
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
            let exponent =
                l.name.strip_prefix('e').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if exponent
                || DType::from_name(&l.name).is_some()
                || ["inf", "nan", "else"].contains(&l.name.as_str())
            {
                return Err(Error::invalid(place, format!("a loop can't be named `{}`", l.name)));
            }
            if loops[..position].iter().any(|other| other.name == l.name) {
                return Err(Error::invalid(place, format!("two loops are named `{}`", l.name)));
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &'a Statement) -> Result<(), Error> {
        let place = self.program.statement_text(&self.counters, statement);
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
        let rules = Rules { program: self.program, place: &place, extents: &extents };
        rules.element(statement.out, &statement.at)?;
        let body = rules.expression(&statement.body)?;
        if statement.reduce == Reduce::ArgMax {
            rules.require(out.dtype.is_integer(), || {
                format!("`argmax=` gives a position, not {}", out.dtype)
            })?;
        } else {
            rules.require(body == out.dtype, || {
                format!("the body is {body}, but `{}` is {}", out.name, out.dtype)
            })?;
        }
        let bits = statement.reduce != Reduce::Or || !out.dtype.is_float();
        rules.require(bits, || "`|=` combines bits, which floats have not".into())?;
        self.written.insert(statement.out);
        Ok(())
    }
}

/// The rules inside of one statement.
struct Rules<'a> {
    program: &'a Program,
    place: &'a str,
    extents: &'a [usize],
}

impl Rules<'_> {
    fn require(&self, holds: bool, problem: impl FnOnce() -> String) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(Error::invalid(self.place, problem())) }
    }

    fn element(&self, tensor: TensorId, at: &[Index]) -> Result<(), Error> {
        let tensor = self.program.tensor(tensor);
        self.require(at.len() == tensor.shape.len(), || {
            format!(
                "`{}` has {} dimensions, but is indexed with {}",
                tensor.name,
                tensor.shape.len(),
                at.len()
            )
        })?;
        at.iter().try_for_each(|index| self.index(index))
    }

    fn index(&self, index: &Index) -> Result<(), Error> {
        let mut result = Ok(());
        index.visit_atoms(&mut |atom| {
            let checked = match atom {
                Atom::Loop(id) => {
                    self.require((id.0 as usize) < self.extents.len(), || "a loop is out of scope".into())
                }
                Atom::Read(tensor, at) => {
                    let own = self.program.tensor(*tensor);
                    let integer = self.require(own.dtype.is_integer(), || {
                        format!("`{}` is {} and can't be an index", own.name, own.dtype)
                    });
                    integer.and_then(|()| self.inside(*tensor, at))
                }
                _ => Ok(()),
            };
            if result.is_ok() {
                result = checked;
            }
        });
        result
    }

    /// The interval of each index lies within its dimension.
    fn inside(&self, tensor: TensorId, at: &[Index]) -> Result<(), Error> {
        self.element(tensor, at)?;
        let own = self.program.tensor(tensor);
        if self.extents.contains(&0) {
            return Ok(()); // an empty box reads nothing
        }
        at.iter().zip(&own.shape).enumerate().try_for_each(|(d, (index, &extent))| {
            let range = index.range(self.extents);
            self.require(range.is_some_and(|(low, high)| low >= 0 && high < extent as i64), || {
                let found =
                    range.map_or("depends on data".into(), |(low, high)| format!("runs over {low}..={high}"));
                format!("index {d} of `{}` {found}, outside 0..{extent}: give an `else` value", own.name)
            })
        })
    }

    fn expression(&self, expression: &Expr) -> Result<DType, Error> {
        match expression {
            Expr::Literal(dtype, _) => Ok(*dtype),
            Expr::Index(index) => self.index(index).map(|()| DType::I64),
            Expr::Read(Access { tensor, at, outside }) => {
                match outside {
                    None => self.inside(*tensor, at)?,
                    Some(_) => self.element(*tensor, at)?,
                }
                Ok(self.program.dtype(*tensor))
            }
            Expr::Unary(operation, a) => self.unary(*operation, self.expression(a)?),
            Expr::Binary(operation, a, b) => {
                let (a, b) = (self.expression(a)?, self.expression(b)?);
                self.binary(*operation, a, b)
            }
            Expr::Select(abc) => {
                let [condition, then, otherwise] = [0, 1, 2].map(|i| self.expression(&abc[i]));
                let (condition, then, otherwise) = (condition?, then?, otherwise?);
                self.require(condition == DType::Bool, || {
                    format!("`select` decides on {condition}, not on a boolean")
                })?;
                self.require(then == otherwise, || {
                    format!("`select` chooses between {then} and {otherwise}")
                })?;
                Ok(then)
            }
            Expr::Cast(dtype, a) => self.expression(a).map(|_| *dtype),
            Expr::MultiplyAdd(abc) => {
                let [a, b, c] = [0, 1, 2].map(|i| self.expression(&abc[i]));
                let (a, b, c) = (a?, b?, c?);
                self.require(a == b && b == c, || format!("`fma` of {a}, {b} and {c}"))?;
                Ok(a)
            }
            Expr::Stop(a) => self.expression(a),
        }
    }

    fn unary(&self, operation: Unary, a: DType) -> Result<DType, Error> {
        let fits = match operation {
            Unary::Neg | Unary::Abs => a != DType::Bool,
            Unary::Not => !a.is_float(),
            _ => a.is_float(),
        };
        self.require(fits, || format!("`{}` of {a}", operation.name()))?;
        Ok(if operation == Unary::IsNan { DType::Bool } else { a })
    }

    fn binary(&self, operation: Binary, a: DType, b: DType) -> Result<DType, Error> {
        let fits = match operation {
            _ if a != b => false,
            Binary::And | Binary::Or | Binary::Xor => !a.is_float(),
            Binary::Shl | Binary::Shr => a.is_integer(),
            Binary::Eq | Binary::Ne => true,
            _ => a != DType::Bool,
        };
        self.require(fits, || format!("`{}` of {a} and {b}", operation.name()))?;
        Ok(if operation.is_comparison() { DType::Bool } else { a })
    }
}
