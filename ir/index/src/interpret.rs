//! The reference interpreter: the meaning of every program.
//!
//! Owns running a program as its statements say, in order, without any schedule. A statement is first compiled to a
//! small tree with its tensors' strides filled in; arithmetic is `arithmetic`'s.

use crate::arithmetic;
use crate::array::Array;
use crate::dtype::{DType, Value};
use crate::error::Error;
use crate::expression::{Access, Binary, Expr, Unary};
use crate::index::{Atom, Index};
use crate::program::{Branch, Program, Reduce, Repeat, Role, Statement, Step, TensorId, for_each_write};

/// Runs a verified program on `inputs`, in the program's order; gives the outputs.
pub fn run(program: &Program, inputs: &[Array]) -> Result<Vec<Array>, Error> {
    let memory = run_all(program, inputs)?;
    Ok(program.outputs().into_iter().map(|id| memory.array(program, id)).collect())
}

/// Runs a verified program on `inputs` and gives the final value of every tensor.
pub fn run_all(program: &Program, inputs: &[Array]) -> Result<Memory, Error> {
    let mut machine = Interpreter {
        program,
        memory: Memory {
            buffers: program
                .tensors
                .iter()
                .map(|t| Buffer::zero(t.dtype, t.shape.iter().product()))
                .collect(),
        },
        written: vec![false; program.tensors.len()],
        counters: vec![],
    };
    let mut given = inputs.iter();
    for (id, tensor) in program.tensors() {
        match &tensor.role {
            Role::Input => {
                let array = given.next();
                let array = array.filter(|a| a.dtype() == tensor.dtype && a.shape() == tensor.shape);
                machine.memory.load(
                    id,
                    array.ok_or_else(|| Error::Input {
                        name: tensor.name.clone(),
                        expected: format!("{}{:?}", tensor.dtype, tensor.shape),
                        given: inputs
                            .get(program.inputs().iter().position(|i| *i == id).unwrap_or(0))
                            .cloned(),
                    })?,
                );
            }
            Role::Constant(array) => machine.memory.load(id, array),
            _ => {}
        }
    }
    machine.steps(&program.steps);
    Ok(machine.memory)
}

/// The value of every tensor of a program.
#[derive(Debug)]
pub struct Memory {
    buffers: Vec<Buffer>,
}

#[derive(Clone, Debug)]
enum Buffer {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Int(Vec<i64>),
}

impl Buffer {
    fn zero(dtype: DType, length: usize) -> Buffer {
        match dtype {
            DType::F32 => Buffer::F32(vec![0.0; length]),
            DType::F64 => Buffer::F64(vec![0.0; length]),
            _ => Buffer::Int(vec![0; length]),
        }
    }

    fn get(&self, at: usize) -> Value {
        match self {
            Buffer::F32(v) => Value::F32(v[at]),
            Buffer::F64(v) => Value::F64(v[at]),
            Buffer::Int(v) => Value::Int(v[at]),
        }
    }

    fn set(&mut self, at: usize, value: Value) {
        match self {
            Buffer::F32(v) => v[at] = value.as_f64() as f32,
            Buffer::F64(v) => v[at] = value.as_f64(),
            Buffer::Int(v) => v[at] = value.as_i64(),
        }
    }

    fn fill(&mut self, value: Value) {
        match self {
            Buffer::F32(v) => v.fill(value.as_f64() as f32),
            Buffer::F64(v) => v.fill(value.as_f64()),
            Buffer::Int(v) => v.fill(value.as_i64()),
        }
    }

    fn len(&self) -> usize {
        match self {
            Buffer::F32(v) => v.len(),
            Buffer::F64(v) => v.len(),
            Buffer::Int(v) => v.len(),
        }
    }
}

impl Memory {
    /// The value of tensor `id` of `program`.
    pub fn array(&self, program: &Program, id: TensorId) -> Array {
        let tensor = program.tensor(id);
        let buffer = &self.buffers[id.0 as usize];
        Array::from_values(tensor.dtype, &tensor.shape, (0..buffer.len()).map(|i| buffer.get(i)))
    }

