//! Writing programs in Rust: what an operator's `define` is given.
//!
//! Owns the short forms in which a law is stated. A loop nest is written with named extents and a closure over the loops'
//! indices, so that the code reads like the law above it.

use crate::array::Array;
use crate::dtype::DType;
use crate::expression::Expr;
use crate::index::Index;
use crate::program::{
    Branch, Carry, Loop, LoopId, Program, Reduce, Repeat, Role, State, Statement, Step, TensorId,
};

/// A program under construction.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    program: Program,
    /// Blocks of enclosing `repeat`s and branches; the last one receives steps.
    blocks: Vec<Vec<Step>>,
    counters: usize,
    label: String,
    prefix: String,
}

/// The names of loops whose meaning is only a position.
const AXES: [&str; MAX_RANK] = [
    "i", "j", "k", "l", "m", "n", "p", "q", "r", "s", "t", "u", "v", "w", "x", "y", "z", "a", "b", "c", "d",
    "e", "f", "g", "h", "o",
];

/// The most dimensions of a tensor whose loops are named by position.
pub const MAX_RANK: usize = 26;

/// A row of loops named by position: `i`, `j`, `k`, …
pub fn axes(shape: &[usize]) -> Vec<(&'static str, usize)> {
    assert!(shape.len() <= AXES.len(), "more than {} dimensions", AXES.len());
    AXES.iter().copied().zip(shape.iter().copied()).collect()
}

impl Builder {
    /// An empty program.
    pub fn new(name: &str) -> Builder {
        Builder { program: Program { name: name.into(), ..Program::default() }, ..Builder::default() }
    }

    /// The program so far.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The finished program.
    pub fn finish(self) -> Program {
        assert!(self.blocks.is_empty(), "a block is open");
        self.program
    }

    /// Statements from here on come from the node `label`; local tensors are named after it.
    pub fn set_label(&mut self, label: &str, prefix: &str) {
        self.label = label.into();
        self.prefix = prefix.into();
    }

    /// What `set_label` set: the label and the prefix.
    pub fn label(&self) -> (String, String) {
        (self.label.clone(), self.prefix.clone())
    }

    /// The shape of a tensor.
    pub fn shape(&self, tensor: TensorId) -> Vec<usize> {
        self.program.shape(tensor).to_vec()
    }

    /// The element type of a tensor.
    pub fn dtype(&self, tensor: TensorId) -> DType {
        self.program.dtype(tensor)
    }

    /// Adds a tensor of any role, under the name as given.
    pub fn tensor(&mut self, name: &str, dtype: DType, shape: &[usize], role: Role) -> TensorId {
        self.program.add_tensor(name, dtype, shape, role)
    }

    /// Adds a local tensor; its name is the current prefix and `name`.
    pub fn local(&mut self, name: &str, dtype: DType, shape: &[usize]) -> TensorId {
        let name = match (self.prefix.is_empty(), name.is_empty()) {
            (true, _) => name.to_string(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}.{name}", self.prefix),
        };
        self.program.add_tensor(&name, dtype, shape, Role::Local)
    }

    /// Adds a constant.
    pub fn constant(&mut self, name: &str, array: Array) -> TensorId {
        self.program.add_tensor(name, array.dtype(), array.shape(), Role::Constant(array.clone()))
    }

    /// Adds a state; its next value is given later, by `set_next`.
    pub fn state(&mut self, name: &str, initial: Array) -> TensorId {
        let own = TensorId(self.program.tensors.len() as u32);
        let (dtype, shape) = (initial.dtype(), initial.shape().to_vec());
        self.program.add_tensor(name, dtype, &shape, Role::State(State { initial, next: own }))
    }

    /// `next` is what the state holds when a run ends.
    pub fn set_next(&mut self, state: TensorId, next: TensorId) {
        if let Role::State(state) = &mut self.program.tensors[state.0 as usize].role {
            state.next = next;
        }
    }

    /// `out[at] reduce body` over `loops`. The closure is given one index per loop and returns `at` and the body.
    pub fn write(
        &mut self,
        out: TensorId,
        reduce: Reduce,
        loops: &[(&str, usize)],
        law: impl FnOnce(&[Index]) -> (Vec<Index>, Expr),
    ) {
        let indices: Vec<Index> =
            (0..loops.len()).map(|l| Index::of_loop(LoopId((self.counters + l) as u32))).collect();
        let (at, body) = law(&indices);
        let loops = loops.iter().map(|&(name, extent)| Loop { name: name.into(), extent }).collect();
        let label = self.label.clone();
        self.push(Step::Statement(Statement { label, loops, out, at, reduce, body }));
    }

    /// A new local tensor `name[space] reduce body`: its dimensions are the loops of `space`, those of `over` are reduced.
    /// The closure is given the indices of `space`, then of `over`.
    pub fn emit(
        &mut self,
        name: &str,
        dtype: DType,
        space: &[(&str, usize)],
        over: &[(&str, usize)],
        reduce: Reduce,
        body: impl FnOnce(&[Index]) -> Expr,
    ) -> TensorId {
        let shape: Vec<usize> = space.iter().map(|l| l.1).collect();
        let out = self.local(name, dtype, &shape);
        self.write(out, reduce, &[space, over].concat(), |at| (at[..space.len()].to_vec(), body(at)));
        out
    }

    /// A new local tensor whose elements are each computed from their own position.
    pub fn map(
        &mut self,
        name: &str,
        dtype: DType,
        shape: &[usize],
        body: impl FnOnce(&[Index]) -> Expr,
    ) -> TensorId {
        self.emit(name, dtype, &axes(shape), &[], Reduce::Set, body)
    }

    /// `repeat name:extent carrying … { body }`. The closure is given the counter, and gives what is carried. Within other
    /// repetitions the counter's name has a number behind it.
    pub fn repeat(&mut self, counter: (&str, usize), body: impl FnOnce(&mut Builder, Index) -> Vec<Carry>) {
        let time = Index::of_loop(LoopId(self.counters as u32));
        self.counters += 1;
        self.blocks.push(vec![]);
        let carried = body(self, time);
        self.counters -= 1;
        let body = self.blocks.pop().unwrap_or_default();
        let name = match self.counters {
            0 => counter.0.to_string(),
            around => format!("{}{}", counter.0, around + 1),
        };
        let counter = Loop { name, extent: counter.1 };
        self.push(Step::Repeat(Repeat { label: self.label.clone(), counter, carried, body }));
    }

    /// `if condition { then } else { otherwise }`.
    pub fn branch(
        &mut self,
        condition: TensorId,
        then: impl FnOnce(&mut Builder),
        otherwise: impl FnOnce(&mut Builder),
    ) {
        self.blocks.push(vec![]);
        then(self);
        let then = self.blocks.pop().unwrap_or_default();
        self.blocks.push(vec![]);
        otherwise(self);
        let otherwise = self.blocks.pop().unwrap_or_default();
        self.push(Step::Branch(Branch { label: self.label.clone(), condition, then, otherwise }));
    }

    fn push(&mut self, step: Step) {
        match self.blocks.last_mut() {
            Some(block) => block.push(step),
            None => self.program.steps.push(step),
        }
    }
}
