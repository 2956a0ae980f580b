//! The reference interpreter: the meaning of every program.
//!
//! Owns running a program as its statements say, in order, without any schedule. What an expression gives at one point is
//! `evaluate`'s.

use crate::arithmetic;
use crate::array::Array;
use crate::dtype::{DType, Value};
use crate::error::Error;
pub use crate::evaluate::row_major_strides;
use crate::evaluate::{Code, Compiler, Elements, OutOfRange, Place};
use crate::expression::Binary;
use crate::program::{Branch, Program, Reduce, Repeat, Role, Statement, Step, TensorId, for_each_write};
use crate::scope::Scope;

/// Runs a verified program once on `inputs`, in the program's order, from its states' initial values; gives the outputs.
pub fn run(program: &Program, inputs: &[Array]) -> Result<Vec<Array>, Error> {
    Session::new(program).run(inputs)
}

/// Runs of one verified program, one after the other: what its states hold goes from each to the next.
#[derive(Clone, Debug)]
pub struct Session<'a> {
    program: &'a Program,
    states: Vec<Array>,
}

impl<'a> Session<'a> {
    /// Before the first run.
    pub fn new(program: &'a Program) -> Session<'a> {
        Session { program, states: initial(program) }
    }

    /// Gives every state its initial value again.
    pub fn reset(&mut self) {
        self.states = initial(self.program);
    }

    /// Runs the program on `inputs`, in its order; gives the outputs.
    pub fn run(&mut self, inputs: &[Array]) -> Result<Vec<Array>, Error> {
        let program = self.program;
        let memory = run_from(program, inputs, &self.states)?;
        self.states = program.states().map(|(_, state)| memory.array(program, state.next)).collect();
        Ok(program.outputs().into_iter().map(|id| memory.array(program, id)).collect())
    }
}

fn initial(program: &Program) -> Vec<Array> {
    program.states().map(|(_, state)| state.initial.clone()).collect()
}

/// Runs a verified program once on `inputs` and gives the final value of every tensor.
pub fn run_all(program: &Program, inputs: &[Array]) -> Result<Memory, Error> {
    run_from(program, inputs, &initial(program))
}

fn run_from(program: &Program, inputs: &[Array], states: &[Array]) -> Result<Memory, Error> {
    let mut machine = Interpreter {
        program,
        scope: program.scope(),
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
    program.states().zip(states).for_each(|((id, _), array)| machine.memory.load(id, array));
    machine.steps(&program.steps)?;
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

impl Elements for Memory {
    fn get(&self, tensor: TensorId, offset: i64) -> Option<Value> {
        let buffer = &self.buffers[tensor.0 as usize];
        let offset = usize::try_from(offset).ok().filter(|&offset| offset < buffer.len())?;
        Some(buffer.get(offset))
    }
}

struct Interpreter<'a> {
    program: &'a Program,
    scope: Scope<'a>,
    memory: Memory,
    /// Whether a tensor has been written since its accumulation starts; see `Reduce::identity`.
    written: Vec<bool>,
    counters: Vec<i64>,
}

impl Interpreter<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Error> {
        steps.iter().try_for_each(|step| match step {
            Step::Statement(statement) => {
                self.statement(statement).map_err(|OutOfRange { tensor, .. }| {
                    let place = self.program.statement_text(&[], statement);
                    Error::invalid(place, format!("`{}` is read outside", self.program.tensor(tensor).name))
                })
            }
            Step::Repeat(repeat) => self.repeat(repeat),
            Step::Branch(Branch { condition, then, otherwise, .. }) => {
                let truth = self.memory.buffers[condition.0 as usize].get(0).as_i64() != 0;
                self.steps(if truth { then } else { otherwise })
            }
        })
    }

    fn repeat(&mut self, repeat: &Repeat) -> Result<(), Error> {
        for carry in &repeat.carried {
            self.memory.buffers[carry.state.0 as usize] =
                self.memory.buffers[carry.initial.0 as usize].clone();
        }
        let restarted = written_anew(repeat, self.counters.len() as u32);
        for time in 0..repeat.counter.extent {
            restarted.iter().for_each(|id| self.written[id.0 as usize] = false);
            self.counters.push(time as i64);
            self.steps(&repeat.body)?;
            self.counters.pop();
            let next: Vec<Buffer> =
                repeat.carried.iter().map(|c| self.memory.buffers[c.next.0 as usize].clone()).collect();
            for (carry, buffer) in repeat.carried.iter().zip(next) {
                self.memory.buffers[carry.state.0 as usize] = buffer;
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), OutOfRange> {
        let out = statement.out.0 as usize;
        let dtype = self.program.dtype(statement.out);
        if !std::mem::replace(&mut self.written[out], true)
            && let Some(identity) = statement.reduce.identity(dtype)
        {
            self.memory.buffers[out].fill(identity);
        }
        let compiler = Compiler { scope: &self.scope };
        let place: Place = compiler.tested(statement.out, &statement.at);
        let code: Code = compiler.code(&statement.body);
        let mut sink = Sink::new(self.program, statement, self.counters.len());
        let depth = self.counters.len();
        let mut at = self.counters.clone();
        at.resize(depth + statement.loops.len(), 0);
        let points: usize = statement.loops.iter().map(|l| l.extent).product();
        for _ in 0..points {
            if let Some(offset) = place.offset(&self.memory, &at)? {
                let value = code.evaluate(&self.memory, &at)?;
                sink.combine(&mut self.memory.buffers[out], offset as usize, value, &at);
            }
            for (position, l) in statement.loops.iter().enumerate().rev() {
                at[depth + position] += 1;
                if at[depth + position] < l.extent as i64 {
                    break;
                }
                at[depth + position] = 0;
            }
        }
        Ok(())
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