    fn load(&mut self, id: TensorId, array: &Array) {
        let buffer = &mut self.buffers[id.0 as usize];
        array.values().enumerate().for_each(|(i, value)| buffer.set(i, value));
    }
}

struct Interpreter<'a> {
    program: &'a Program,
    memory: Memory,
    /// Whether a tensor has been written since its accumulation starts; see `Reduce::identity`.
    written: Vec<bool>,
    counters: Vec<i64>,
}

impl Interpreter<'_> {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Statement(statement) => self.statement(statement),
                Step::Repeat(repeat) => self.repeat(repeat),
                Step::Branch(Branch { condition, then, otherwise, .. }) => {
                    let truth = self.memory.buffers[condition.0 as usize].get(0).as_i64() != 0;
                    self.steps(if truth { then } else { otherwise });
                }
            }
        }
    }

    fn repeat(&mut self, repeat: &Repeat) {
        for carry in &repeat.carried {
            self.memory.buffers[carry.state.0 as usize] =
                self.memory.buffers[carry.initial.0 as usize].clone();
        }
        let restarted = written_anew(repeat, self.counters.len() as u32);
        for time in 0..repeat.counter.extent {
            restarted.iter().for_each(|id| self.written[id.0 as usize] = false);
            self.counters.push(time as i64);
            self.steps(&repeat.body);
            self.counters.pop();
            let next: Vec<Buffer> =
                repeat.carried.iter().map(|c| self.memory.buffers[c.next.0 as usize].clone()).collect();
            for (carry, buffer) in repeat.carried.iter().zip(next) {
                self.memory.buffers[carry.state.0 as usize] = buffer;
            }
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let out = statement.out.0 as usize;
        let dtype = self.program.dtype(statement.out);
        if !std::mem::replace(&mut self.written[out], true)
            && let Some(identity) = statement.reduce.identity(dtype)
        {
            self.memory.buffers[out].fill(identity);
        }
        let compiler = Compiler { program: self.program };
        let place = compiler.tested(statement.out, &statement.at);
        let code = compiler.code(&statement.body);
        let mut sink = Sink::new(self.program, statement, self.counters.len());
        let depth = self.counters.len();
        let mut at = self.counters.clone();
        at.resize(depth + statement.loops.len(), 0);
        let points: usize = statement.loops.iter().map(|l| l.extent).product();
        for _ in 0..points {
            if let Some(offset) = place.offset(&self.memory, &at) {
                let value = code.eval(&self.memory, &at);
                sink.combine(&mut self.memory.buffers[out], offset, value, &at);
            }
            for (position, l) in statement.loops.iter().enumerate().rev() {
                at[depth + position] += 1;
                if at[depth + position] < l.extent as i64 {
                    break;
                }
                at[depth + position] = 0;
            }
        }
    }
}

/// The tensors that an iteration starts afresh: written in the body, at no index of the counter.
pub(crate) fn written_anew(repeat: &Repeat, depth: u32) -> Vec<TensorId> {
    let mut written = vec![];
    for_each_write(&repeat.body, &mut |id| written.push(id));
    let counter = crate::program::LoopId(depth);
    let mut kept = vec![];
    let body = Program { steps: repeat.body.clone(), ..Program::default() };
    body.visit_statements(&mut |_, s| {
        if s.at.iter().any(|i| i.loops().contains(&counter)) {
            kept.push(s.out);
        }
    });
    written.retain(|id| !kept.contains(id));
    written
}

/// Combines values into the output of one statement.
struct Sink {
    reduce: Reduce,
    dtype: DType,
    /// For `argmax=`: the largest value so far, per element, and the loops that make up the position.
    best: Vec<Option<Value>>,
    positions: Vec<(usize, i64)>,
    body: DType,
}

