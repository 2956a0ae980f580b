//! Programs of index notation: tensors, statements, repetition and branches.
//!
//! Owns the grammar. `out[at] reduce body`, for every point of the box `loops`, is the one statement form.
//!
//! Meaning: steps run in order. A statement evaluates its body at every point of its box, the last loop
//! fastest, and combines it into `out[at]`; points whose `at` leaves the tensor write nothing. A tensor whose
//! first writer accumulates holds that reduction's identity before; a tensor written with `=` gets each element
//! exactly once between reads, from one or from several statements. A state is constant within a run; when the run ends, it
//! becomes a copy of its next value.

use crate::array::Array;
use crate::dtype::{DType, Value};
use crate::expression::{Access, Binary, Expr};
use crate::index::Index;

mod visit;

use visit::visit_steps;
pub use visit::{for_each_carry, for_each_read, for_each_statement_mut, for_each_write};

/// A tensor of a program, by position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TensorId(pub u32);

/// A loop seen by a statement: first those of the enclosing `repeat`s, outermost first, then the statement's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LoopId(pub u32);

/// A program: what a network, or one operator, computes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Program {
    /// The program's name.
    pub name: String,
    /// All tensors. Inputs and outputs are in the caller's order among themselves.
    pub tensors: Vec<Tensor>,
    /// What runs, in order.
    pub steps: Vec<Step>,
}

/// A dense tensor.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Unique within the program.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Who gives it its value.
    pub role: Role,
}

/// Who gives a tensor its value, and who sees it.
#[derive(Clone, PartialEq, Debug)]
pub enum Role {
    /// The caller gives it; never written.
    Input,
    /// Written here, read by the caller.
    Output,
    /// Known at compile time.
    Constant(Array),
    /// It holds a value from one run to the next; never written within a run.
    State(State),
    /// Written and read here.
    Local,
}

/// How a tensor that outlives a run changes. Its type and shape are those of both.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// What it holds before the first run, and after a reset.
    pub initial: Array,
    /// What it holds after a run: a copy of this tensor, which is no state itself, at the end of that run.
    pub next: TensorId,
}

/// What a program is made of.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// One statement.
    Statement(Statement),
    /// A loop in time with carried state.
    Repeat(Repeat),
    /// A choice made at run time.
    Branch(Branch),
}

/// `out[at] reduce body`, for every point of the box `loops`.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// Where it comes from: a node's name. May be empty.
    pub label: String,
    /// The box, outermost first.
    pub loops: Vec<Loop>,
    /// What is written.
    pub out: TensorId,
    /// Where, one index per dimension.
    pub at: Vec<Index>,
    /// How the body's value is combined with what is there.
    pub reduce: Reduce,
    /// What is computed.
    pub body: Expr,
}

/// A loop over `0..extent`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loop {
    /// For the reader; unique among the loops that a statement sees.
    pub name: String,
    /// The number of iterations.
    pub extent: usize,
}

/// `repeat counter carrying (state = initial then next, …) { body }`: before the first iteration each state is a
/// copy of its initial value, after each iteration a copy of its next value. The body sees the counter as a loop.
#[derive(Clone, PartialEq, Debug)]
pub struct Repeat {
    /// Where it comes from: a node's name. May be empty.
    pub label: String,
    /// Time.
    pub counter: Loop,
    /// The state that goes from one iteration to the next.
    pub carried: Vec<Carry>,
    /// What runs each time. Tensors written here hold nothing at the start of an iteration, except for those that
    /// are written at indices of the counter.
    pub body: Vec<Step>,
}

/// A piece of carried state; the three tensors have one type and shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carry {
    /// What the body, and the steps after the repetition, read.
    pub state: TensorId,
    /// Its value before the first iteration.
    pub initial: TensorId,
    /// Written by the body.
    pub next: TensorId,
}

