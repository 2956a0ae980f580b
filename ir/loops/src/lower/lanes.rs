//! One statement for all lanes of a register.
//!
//! Owns the way from `target[at] = value`, which a loop over lanes goes around, to instructions that each do one operation on all lanes.
//! They are found in the machine's library by what they mean. What reads neighbours along the lanes is loaded, what reads one
//! element is copied into every lane; where a library lacks an operation there are no lines, and the loop stays a loop.

use nablac_index::{
    Access, Binary, DType, Expr, Index, LoopId, Program, Reduce, Role, Statement as Law, TensorId,
};

use super::dot::{lanes_of, set};
use super::nest::new_register;
use super::probe::Probe;
use crate::instruction::Library;
use crate::interpret::operation_of;
use crate::program::{Kernel, Statement};

/// Where lines are to stand.
pub(super) struct Around<'s> {
    pub program: &'s Program,
    pub library: &'s Library,
    /// Its registers are those that are there; new ones are added.
    pub kernel: &'s mut Kernel,
}

/// The lines of a statement without a loop over `lane`, if a library has instructions for them.
pub(super) fn lines(
    around: Around<'_>,
    lane: LoopId,
    count: usize,
    statement: &Statement,
) -> Option<Vec<Statement>> {
    let before = around.kernel.registers.len();
    let mut lanes = Lanes { around, lane, count, statements: vec![], known: vec![] };
    if lanes.statement(statement).is_none() {
        lanes.around.kernel.registers.truncate(before);
        return None;
    }
    Some(lanes.statements)
}

/// What combines a value with the one in a register, first in one rounding, where that is a product and its sum, then in two.
pub(super) fn combinations(register: TensorId, at: &[Index], reduce: Reduce, value: &Expr) -> Vec<Statement> {
    let before = Expr::read(register, at.to_vec());
    let fused = match (reduce, value) {
        (Reduce::Sum, Expr::Binary(Binary::Mul, a, b)) => {
            Some(Expr::MultiplyAdd(Box::new([a.as_ref().clone(), b.as_ref().clone(), before.clone()])))
        }
        _ => None,
    };
    let plain = operation_of(reduce).map(|operation| before.binary(operation, value.clone()));
    fused.into_iter().chain(plain).map(|value| set(register, at.to_vec(), value)).collect()
}

/// Whether a library has instructions for what a statement combines, with the iterations of loop `lane` as lanes.
pub(super) fn combines(program: &Program, library: &Library, law: &Law, lane: LoopId, count: usize) -> bool {
    let inside = law.body.rewrite(&mut |node| match node {
        Expr::Read(access) => {
            Expr::Read(Access { outside: None, at: ordered(program, &access, lane), ..access })
        }
        other => other,
    });
    let mut kernel = Kernel::default();
    let register = new_register(program, &mut kernel, "acc", program.dtype(law.out), vec![count], true);
    combinations(register, &[Index::of_loop(lane)], law.reduce, &inside)
        .iter()
        .any(|line| lines(Around { program, library, kernel: &mut kernel }, lane, count, line).is_some())
}

/// The indices of an access, of a constant's with the dimension of the lanes last: `order` stores it so.
fn ordered(program: &Program, access: &Access, lane: LoopId) -> Vec<Index> {
    let mut at = access.at.clone();
    if matches!(program.tensor(access.tensor).role, Role::Constant(_)) {
        at.sort_by_key(|index| index.loops().contains(&lane));
    }
    at
}

/// A value in a register.
#[derive(Clone)]
struct Held {
    register: TensorId,
    /// Which of several registers; a lane follows.
    row: Vec<Index>,
    dtype: DType,
}

/// Lines as they grow.
struct Lanes<'s> {
    around: Around<'s>,
    lane: LoopId,
    count: usize,
    statements: Vec<Statement>,
    /// What is in a register already.
    known: Vec<(Expr, Held)>,
}

/// How an element is reached from one lane to the next.
enum Reach {
    Neighbour,
    Same,
}

