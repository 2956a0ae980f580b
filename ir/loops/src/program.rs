//! Loop nests: buffers that live in memories, and kernels of loops over them.
//!
//! Owns the grammar. Expressions and indices are those of index notation, with a tensor id naming a buffer and a loop id
//! naming a variable of the kernel; what is new is order, place and time.

use nablac_index::{Array, DType, Expr, Index, LoopId, Reduce, State, TensorId};

use crate::instruction::Library;
use crate::parts::Parts;
use crate::plan::Proof;

/// How a network, or one operator, runs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Program {
    /// The program's name.
    pub name: String,
    /// The hardware instructions that `use` names; nothing where there is none.
    pub library: Option<Library>,
    /// All buffers; an access in a kernel names one by position, or, from `buffers.len()` on, one of the kernel's registers.
    pub buffers: Vec<Buffer>,
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// The bytes of the arena that the memory plan needs; 0 before planning.
    pub arena_bytes: usize,
    /// What the memory plan knows of smaller arenas; nothing before planning.
    pub proof: Option<Proof>,
}

/// A dense row-major array in a memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// Unique within the program.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The extents, outermost first.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// Where it begins in the arena, in bytes; set by the memory plan. Constants have no place there.
    pub offset: Option<usize>,
}

/// What a buffer is for.
#[derive(Clone, PartialEq, Debug)]
pub enum Role {
    /// The caller gives its values.
    Input(Delivery),
    /// The caller reads it after a run.
    Output,
    /// Lives in flash, in the layout that the kernels read it in.
    Constant(Array),
    /// Lives between the kernels that write and read it.
    Local,
    /// Lives from one run to the next: at the end of a run it becomes a copy of its next value. It is not written before, unless it is its
    /// own next value: nobody then reads the old one behind the first write.
    State(State),
}

/// How an input's values reach the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Delivery {
    /// They are in the arena when a run begins.
    #[default]
    Whole,
    /// The caller is asked for one row after the other (`Receive`): the input has no memory of its own.
    Rows,
    /// They are read where the caller has them, at any time during a run.
    External,
}

/// How a caller gives an input, as the bytes of its elements in row-major order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Feed {
    /// It writes them into the arena.
    #[default]
    Whole,
    /// It says where they are.
    External,
    /// It is asked for one row after the other.
    Rows {
        /// How many pieces a row has.
        pieces: usize,
        /// How many rows there are; piece `p` of row `r` is at `(p * rows + r) * bytes`.
        rows: usize,
        /// The bytes of a piece.
        bytes: usize,
    },
}

/// What a program is made of.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// One nest.
    Kernel(Kernel),
    /// Steps that run several times.
    Repeat(Repeat),
    /// The caller delivers a part of an input, in the order in which the program asks for them.
    Receive(Receive),
    /// A choice on a boolean buffer of one element.
    Branch {
        /// The boolean.
        condition: TensorId,
        /// Runs where it is true.
        then: Vec<Step>,
        /// Runs where it is false.
        otherwise: Vec<Step>,
    },
}

/// `repeat counter:extent in low..high carrying (state = initial then next, …) { body }`, as in index notation. The counter is variable
/// `depth` of every kernel inside, counting enclosing repetitions from 0.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Repeat {
    /// The counter's name.
    pub counter: String,
    /// It is below this, and not negative.
    pub extent: usize,
    /// What else bounds it, by enclosing counters: it is not below the first, and below the second.
    pub within: Option<(Index, Index)>,
    /// `(state, initial, next)` buffers.
    pub carried: Vec<(TensorId, TensorId, TensorId)>,
    /// What runs each time.
    pub body: Vec<Step>,
}

/// `receive input along 1 at position into buffer at slot`: all elements of an input that the caller delivers by rows, at one position
/// along a dimension. That dimension is the buffer's first; the others follow in their order.
#[derive(Clone, PartialEq, Debug)]
pub struct Receive {
    /// The input.
    pub input: TensorId,
    /// The dimension along which its rows lie.
    pub along: usize,
    /// Which row, by enclosing counters.
    pub position: Index,
    /// Where it goes.
    pub buffer: TensorId,
    /// Its place along the buffer's first dimension.
    pub slot: Index,
}

/// One nest: becomes one function of the generated code.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Kernel {
    /// Unique within the program; an identifier-like name of the nodes it computes.
    pub name: String,
    /// What it computes, in index notation: the comment above the code.
    pub laws: Vec<String>,
    /// The multiply-accumulates of its laws in one run, those of all repetitions and of positions beyond the edges included.
    pub macs: u64,
    /// The names of its variables: first the counters of enclosing repetitions, then one per loop.
    pub variables: Vec<String>,
    /// Small arrays that live in registers. Their indices are constant once `Unroll` loops are expanded.
    pub registers: Vec<Register>,
    /// The code.
    pub body: Vec<Statement>,
}