impl Sink {
    fn new(program: &Program, statement: &Statement, depth: usize) -> Sink {
        let argmax = statement.reduce == Reduce::ArgMax;
        let size = if argmax { program.shape(statement.out).iter().product() } else { 0 };
        let mut positions = vec![];
        let mut stride = 1;
        for l in statement.reduced_loops(depth).into_iter().rev() {
            positions.push((depth + l, stride));
            stride *= statement.loops[l].extent as i64;
        }
        Sink {
            reduce: statement.reduce,
            dtype: program.dtype(statement.out),
            best: vec![None; size],
            positions,
            body: program.type_of(&statement.body),
        }
    }

    fn combine(&mut self, buffer: &mut Buffer, offset: usize, value: Value, at: &[i64]) {
        let operation = match self.reduce {
            Reduce::Set => return buffer.set(offset, value),
            Reduce::ArgMax => {
                let larger = |best| arithmetic::binary(Binary::Gt, self.body, value, best) == Value::Int(1);
                if self.best[offset].is_none_or(larger) {
                    self.best[offset] = Some(value);
                    let position = self.positions.iter().map(|(l, stride)| at[*l] * stride).sum();
                    buffer.set(offset, Value::Int(position));
                }
                return;
            }
            Reduce::Sum => Binary::Add,
            Reduce::Product => Binary::Mul,
            Reduce::Min => Binary::Min,
            Reduce::Max => Binary::Max,
            Reduce::Or => Binary::Or,
        };
        let combined = arithmetic::binary(operation, self.dtype, buffer.get(offset), value);
        buffer.set(offset, combined);
    }
}

/// A statement's body with strides filled in.
enum Code {
    Literal(Value),
    Index(Affine),
    Read(usize, Place, Option<Value>),
    Unary(Unary, DType, Box<Code>),
    Binary(Binary, DType, Box<[Code; 2]>),
    Select(Box<[Code; 3]>),
    Cast(DType, DType, Box<Code>),
    MultiplyAdd(DType, Box<[Code; 3]>),
}

/// Where in a tensor an access lands.
enum Place {
    /// Always inside: one affine function of the loops.
    Inside(Affine),
    /// May be outside: each dimension is tested.
    Tested(Vec<(Affine, i64, i64)>),
}

/// An index with its loops' positions, and what is not affine in it.
struct Affine {
    loops: Vec<(usize, i64)>,
    constant: i64,
    others: Vec<(Deep, i64)>,
}

enum Deep {
    Div(Affine, i64),
    Mod(Affine, i64),
    Read(usize, Place),
}

struct Compiler<'a> {
    program: &'a Program,
}

impl Compiler<'_> {
    fn code(&self, expression: &Expr) -> Code {
        let boxed = |e: &Expr| Box::new(self.code(e));
        let three = |e: &[Expr; 3]| Box::new([self.code(&e[0]), self.code(&e[1]), self.code(&e[2])]);
        match expression {
            Expr::Literal(_, value) => Code::Literal(*value),
            Expr::Index(index) => Code::Index(self.affine(index)),
            Expr::Read(Access { tensor, at, outside }) => {
                Code::Read(tensor.0 as usize, self.place(*tensor, at, *outside), *outside)
            }
            Expr::Unary(operation, a) => Code::Unary(*operation, self.program.type_of(a), boxed(a)),
            Expr::Binary(operation, a, b) => {
                Code::Binary(*operation, self.program.type_of(a), Box::new([self.code(a), self.code(b)]))
            }
            Expr::Select(abc) => Code::Select(three(abc)),
            Expr::Cast(to, a) => Code::Cast(self.program.type_of(a), *to, boxed(a)),
            Expr::MultiplyAdd(abc) => Code::MultiplyAdd(self.program.type_of(&abc[0]), three(abc)),
            Expr::Stop(a) => self.code(a),
        }
    }

    /// Where a read lands. Without an `outside` it is inside, as the verifier has shown.
    fn place(&self, tensor: TensorId, at: &[Index], outside: Option<Value>) -> Place {
        if outside.is_some() {
            return self.tested(tensor, at);
        }
        let strides = row_major_strides(self.program.shape(tensor));
        Place::Inside(
            self.affine(&at.iter().zip(&strides).fold(Index::default(), |sum, (i, s)| sum + i.clone() * *s)),
        )
    }

    /// A place that may be outside of the tensor.
    fn tested(&self, tensor: TensorId, at: &[Index]) -> Place {
        let shape = self.program.shape(tensor);
        let strides = row_major_strides(shape);
        Place::Tested(
            at.iter().zip(shape).zip(strides).map(|((i, &n), s)| (self.affine(i), n as i64, s)).collect(),
        )
    }

    fn affine(&self, index: &Index) -> Affine {
        let mut affine = Affine { loops: vec![], constant: index.offset(), others: vec![] };
        for (atom, factor) in index.terms() {
            let deep = match atom {
                Atom::Loop(id) => {
                    affine.loops.push((id.0 as usize, *factor));
                    continue;
                }
                Atom::Div(inner, n) => Deep::Div(self.affine(inner), *n),
                Atom::Mod(inner, n) => Deep::Mod(self.affine(inner), *n),
                Atom::Read(tensor, at) => Deep::Read(tensor.0 as usize, self.place(*tensor, at, None)),
            };
            affine.others.push((deep, *factor));
        }
        affine
    }
}