/// `if condition { then } else { otherwise }`, on a boolean tensor of one element.
#[derive(Clone, PartialEq, Debug)]
pub struct Branch {
    /// Where it comes from: a node's name. May be empty.
    pub label: String,
    /// The boolean.
    pub condition: TensorId,
    /// Runs where it is true.
    pub then: Vec<Step>,
    /// Runs where it is false; writes the same outer tensors.
    pub otherwise: Vec<Step>,
}

/// How a statement combines a value with what its output holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reduce {
    /// `=`: each element once.
    Set,
    /// `+=`.
    Sum,
    /// `*=`.
    Product,
    /// `min=`.
    Min,
    /// `max=`.
    Max,
    /// `argmax=`: the position, within the box of the loops that `at` does not name, of the first largest value.
    ArgMax,
    /// `|=`: logical or bitwise.
    Or,
}

impl Reduce {
    /// Every reduction with its sign in the text form.
    pub const ALL: &[(Reduce, &str)] = &[
        (Reduce::Set, "="),
        (Reduce::Sum, "+="),
        (Reduce::Product, "*="),
        (Reduce::Min, "min="),
        (Reduce::Max, "max="),
        (Reduce::ArgMax, "argmax="),
        (Reduce::Or, "|="),
    ];

    /// The sign in the text form.
    pub fn name(self) -> &'static str {
        Reduce::ALL.iter().find(|(reduce, _)| *reduce == self).map_or("=", |(_, name)| name)
    }

    /// The value that changes nothing, for those that accumulate: the smallest value of the type for `max=`.
    pub fn identity(self, dtype: DType) -> Option<Value> {
        let extreme = |sign: f64| match dtype {
            t if t.is_float() => Value::from_f64(t, sign * f64::INFINITY),
            t => Value::Int(if sign < 0.0 { smallest(t) } else { largest(t) }),
        };
        match self {
            Reduce::Set => None,
            Reduce::Sum | Reduce::ArgMax | Reduce::Or => Some(Value::from_f64(dtype, 0.0)),
            Reduce::Product => Some(Value::from_f64(dtype, 1.0)),
            Reduce::Min => Some(extreme(1.0)),
            Reduce::Max => Some(extreme(-1.0)),
        }
    }
}

/// The smallest value of an integer or boolean type, as `Value::Int` holds it.
pub fn smallest(dtype: DType) -> i64 {
    match dtype {
        DType::I4 => -8,
        DType::I8 => i8::MIN as i64,
        DType::I16 => i16::MIN as i64,
        DType::I32 => i32::MIN as i64,
        DType::I64 => i64::MIN,
        _ => 0,
    }
}

/// The largest value of an integer or boolean type, as `Value::Int` holds it.
pub fn largest(dtype: DType) -> i64 {
    match dtype {
        DType::Bool => 1,
        DType::I4 => 7,
        DType::I8 => i8::MAX as i64,
        DType::U8 => u8::MAX as i64,
        DType::I16 => i16::MAX as i64,
        DType::U16 => u16::MAX as i64,
        DType::I32 => i32::MAX as i64,
        DType::U32 => u32::MAX as i64,
        DType::U64 => -1,
        _ => i64::MAX,
    }
}

impl Program {
    /// The tensor `id`.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    /// The shape of tensor `id`.
    pub fn shape(&self, id: TensorId) -> &[usize] {
        &self.tensor(id).shape
    }

    /// The element type of tensor `id`.
    pub fn dtype(&self, id: TensorId) -> DType {
        self.tensor(id).dtype
    }

    /// All tensors with their ids.
    pub fn tensors(&self) -> impl Iterator<Item = (TensorId, &Tensor)> {
        self.tensors.iter().enumerate().map(|(i, t)| (TensorId(i as u32), t))
    }

    /// The inputs, in the caller's order.
    pub fn inputs(&self) -> Vec<TensorId> {
        self.tensors().filter(|(_, t)| t.role == Role::Input).map(|(id, _)| id).collect()
    }

    /// The outputs, in the caller's order.
    pub fn outputs(&self) -> Vec<TensorId> {
        self.tensors().filter(|(_, t)| t.role == Role::Output).map(|(id, _)| id).collect()
    }

