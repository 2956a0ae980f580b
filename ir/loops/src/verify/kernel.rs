//! The rules inside of one kernel.

use nablac_index::{Atom, DType, Index, LoopId, Reduce, Rules, Scope, TensorId, is_loop_name};

use crate::bounds::Bounds;
use crate::error::Error;
use crate::expand::expand;
use crate::print::store_text;
use crate::program::{For, Kernel, Program, Statement};

/// Checks a kernel below repetitions with these counters.
pub(super) fn verify(program: &Program, kernel: &Kernel, counters: &[(&str, usize)]) -> Result<(), Error> {
    let scope = program.scope(kernel);
    let checker = Checker { program, kernel, scope };
    let place = format!("kernel `{}`", kernel.name);
    for (position, register) in kernel.registers.iter().enumerate() {
        let taken = checker.scope.tensors[..program.buffers.len() + position].iter();
        checker.require(!taken.clone().any(|other| other.name == register.name), &place, || {
            format!("register `{}`: the name is taken", register.name)
        })?;
    }
    let given = kernel.variables.iter().zip(counters).all(|(name, (counter, _))| name == counter);
    checker.require(given && kernel.variables.len() >= counters.len(), &place, || {
        "the first variables are the counters of the repetitions around the kernel".into()
    })?;
    let mut numbered = counters.len();
    checker.order(&kernel.body, &mut numbered)?;
    checker.require(numbered == kernel.variables.len(), &place, || "a variable has no loop".into())?;
    let extents: Vec<usize> = counters.iter().map(|(_, extent)| *extent).collect();
    checker.body(&kernel.body, &Bounds::new(kernel.variables.len(), &extents))?;
    checker.registers(&expand(kernel)?.body)
}

struct Checker<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
    scope: Scope<'a>,
}