impl Place {
    fn offset(&self, memory: &Memory, at: &[i64]) -> Option<usize> {
        match self {
            Place::Inside(affine) => Some(affine.eval(memory, at) as usize),
            Place::Tested(dimensions) => {
                let mut offset = 0;
                for (affine, extent, stride) in dimensions {
                    let i = affine.eval(memory, at);
                    if i < 0 || i >= *extent {
                        return None;
                    }
                    offset += i * stride;
                }
                Some(offset as usize)
            }
        }
    }
}

impl Affine {
    fn eval(&self, memory: &Memory, at: &[i64]) -> i64 {
        let affine = self.loops.iter().fold(self.constant, |sum, (l, factor)| sum + at[*l] * factor);
        self.others.iter().fold(affine, |sum, (deep, factor)| sum + deep.eval(memory, at) * factor)
    }
}

impl Deep {
    fn eval(&self, memory: &Memory, at: &[i64]) -> i64 {
        match self {
            Deep::Div(inner, n) => inner.eval(memory, at).div_euclid(*n),
            Deep::Mod(inner, n) => inner.eval(memory, at).rem_euclid(*n),
            Deep::Read(tensor, place) => {
                place.offset(memory, at).map_or(0, |offset| memory.buffers[*tensor].get(offset).as_i64())
            }
        }
    }
}

impl Code {
    fn eval(&self, memory: &Memory, at: &[i64]) -> Value {
        match self {
            Code::Literal(value) => *value,
            Code::Index(affine) => Value::Int(affine.eval(memory, at)),
            Code::Read(tensor, place, outside) => match (place.offset(memory, at), outside) {
                (Some(offset), _) => memory.buffers[*tensor].get(offset),
                (None, Some(value)) => *value,
                (None, None) => unreachable!("the verifier proves that reads without `else` are inside"),
            },
            Code::Unary(operation, dtype, a) => arithmetic::unary(*operation, *dtype, a.eval(memory, at)),
            Code::Binary(operation, dtype, ab) => {
                arithmetic::binary(*operation, *dtype, ab[0].eval(memory, at), ab[1].eval(memory, at))
            }
            Code::Select(abc) => match abc[0].eval(memory, at) {
                Value::Int(0) => abc[2].eval(memory, at),
                _ => abc[1].eval(memory, at),
            },
            Code::Cast(from, to, a) => arithmetic::cast(a.eval(memory, at), *from, *to),
            Code::MultiplyAdd(dtype, abc) => {
                let [a, b, c] = [0, 1, 2].map(|i| abc[i].eval(memory, at));
                arithmetic::multiply_add(*dtype, a, b, c)
            }
        }
    }
}

/// The distance between neighbours along each dimension of a dense row-major tensor, in elements.
pub fn row_major_strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d] as i64;
    }
    strides
}