    /// The tensors that outlive a run, with how they change.
    pub fn states(&self) -> impl Iterator<Item = (TensorId, &State)> {
        self.tensors().filter_map(|(id, tensor)| match &tensor.role {
            Role::State(state) => Some((id, state)),
            _ => None,
        })
    }

    /// Adds a tensor. The name is made unique by a number behind it.
    pub fn add_tensor(&mut self, name: &str, dtype: DType, shape: &[usize], role: Role) -> TensorId {
        let taken = |name: &str| self.tensors.iter().any(|t| t.name == name);
        let mut unique = name.to_string();
        let mut number = 1;
        while taken(&unique) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        self.tensors.push(Tensor { name: unique, dtype, shape: shape.to_vec(), role });
        TensorId(self.tensors.len() as u32 - 1)
    }

    /// The element type of an expression; where its operands disagree, the first operand's.
    pub fn type_of(&self, expression: &Expr) -> DType {
        expression.dtype(&|id| self.dtype(id))
    }

    /// Calls `f` with every statement and the counters of the repetitions around it, in the order of the text.
    pub fn visit_statements<'a>(&'a self, f: &mut dyn FnMut(&[&'a Loop], &'a Statement)) {
        visit_steps(&self.steps, &mut vec![], f);
    }

    /// All statements, in the order of the text.
    pub fn statements(&self) -> Vec<&Statement> {
        let mut found = vec![];
        self.visit_statements(&mut |_, statement| found.push(statement));
        found
    }

    /// How many times each tensor is read, by statements, states, conditions and the caller.
    pub fn read_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.tensors.len()];
        let next = self.states().map(|(_, state)| state.next);
        for id in self.outputs().into_iter().chain(next) {
            counts[id.0 as usize] += 1;
        }
        for_each_read(&self.steps, &mut |id| counts[id.0 as usize] += 1);
        counts
    }
}

impl Statement {
    /// The extents of all loops that the statement sees: the counters around it, then its own.
    pub fn extents(&self, counters: &[&Loop]) -> Vec<usize> {
        counters.iter().map(|l| l.extent).chain(self.loops.iter().map(|l| l.extent)).collect()
    }

    /// Every tensor that is read: by the body, and by indices on either side.
    pub fn reads(&self) -> Vec<TensorId> {
        let mut found: Vec<TensorId> = self.body.accesses().iter().map(|a| a.tensor).collect();
        for index in self.body.indices().into_iter().chain(&self.at) {
            index.visit_atoms(&mut |atom| {
                if let crate::index::Atom::Read(tensor, _) = atom {
                    found.push(*tensor);
                }
            });
        }
        found
    }

    /// The tensor accesses of the body.
    pub fn accesses(&self) -> Vec<&Access> {
        self.body.accesses()
    }

    /// The multiply-accumulates of one execution, positions beyond the edges included: the points of the box, where a sum's body
    /// multiplies two values that are read.
    pub fn macs(&self) -> u64 {
        let mut multiplies = false;
        let is_read = |e: &Expr| !e.accesses().is_empty();
        self.body.visit(&mut |node| {
            multiplies |= match node {
                Expr::Binary(Binary::Mul, a, b) => is_read(a) && is_read(b),
                Expr::MultiplyAdd(abc) => is_read(&abc[0]) && is_read(&abc[1]),
                _ => false,
            }
        });
        let points = self.loops.iter().fold(1u64, |points, l| points.saturating_mul(l.extent as u64));
        if multiplies && self.reduce == Reduce::Sum { points } else { 0 }
    }

    /// The loops of the statement's own box that `at` does not name: those it reduces over. `depth` is the number of
    /// counters around it.
    pub fn reduced_loops(&self, depth: usize) -> Vec<usize> {
        let used: Vec<LoopId> = self.at.iter().flat_map(Index::loops).collect();
        (0..self.loops.len()).filter(|&l| !used.contains(&LoopId((depth + l) as u32))).collect()
    }
}