impl Lanes<'_> {
    fn statement(&mut self, statement: &Statement) -> Option<()> {
        let Statement::Store { target, at, reduce: Reduce::Set, value } = statement else { return None };
        if self.is_register(*target) {
            let register = *target;
            return self.into(value, Some((register, at[..at.len() - 1].to_vec()))).map(|_| ());
        }
        let Reach::Neighbour = self.reach(at)? else { return None };
        let stored = self.around.program.dtype(*target);
        // A store may narrow what it stores.
        if let Expr::Cast(_, inner) = value
            && let Some(held) = self.attempt(|lanes| {
                let held = lanes.value(inner)?;
                lanes.store(*target, at, stored, &held)
            })
        {
            return Some(held);
        }
        let held = self.value(value)?;
        self.store(*target, at, stored, &held)
    }

    /// What `f` adds, or nothing of it.
    fn attempt<T>(&mut self, f: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let (lines, known) = (self.statements.len(), self.known.len());
        let done = f(self);
        if done.is_none() {
            self.statements.truncate(lines);
            self.known.truncate(known);
        }
        done
    }

    fn store(&mut self, target: TensorId, at: &[Index], stored: DType, held: &Held) -> Option<()> {
        let convert = |value: Expr| if held.dtype == stored { value } else { value.cast(stored) };
        let mut probe = Probe::new(self.around.library);
        let (variable, from, to) =
            (probe.variable(), probe.vector(held.dtype, self.count), probe.memory(stored));
        let lane = || Index::of_loop(variable);
        let value = convert(Expr::read(from.0, vec![Index::default(), lane()]));
        let name = probe.find(lanes_of(variable, self.count, set(to.0, vec![lane()], value)))?;
        let value = convert(self.read(held));
        self.push(name, set(target, at.to_vec(), value));
        Some(())
    }

    fn read(&self, held: &Held) -> Expr {
        Expr::read(
            held.register,
            held.row.iter().cloned().chain([Index::of_loop(self.lane)]).collect::<Vec<_>>(),
        )
    }

    fn push(&mut self, instruction: String, line: Statement) {
        let body = vec![lanes_of(self.lane, self.count, line)];
        self.statements.push(Statement::Use { instruction, body });
    }

    fn register(&mut self, name: &str, dtype: DType, shape: Vec<usize>, vector: bool) -> TensorId {
        new_register(self.around.program, self.around.kernel, name, dtype, shape, vector)
    }

    fn is_register(&self, id: TensorId) -> bool {
        id.0 as usize >= self.around.program.tensors.len()
    }

    fn reach(&self, at: &[Index]) -> Option<Reach> {
        let moves = |index: &Index| index.loops().contains(&self.lane);
        let (last, others) = at.split_last()?;
        match (moves(last), others.iter().any(moves)) {
            (false, false) => Some(Reach::Same),
            (true, false) if last.is_affine() && last.factor(self.lane) == 1 => Some(Reach::Neighbour),
            _ => None,
        }
    }

    fn value(&mut self, value: &Expr) -> Option<Held> {
        self.into(value, None)
    }

    /// The value in a register: a new one, or the one that is asked for.
    fn into(&mut self, value: &Expr, target: Option<(TensorId, Vec<Index>)>) -> Option<Held> {
        if let (None, Some((_, held))) = (&target, self.known.iter().find(|(known, _)| known == value)) {
            return Some(held.clone());
        }
        let asked = target.is_some();
        let held = match value {
            Expr::Read(access) => self.element(access, None, target)?,
            Expr::Literal(dtype, _) => self.copies(*dtype, value, target)?,
            Expr::Cast(to, inner) => {
                let widened = match inner.as_ref() {
                    Expr::Read(access) => {
                        let target = target.clone();
                        self.attempt(|lanes| lanes.element(access, Some(*to), target))
                    }
                    _ => None,
                };
                match widened {
                    Some(held) => held,
                    None => self.operation(&[inner], Some(*to), &|a| a[0].clone().cast(*to), target)?,
                }
            }
            Expr::Unary(operation, a) => {
                self.operation(&[a], None, &|a| a[0].clone().unary(*operation), target)?
            }
            Expr::Binary(operation, a, b) if !operation.is_comparison() => {
                let own = |a: &[Expr]| a[0].clone().binary(*operation, a[1].clone());
                self.operation(&[a, b], None, &own, target)?
            }
            Expr::MultiplyAdd(abc) => {
                let own =
                    |a: &[Expr]| Expr::MultiplyAdd(Box::new([a[0].clone(), a[1].clone(), a[2].clone()]));
                self.operation(&abc.each_ref(), None, &own, target)?
            }
            _ => return None,
        };
        if !asked {
            self.known.push((value.clone(), held.clone()));
        }
        Some(held)
    }

    fn fresh(&mut self, dtype: DType, target: Option<(TensorId, Vec<Index>)>) -> Held {
        let (register, row) =
            target.unwrap_or_else(|| (self.register("lanes", dtype, vec![self.count], true), vec![]));
        Held { register, row, dtype }
    }

    /// An element of a tensor, which a load may widen.
    fn element(
        &mut self,
        access: &Access,
        widened: Option<DType>,
        target: Option<(TensorId, Vec<Index>)>,
    ) -> Option<Held> {
        if access.outside.is_some() {
            return None;
        }
        if self.is_register(access.tensor) {
            let register =
                &self.around.kernel.registers[access.tensor.0 as usize - self.around.program.tensors.len()];
            let (dtype, row) = (register.dtype, access.at[..access.at.len() - 1].to_vec());
            let plain = register.vector && widened.is_none() && target.is_none();
            return plain.then_some(Held { register: access.tensor, row, dtype });
        }
        let stored = self.around.program.dtype(access.tensor);
        let dtype = widened.unwrap_or(stored);
        let convert = |value: Expr| if widened.is_some() { value.cast(dtype) } else { value };
        let reach = self.reach(&access.at)?;
        let mut probe = Probe::new(self.around.library);
        let (variable, to, from) = (probe.variable(), probe.vector(dtype, self.count), probe.memory(stored));
        let lane = Index::of_loop(variable);
        let place = match reach {
            Reach::Neighbour => lane.clone(),
            Reach::Same => Index::default(),
        };
        let value = convert(Expr::read(from.0, vec![place]));
        let line = lanes_of(variable, self.count, set(to.0, vec![Index::default(), lane], value));
        match (probe.find(line), reach) {
            (Some(name), _) => {
                let held = self.fresh(dtype, target);
                self.set(&held, name, convert(Expr::Read(access.clone())));
                Some(held)
            }
            (None, Reach::Same) if widened.is_none() => {
                self.copies(dtype, &Expr::Read(access.clone()), target)
            }
            _ => None,
        }
    }

    fn set(&mut self, held: &Held, instruction: String, value: Expr) {
        let at = held.row.iter().cloned().chain([Index::of_loop(self.lane)]).collect();
        self.push(instruction, set(held.register, at, value));
    }

    /// One value in every lane.
    fn copies(&mut self, dtype: DType, value: &Expr, target: Option<(TensorId, Vec<Index>)>) -> Option<Held> {
        let mut probe = Probe::new(self.around.library);
        let (variable, to, from) = (probe.variable(), probe.vector(dtype, self.count), probe.scalar(dtype));
        let at = vec![Index::default(), Index::of_loop(variable)];
        let name = probe.find(lanes_of(variable, self.count, set(to.0, at, Expr::read(from, vec![]))))?;
        let one = self.register("one", dtype, vec![], false);
        self.statements.push(set(one, vec![], value.clone()));
        let held = self.fresh(dtype, target);
        self.set(&held, name, Expr::read(one, vec![]));
        Some(held)
    }

    /// An operation on registers; its result has the type of the first one, if no other is given.
    fn operation(
        &mut self,
        operands: &[&Expr],
        result: Option<DType>,
        operation: &dyn Fn(&[Expr]) -> Expr,
        target: Option<(TensorId, Vec<Index>)>,
    ) -> Option<Held> {
        let held = operands.iter().map(|operand| self.value(operand)).collect::<Option<Vec<Held>>>()?;
        let dtype = result.or(held.first().map(|held| held.dtype))?;
        let mut probe = Probe::new(self.around.library);
        let (variable, to) = (probe.variable(), probe.vector(dtype, self.count));
        let at = || vec![Index::default(), Index::of_loop(variable)];
        let reads = held.iter().map(|held| Expr::read(probe.vector(held.dtype, self.count).0, at()));
        let value = operation(&reads.collect::<Vec<_>>());
        let name = probe.find(lanes_of(variable, self.count, set(to.0, at(), value)))?;
        let reads: Vec<Expr> = held.iter().map(|held| self.read(held)).collect();
        let result = self.fresh(dtype, target);
        self.set(&result, name, operation(&reads));
        Some(result)
    }
}