/// A small array that lives in registers.
#[derive(Clone, PartialEq, Debug)]
pub struct Register {
    /// Unique within the kernel, and no buffer's name.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The extents; empty for one scalar.
    pub shape: Vec<usize>,
    /// Whether the last dimension is the lanes of one machine register, which only instructions reach.
    pub vector: bool,
}

/// A line of a kernel.
#[derive(Clone, PartialEq, Debug)]
pub enum Statement {
    /// A loop.
    For(For),
    /// `target[at] reduce value`: `=` stores, the others combine with what is there (`argmax=` does not occur).
    Store {
        /// A buffer or a register.
        target: TensorId,
        /// One index per dimension; always inside.
        at: Vec<Index>,
        /// How the value is combined.
        reduce: Reduce,
        /// What is stored.
        value: Expr,
    },
    /// Runs `body` where `condition` is true.
    If {
        /// A boolean expression.
        condition: Expr,
        /// What is guarded.
        body: Vec<Statement>,
    },
    /// What one instruction of the program's library computes: it means the same as `body`.
    Use {
        /// The instruction's name.
        instruction: String,
        /// What it computes here.
        body: Vec<Statement>,
    },
}

/// `for variable in max(lower…)..min(upper…) step step`.
#[derive(Clone, PartialEq, Debug)]
pub struct For {
    /// The variable.
    pub variable: LoopId,
    /// The first value: the largest of these.
    pub lower: Vec<Index>,
    /// One past the last value: the smallest of these.
    pub upper: Vec<Index>,
    /// The distance between values; positive.
    pub step: usize,
    /// How iterations follow each other.
    pub kind: Kind,
    /// What runs each time.
    pub body: Vec<Statement>,
}

/// How the iterations of a loop follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One after the other.
    Serial,
    /// Written out, one after the other; the bounds are constant.
    Unroll,
    /// In at most so many parts, which run side by side: see `Parts`. The bounds are constant.
    Parallel(usize),
}

impl Program {
    /// The buffer `id`.
    pub fn buffer(&self, id: TensorId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// All buffers with their ids.
    pub fn buffers(&self) -> impl Iterator<Item = (TensorId, &Buffer)> {
        self.buffers.iter().enumerate().map(|(i, b)| (TensorId(i as u32), b))
    }

    /// The inputs, in the caller's order.
    pub fn inputs(&self) -> Vec<TensorId> {
        self.buffers().filter(|(_, b)| matches!(b.role, Role::Input(_))).map(|(id, _)| id).collect()
    }

    /// The outputs, in the caller's order.
    pub fn outputs(&self) -> Vec<TensorId> {
        self.buffers().filter(|(_, b)| b.role == Role::Output).map(|(id, _)| id).collect()
    }

    /// The buffers that outlive a run, with how they change.
    pub fn states(&self) -> impl Iterator<Item = (TensorId, &State)> {
        self.buffers().filter_map(|(id, buffer)| match &buffer.role {
            Role::State(state) => Some((id, state)),
            _ => None,
        })
    }

    /// The name, element type and shape behind an id that a kernel uses: a buffer or one of its registers.
    pub fn place<'a>(&'a self, kernel: &'a Kernel, id: TensorId) -> (&'a str, DType, &'a [usize]) {
        match self.buffers.get(id.0 as usize) {
            Some(buffer) => (&buffer.name, buffer.dtype, &buffer.shape),
            None => {
                let register = &kernel.registers[id.0 as usize - self.buffers.len()];
                (&register.name, register.dtype, &register.shape)
            }
        }
    }

