//! Registers as scalar variables, each declared where it is first needed.
//!
//! Owns the choice of the place: the innermost block that holds all uses of a scalar, if the scalar gets its value there
//! before anything else; otherwise the outermost such block, with zero.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use nablac_index::{Expr, Index, Reduce, TensorId};
use nablac_loops::{For, Instruction, Kernel, Operand, Parts, Program, Register, Statement};

use crate::writer::constant_position;

/// An element of a register: the register's number within the kernel, and the row-major position.
pub type Scalar = (usize, usize);

/// Finds the scalars of statements whose loops are written out.
pub struct Scalars<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
    /// What has been found, by a statement's address: every block asks for all that is inside of it.
    known: RefCell<HashMap<*const Statement, Rc<Touched>>>,
}

/// The scalars that a statement, or what is inside of it, touches.
#[derive(Default)]
struct Touched {
    /// Those whose values it reads.
    reads: BTreeSet<Scalar>,
    /// Those that it reads or writes.
    uses: BTreeSet<Scalar>,
}

impl<'a> Scalars<'a> {
    /// Those of a kernel, whose statements stay where they are.
    pub fn new(program: &'a Program, kernel: &'a Kernel) -> Scalars<'a> {
        Scalars { program, kernel, known: RefCell::default() }
    }

    fn scalar(&self, tensor: TensorId, at: &[Index]) -> Option<Scalar> {
        let register = (tensor.0 as usize).checked_sub(self.program.buffers.len())?;
        Some((register, constant_position(at, &self.kernel.registers[register].shape)))
    }

    /// What an instruction works on, with what stands for it here.
    pub fn operands(&self, instruction: &str, body: &[Statement]) -> Vec<(&Instruction, usize, Operand)> {
        let library = self.program.library.as_ref();
        let Some(known) = library.and_then(|library| library.instruction(instruction)) else { return vec![] };
        let operands = known.bind(self.program, self.kernel, body).unwrap_or_default();
        operands.into_iter().enumerate().map(|(p, operand)| (known, p, operand)).collect()
    }

    /// The scalar, or the register of several elements, that is an instruction's operand; `None` for one in memory.
    pub fn of_operand(&self, operand: &Operand) -> Option<Scalar> {
        let register = (operand.tensor.0 as usize).checked_sub(self.program.buffers.len())?;
        let lanes = lanes(&self.kernel.registers[register]);
        Some((register, operand.position.offset() as usize / lanes))
    }

    /// The registers that an instruction reads, or else those that it writes.
    fn touched(&self, instruction: &str, body: &[Statement], read: bool) -> BTreeSet<Scalar> {
        let own = |(known, p, operand): (&Instruction, usize, Operand)| {
            let id = TensorId(p as u32);
            let touched = if read { known.reads(id) } else { known.written().contains(&id) };
            self.of_operand(&operand).filter(|_| touched)
        };
        self.operands(instruction, body).into_iter().filter_map(own).collect()
    }

    fn read_by(&self, expression: &Expr, found: &mut BTreeSet<Scalar>) {
        found
            .extend(expression.accesses().iter().filter_map(|access| self.scalar(access.tensor, &access.at)));
    }

    fn touched_by(&self, statement: &Statement) -> Rc<Touched> {
        if let Some(known) = self.known.borrow().get(&std::ptr::from_ref(statement)) {
            return known.clone();
        }
        let mut touched = Touched::default();
        match statement {
            Statement::Store { target, at, value, .. } => {
                self.read_by(value, &mut touched.reads);
                touched.uses.extend(self.scalar(*target, at));
            }
            Statement::Use { instruction, body } => {
                touched.reads = self.touched(instruction, body, true);
                touched.uses = self.touched(instruction, body, false);
            }
            Statement::For(For { body, .. }) | Statement::If { body, .. } => {
                for inner in body {
                    let inner = self.touched_by(inner);
                    touched.reads.extend(&inner.reads);
                    touched.uses.extend(&inner.uses);
                }
            }
        }
        if let Statement::If { condition, .. } = statement {
            self.read_by(condition, &mut touched.reads);
        }
        touched.uses.extend(&touched.reads);
        let touched = Rc::new(touched);
        self.known.borrow_mut().insert(std::ptr::from_ref(statement), touched.clone());
        touched
    }

    /// The scalars whose values a statement, or what is inside of it, reads.
    pub fn reads(&self, statement: &Statement) -> BTreeSet<Scalar> {
        self.touched_by(statement).reads.clone()
    }

    /// The scalars that a statement, or what is inside of it, reads or writes.
    pub fn uses(&self, statement: &Statement) -> BTreeSet<Scalar> {
        self.touched_by(statement).uses.clone()
    }

    /// The scalar that a statement gives its first value: `s = …` without reading `s`.
    pub fn begun_by(&self, statement: &Statement) -> Option<Scalar> {
        let scalar = match statement {
            Statement::Store { target, at, reduce: Reduce::Set, .. } => self.scalar(*target, at),
            Statement::Use { instruction, body } => self.touched(instruction, body, false).first().copied(),
            _ => None,
        };
        scalar.filter(|scalar| !self.touched_by(statement).reads.contains(scalar))
    }

    /// Whether a block, or one inside of it, holds all uses of `scalar` in `body` and begins with giving it a value.
    fn begins_in(&self, scalar: Scalar, body: &[Statement]) -> bool {
        let mut users = body.iter().filter(|statement| self.touched_by(statement).uses.contains(&scalar));
        let (Some(first), rest) = (users.next(), users.count()) else { return false };
        match first {
            Statement::Store { .. } | Statement::Use { .. } => self.begun_by(first) == Some(scalar),
            // A parallel loop has registers of its own.
            Statement::For(nest) if Parts::of(nest).is_some_and(|parts| parts.count > 1) => rest == 0,
            Statement::For(For { body, .. }) => rest == 0 && self.begins_in(scalar, body),
            Statement::If { condition, body } => {
                let mut read = BTreeSet::new();
                self.read_by(condition, &mut read);
                rest == 0 && !read.contains(&scalar) && self.begins_in(scalar, body)
            }
        }
    }

    /// Of the `pending` scalars, which are used in a loop's body alone: those that it may read before it gives them a value.
    pub fn carried(&self, pending: &BTreeSet<Scalar>, body: &[Statement]) -> BTreeSet<Scalar> {
        pending.iter().copied().filter(|scalar| !self.begins_in(*scalar, body)).collect()
    }

    /// Of the `pending` scalars: those that are declared in this block itself, and by which statement; the others belong to
    /// blocks inside.
    pub fn declared(&self, pending: &BTreeSet<Scalar>, body: &[Statement]) -> Vec<(Scalar, Place)> {
        let place = |scalar: &Scalar| {
            let mut users = body
                .iter()
                .enumerate()
                .filter(|(_, statement)| self.touched_by(statement).uses.contains(scalar));
            let (position, first) = users.next()?;
            if self.begun_by(first) == Some(*scalar) {
                return Some((*scalar, Place::Store(position)));
            }
            let inside = users.next().is_none() && self.begins_in(*scalar, body);
            (!inside).then_some((*scalar, Place::Top))
        };
        pending.iter().filter_map(place).collect()
    }
}

/// How many elements one machine register of a register array holds.
pub fn lanes(register: &Register) -> usize {
    if register.vector { register.shape.last().copied().unwrap_or(1) } else { 1 }
}

/// Where in a block a scalar is declared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At its top, as zero.
    Top,
    /// By the store at this position.
    Store(usize),
}