impl Checker<'_> {
    fn require(&self, holds: bool, place: &str, problem: impl FnOnce() -> String) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(Error::invalid(place, problem())) }
    }

    fn place(&self, what: &str) -> String {
        format!("kernel `{}`, {what}", self.kernel.name)
    }

    fn name(&self, variable: LoopId) -> &str {
        self.kernel.variables.get(variable.0 as usize).map_or("", String::as_str)
    }

    /// Loops are numbered in the order of the text, so that the text has one reading.
    fn order(&self, body: &[Statement], next: &mut usize) -> Result<(), Error> {
        body.iter().try_for_each(|statement| match statement {
            Statement::For(nest) => {
                let place = self.place(&format!("loop `{}`", self.name(nest.variable)));
                self.require(nest.variable.0 as usize == *next, &place, || {
                    "variables are numbered in the order of the text".into()
                })?;
                *next += 1;
                self.order(&nest.body, next)
            }
            Statement::If { body, .. } | Statement::Use { body, .. } => self.order(body, next),
            Statement::Store { .. } => Ok(()),
        })
    }

    fn body(&self, body: &[Statement], bounds: &Bounds) -> Result<(), Error> {
        body.iter().try_for_each(|statement| match statement {
            Statement::For(nest) => {
                self.nest(nest, bounds)?;
                self.body(&nest.body, &bounds.inside(nest))
            }
            Statement::Use { instruction, body } => {
                let place = self.place(&format!("use {instruction}"));
                let library = self.program.library.as_ref();
                let known = library.and_then(|library| library.instruction(instruction));
                self.body(body, bounds)?;
                self.require(known.is_some(), &place, || "there is no such instruction".into())?;
                let means = known.is_some_and(|known| known.bind(self.program, self.kernel, body).is_some());
                self.require(means, &place, || "the instruction does not mean this".into())
            }
            Statement::If { condition, body } => {
                self.known(condition.accesses().iter().map(|access| access.tensor), &self.place("if"))?;
                let place = self.place("if");
                condition.indices().into_iter().try_for_each(|index| self.open(index, bounds, &place))?;
                let range = |index: &Index| bounds.range(index);
                let dtype =
                    Rules { scope: &self.scope, place: &place, range: &range }.expression(condition)?;
                self.require(dtype == DType::Bool, &place, || format!("the condition is {dtype}"))?;
                self.body(body, &bounds.given(condition))
            }
            Statement::Store { target, at, reduce, value } => {
                let ids = value.accesses().into_iter().map(|access| access.tensor).chain([*target]);
                self.known(ids, &self.place("a store"))?;
                let place = self.place(&store_text(&self.scope, statement));
                self.require(*reduce != Reduce::ArgMax, &place, || "`argmax=` is no single store".into())?;
                let mut indices = value.indices().into_iter().chain(at);
                indices.try_for_each(|index| self.open(index, bounds, &place))?;
                let range = |index: &Index| bounds.range(index);
                let rules = Rules { scope: &self.scope, place: &place, range: &range };
                rules.inside(*target, at)?;
                let dtype = rules.expression(value)?;
                Ok(rules.store(self.scope.tensor(*target), *reduce, dtype)?)
            }
        })
    }

    fn nest(&self, nest: &For, bounds: &Bounds) -> Result<(), Error> {
        let name = self.name(nest.variable);
        let place = self.place(&format!("loop `{name}`"));
        self.require(is_loop_name(name), &place, || "a loop can't have this name".into())?;
        let taken = bounds.variables().any(|outer| self.name(outer) == name);
        self.require(!taken, &place, || "a loop around it has the same name".into())?;
        self.require(nest.step > 0, &place, || "the step is 0".into())?;
        let bounded = !nest.lower.is_empty() && !nest.upper.is_empty();
        self.require(bounded, &place, || "a bound is missing".into())?;
        nest.lower.iter().chain(&nest.upper).try_for_each(|index| self.open(index, bounds, &place))
    }

    /// Ids name something.
    fn known(&self, ids: impl Iterator<Item = TensorId>, place: &str) -> Result<(), Error> {
        for id in ids {
            self.require((id.0 as usize) < self.scope.tensors.len(), place, || {
                format!("there is no buffer {}", id.0)
            })?;
        }
        Ok(())
    }

    /// Every variable of an index is one of the loops around, and every tensor that it reads exists and is an integer one.
    fn open(&self, index: &Index, bounds: &Bounds, place: &str) -> Result<(), Error> {
        let mut tensors = vec![];
        let mut closed = None;
        index.visit_atoms(&mut |atom| match atom {
            Atom::Loop(id) if !bounds.is_open(*id) => closed = closed.or(Some(*id)),
            Atom::Read(tensor, _) => tensors.push(*tensor),
            _ => {}
        });
        self.require(closed.is_none(), place, || {
            format!("variable `{}` is out of scope", closed.map_or("", |id| self.name(id)))
        })?;
        self.known(tensors.into_iter(), place)?;
        let range = |index: &Index| bounds.range(index);
        Ok(Rules { scope: &self.scope, place, range: &range }.index(index)?)
    }

    /// After unrolling, registers are reached at constant indices.
    fn registers(&self, body: &[Statement]) -> Result<(), Error> {
        body.iter().try_for_each(|statement| match statement {
            Statement::For(For { body, .. }) => self.registers(body),
            Statement::Use { instruction, body } => self.operands(instruction, body),
            Statement::If { condition, body } => {
                let accesses = condition.accesses();
                accesses.into_iter().try_for_each(|access| self.constant(access.tensor, &access.at))?;
                self.registers(body)
            }
            Statement::Store { target, at, value, .. } => {
                let accesses = value.accesses();
                accesses.into_iter().try_for_each(|access| self.constant(access.tensor, &access.at))?;
                self.constant(*target, at)
            }
        })
    }

    /// Each operand of an instruction that is a register is one that is known.
    fn operands(&self, instruction: &str, body: &[Statement]) -> Result<(), Error> {
        let instruction = self.program.library.as_ref().and_then(|library| library.instruction(instruction));
        let Some(instruction) = instruction else { return Ok(()) };
        let operands = instruction.bind(self.program, self.kernel, body).unwrap_or_default();
        operands.iter().zip(&instruction.parameters).try_for_each(|(operand, parameter)| {
            let known = parameter.memory || operand.position.as_constant().is_some();
            self.require(known, &self.place(&format!("use {}", instruction.name)), || {
                format!("`{}` is a register whose index varies: unroll its loops", parameter.name)
            })
        })
    }

    fn constant(&self, tensor: TensorId, at: &[Index]) -> Result<(), Error> {
        let register = self.program.register(self.kernel, tensor);
        let place = || self.place(&self.scope.element_text(tensor, at));
        self.require(register.is_none_or(|register| !register.vector), &place(), || {
            "only instructions reach the lanes of a register".into()
        })?;
        let fits = !self.program.is_register(tensor) || at.iter().all(|index| index.as_constant().is_some());
        self.require(fits, &self.place(&self.scope.element_text(tensor, at)), || {
            "a register's index varies: unroll its loops".into()
        })
    }
}