    /// The register behind an id that a kernel uses, if it is one.
    pub fn register<'a>(&self, kernel: &'a Kernel, id: TensorId) -> Option<&'a Register> {
        (id.0 as usize).checked_sub(self.buffers.len()).map(|position| &kernel.registers[position])
    }

    /// Whether an id that a kernel uses is one of its registers.
    pub fn is_register(&self, id: TensorId) -> bool {
        id.0 as usize >= self.buffers.len()
    }

    /// The threads that its kernels have work for at once; 1 where nothing is parallel.
    pub fn threads(&self) -> usize {
        self.kernels().into_iter().map(Kernel::parts).max().unwrap_or(1)
    }

    /// Calls `f` with every step, outer ones first.
    pub(crate) fn visit_steps<'a>(&'a self, f: &mut dyn FnMut(&'a Step)) {
        visit_steps(&self.steps, f);
    }

    /// All steps that ask for rows, in the order of the text.
    pub fn receives(&self) -> Vec<&Receive> {
        let mut found = vec![];
        self.visit_steps(&mut |step| {
            if let Step::Receive(receive) = step {
                found.push(receive);
            }
        });
        found
    }

    /// How the caller gives each input.
    pub fn feeds(&self) -> Vec<Feed> {
        let feed = |id: TensorId| match self.buffer(id).role {
            Role::Input(Delivery::External) => Feed::External,
            Role::Input(Delivery::Rows) => {
                let input = self.buffer(id);
                let along = self.receives().into_iter().find(|r| r.input == id).map_or(0, |r| r.along);
                let pieces = input.shape[..along].iter().product();
                let behind: usize = input.shape[along + 1..].iter().product();
                Feed::Rows { pieces, rows: input.shape[along], bytes: behind * input.dtype.bytes() }
            }
            _ => Feed::Whole,
        };
        self.inputs().into_iter().map(feed).collect()
    }

    /// All kernels, in the order of the text.
    pub fn kernels(&self) -> Vec<&Kernel> {
        let mut found = vec![];
        self.visit_steps(&mut |step| {
            if let Step::Kernel(kernel) = step {
                found.push(kernel);
            }
        });
        found
    }
}

fn visit_steps<'a>(steps: &'a [Step], f: &mut dyn FnMut(&'a Step)) {
    for step in steps {
        f(step);
        match step {
            Step::Kernel(_) | Step::Receive(_) => {}
            Step::Repeat(repeat) => visit_steps(&repeat.body, f),
            Step::Branch { then, otherwise, .. } => {
                visit_steps(then, f);
                visit_steps(otherwise, f);
            }
        }
    }
}

impl Receive {
    /// Whether the buffer has room for rows of the input: the shapes agree but for the number of rows.
    pub fn fits(&self, program: &Program) -> bool {
        let (input, buffer) = (program.buffer(self.input), program.buffer(self.buffer));
        let others =
            input.shape.iter().enumerate().filter(|(d, _)| *d != self.along).map(|(_, extent)| extent);
        self.along < input.shape.len()
            && input.dtype == buffer.dtype
            && buffer.shape.len() == input.shape.len()
            && buffer.shape[1..].iter().eq(others)
    }
}

impl Buffer {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has a place in the arena once the program is planned.
    pub fn is_planned(&self) -> bool {
        !matches!(self.role, Role::Constant(_) | Role::Input(Delivery::Rows | Delivery::External))
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.bytes()
    }
}

impl Kernel {
    /// Calls `f` with every statement, outer ones first.
    pub fn visit(&self, f: &mut dyn FnMut(&Statement)) {
        visit(&self.body, f);
    }

    /// The most parts that one of its loops runs in; 1 where none is parallel.
    pub fn parts(&self) -> usize {
        let mut most = 1;
        self.visit(&mut |statement| {
            if let Statement::For(nest) = statement {
                most = most.max(Parts::of(nest).map_or(1, |parts| parts.count));
            }
        });
        most
    }

    /// The buffers that are read, in the order of the text, each once. `buffers` is the program's number of buffers.
    pub fn reads(&self, buffers: usize) -> Vec<TensorId> {
        let mut found = vec![];
        self.visit(&mut |statement| {
            let mut add = |id: TensorId| {
                if (id.0 as usize) < buffers && !found.contains(&id) {
                    found.push(id);
                }
            };
            match statement {
                Statement::Store { target, at, reduce, value } => {
                    reads_of(value, at, &mut add);
                    if *reduce != Reduce::Set {
                        add(*target);
                    }
                }
                Statement::If { condition, .. } => reads_of(condition, &[], &mut add),
                Statement::For(_) | Statement::Use { .. } => {}
            }
        });
        found
    }

    /// The buffers that are written, in the order of the text, each once. `buffers` is the program's number of buffers.
    pub fn writes(&self, buffers: usize) -> Vec<TensorId> {
        let mut found = vec![];
        self.visit(&mut |statement| {
            if let Statement::Store { target, .. } = statement
                && (target.0 as usize) < buffers
                && !found.contains(target)
            {
                found.push(*target);
            }
        });
        found
    }
}

fn reads_of(value: &Expr, at: &[Index], add: &mut dyn FnMut(TensorId)) {
    value.accesses().into_iter().for_each(|access| add(access.tensor));
    for index in value.indices().into_iter().chain(at) {
        index.visit_atoms(&mut |atom| {
            if let nablac_index::Atom::Read(tensor, _) = atom {
                add(*tensor);
            }
        });
    }
}

fn visit(body: &[Statement], f: &mut dyn FnMut(&Statement)) {
    for statement in body {
        f(statement);
        match statement {
            Statement::For(For { body, .. }) | Statement::If { body, .. } | Statement::Use { body, .. } => {
                visit(body, f)
            }
            Statement::Store { .. } => {}
        }
    }
}
