//! The interpreter of loop nests: a schedule and a memory plan, tried out.
//!
//! Owns running a program in memory as the generated code would: buffers that the memory plan has placed really share one
//! arena of bytes, so that a wrong plan shows as a wrong result. What expressions give is index notation's matter.

use nablac_index::evaluate::{Affine, Code, Compiler, Elements, OutOfRange, Place};
use nablac_index::{Array, Binary, DType, Element, Index, Reduce, TensorId, Value, arithmetic, wrap};

use crate::error::Error;
use crate::parts::Parts;
use crate::program::{Buffer, For, Kernel, Program, Receive, Repeat, Role, Statement, Step};

/// What memory holds before anything is written: a pattern that is no likely value, so that reading it shows.
const UNWRITTEN: u8 = 0xA5;

/// Runs a verified program once on `inputs`, in the program's order, from its states' initial values; gives the outputs.
pub fn run(program: &Program, inputs: &[Array]) -> Result<Vec<Array>, Error> {
    Session::new(program).run(inputs)
}

/// Runs of one verified program, one after the other, in one memory: what its states hold goes from each to the next.
pub struct Session<'a> {
    program: &'a Program,
    memory: Memory,
}

impl<'a> Session<'a> {
    /// Before the first run.
    pub fn new(program: &'a Program) -> Session<'a> {
        let mut session = Session { program, memory: Memory::new(program) };
        session.reset();
        session
    }

    /// Gives every state its initial value again.
    pub fn reset(&mut self) {
        for (id, state) in self.program.states() {
            self.memory.bytes_of(id).copy_from_slice(state.initial.bytes());
        }
    }

    /// Runs the program on `inputs`, in its order; gives the outputs.
    pub fn run(&mut self, inputs: &[Array]) -> Result<Vec<Array>, Error> {
        self.run_watched(inputs, &mut |_, _| {})
    }

    /// Runs it as `run` does, and shows the arena in front of each step of the program, by position, and behind the last one. What is
    /// changed there is changed: who overwrites bytes that hold nothing must not see another result.
    pub fn run_watched(
        &mut self,
        inputs: &[Array],
        watch: &mut dyn FnMut(usize, &mut [u8]),
    ) -> Result<Vec<Array>, Error> {
        let program = self.program;
        check_inputs(program, inputs)?;
        self.memory.forget(program);
        let memory = std::mem::take(&mut self.memory);
        let mut machine = Interpreter { program, memory, counters: vec![] };
        for (id, array) in program.inputs().into_iter().zip(inputs) {
            machine.memory.bytes_of(id).copy_from_slice(array.bytes());
        }
        let result = program.steps.iter().enumerate().try_for_each(|(position, step)| {
            watch(position, &mut machine.memory.bytes[..program.arena_bytes]);
            machine.steps(std::slice::from_ref(step))
        });
        watch(program.steps.len(), &mut machine.memory.bytes[..program.arena_bytes]);
        program.states().for_each(|(id, state)| machine.copy(state.next, id));
        self.memory = machine.memory;
        let output = |id: TensorId| {
            let cells = self.memory.cells[id.0 as usize];
            let values = (0..cells.length).map(|offset| self.memory.load(cells, offset));
            Array::from_values(cells.dtype, &program.buffer(id).shape, values)
        };
        result.map(|()| program.outputs().into_iter().map(output).collect())
    }
}

fn check_inputs(program: &Program, inputs: &[Array]) -> Result<(), Error> {
    let ids = program.inputs();
    let fits = |(id, array): (&TensorId, &Array)| {
        let buffer = program.buffer(*id);
        array.dtype() == buffer.dtype && array.shape() == buffer.shape
    };
    if ids.len() != inputs.len() || !ids.iter().zip(inputs).all(fits) {
        let expected = ids.iter().map(|id| type_text(program.buffer(*id).dtype, &program.buffer(*id).shape));
        let given = inputs.iter().map(|array| type_text(array.dtype(), array.shape()));
        return Err(Error::Inputs { expected: join(expected), given: join(given) });
    }
    Ok(())
}

fn type_text(dtype: DType, shape: &[usize]) -> String {
    format!("{dtype}{shape:?}")
}

fn join(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".into() } else { items.join(", ") }
}

/// The arena, then the constants and whatever has no place in the arena, then the registers of the running kernel.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    cells: Vec<Cells>,
    /// Where the registers begin.
    registers: usize,
}

/// Where the elements of a buffer or register are.
#[derive(Clone, Copy)]
struct Cells {
    dtype: DType,
    begin: usize,
    length: usize,
}

impl Memory {
    fn new(program: &Program) -> Memory {
        let mut memory = Memory { bytes: vec![UNWRITTEN; program.arena_bytes], cells: vec![], registers: 0 };
        for buffer in &program.buffers {
            match (&buffer.role, buffer.offset) {
                (Role::Constant(array), _) => {
                    memory.append(buffer.dtype, buffer.len());
                    let begin = memory.bytes.len() - array.bytes().len();
                    memory.bytes[begin..].copy_from_slice(array.bytes());
                }
                (_, Some(begin)) => {
                    memory.cells.push(Cells { dtype: buffer.dtype, begin, length: buffer.len() })
                }
                (_, None) => memory.append(buffer.dtype, buffer.len()),
            }
        }
        memory.registers = memory.bytes.len();
        memory
    }

    /// Nothing but constants and states has a value when a run begins.
    fn forget(&mut self, program: &Program) {
        let kept = |b: &Buffer| matches!(b.role, Role::State(_));
        let states: Vec<TensorId> = program.buffers().filter(|(_, b)| kept(b)).map(|(id, _)| id).collect();
        let held: Vec<Vec<u8>> = states.iter().map(|id| self.bytes_of(*id).to_vec()).collect();
        self.bytes[..program.arena_bytes].fill(UNWRITTEN);
        for (id, _) in program.buffers().filter(|(_, b)| !matches!(b.role, Role::Constant(_))) {
            self.bytes_of(id).fill(UNWRITTEN);
        }
        for (id, bytes) in states.iter().zip(held) {
            self.bytes_of(*id).copy_from_slice(&bytes);
        }
    }

    fn append(&mut self, dtype: DType, length: usize) {
        self.cells.push(Cells { dtype, begin: self.bytes.len(), length });
        self.bytes.resize(self.bytes.len() + length * dtype.bytes(), UNWRITTEN);
    }

    /// Registers hold nothing when a kernel begins.
    fn enter(&mut self, kernel: &Kernel, buffers: usize) {
        self.cells.truncate(buffers);
        self.bytes.truncate(self.registers);
        for register in &kernel.registers {
            self.append(register.dtype, register.shape.iter().product());
        }
    }

    fn forget_registers(&mut self) {
        self.bytes[self.registers..].fill(UNWRITTEN);
    }

    fn bytes_of(&mut self, id: TensorId) -> &mut [u8] {
        let cells = self.cells[id.0 as usize];
        &mut self.bytes[cells.begin..][..cells.length * cells.dtype.bytes()]
    }

    fn load(&self, cells: Cells, offset: usize) -> Value {
        let size = cells.dtype.bytes();
        let mut eight = [0u8; 8];
        eight[..size].copy_from_slice(&self.bytes[cells.begin + offset * size..][..size]);
        let bits = u64::from_le_bytes(eight);
        match cells.dtype {
            DType::F32 => Value::F32(f32::from_bits(bits as u32)),
            DType::F64 => Value::F64(f64::from_bits(bits)),
            dtype => Value::Int(wrap(dtype, bits as i64)),
        }
    }

    fn store(&mut self, id: TensorId, offset: i64, value: Value) -> Option<()> {
        let cells = self.cells[id.0 as usize];
        let offset = usize::try_from(offset).ok().filter(|&offset| offset < cells.length)?;
        let bits = match value {
            Value::F32(x) => x.to_bits() as u64,
            Value::F64(x) => x.to_bits(),
            Value::Int(x) => wrap(cells.dtype, x) as u64,
        };
        let size = cells.dtype.bytes();
        self.bytes[cells.begin + offset * size..][..size].copy_from_slice(&bits.to_le_bytes()[..size]);
        Some(())
    }
}

impl Elements for Memory {
    fn get(&self, tensor: TensorId, offset: i64) -> Option<Value> {
        let cells = self.cells[tensor.0 as usize];
        let offset = usize::try_from(offset).ok().filter(|&offset| offset < cells.length)?;
        Some(self.load(cells, offset))
    }
}

struct Interpreter<'a> {
    program: &'a Program,
    memory: Memory,
    counters: Vec<i64>,
}

impl Interpreter<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Error> {
        steps.iter().try_for_each(|step| match step {
            Step::Kernel(kernel) => self.kernel(kernel),
            Step::Repeat(repeat) => self.repeat(repeat),
            Step::Receive(receive) => self.receive(receive),
            Step::Branch { condition, then, otherwise } => {
                let truth = self.memory.get(*condition, 0).is_some_and(|value| value.as_i64() != 0);
                self.steps(if truth { then } else { otherwise })
            }
        })
    }

    fn repeat(&mut self, repeat: &Repeat) -> Result<(), Error> {
        let Repeat { carried, body, .. } = repeat;
        for (state, initial, _) in carried {
            self.copy(*initial, *state);
        }
        let (low, high) = repeat.range(&self.counters);
        for time in low..high {
            self.counters.push(time);
            self.steps(body)?;
            self.counters.pop();
            for (state, _, next) in carried {
                self.copy(*next, *state);
            }
        }
        Ok(())
    }

    /// An index of counters.
    fn counted(&self, index: &Index) -> i64 {
        let now = index.substitute(&|id| self.counters.get(id.0 as usize).copied().unwrap_or(0).into());
        now.offset()
    }

    /// The rows of an input are where the caller has put all of it.
    fn receive(&mut self, receive: &Receive) -> Result<(), Error> {
        let (row, slot) = (self.counted(&receive.position) as usize, self.counted(&receive.slot) as usize);
        let input = self.program.buffer(receive.input);
        let behind = input.shape[receive.along + 1..].iter().product::<usize>() * input.dtype.bytes();
        let before: usize = input.shape[..receive.along].iter().product();
        for outer in 0..before {
            let from = (outer * input.shape[receive.along] + row) * behind;
            let bytes = self.memory.bytes_of(receive.input)[from..][..behind].to_vec();
            let to = (slot * before + outer) * behind;
            self.memory.bytes_of(receive.buffer)[to..][..behind].copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn copy(&mut self, from: TensorId, to: TensorId) {
        let bytes = self.memory.bytes_of(from).to_vec();
        self.memory.bytes_of(to).copy_from_slice(&bytes);
    }

    fn kernel(&mut self, kernel: &Kernel) -> Result<(), Error> {
        self.memory.enter(kernel, self.program.buffers.len());
        let scope = self.program.scope(kernel);
        let lines = compile(&Compiler { scope: &scope }, &kernel.body);
        let mut at = self.counters.clone();
        at.resize(kernel.variables.len(), 0);
        run_lines(&lines, &mut self.memory, &mut at).map_err(|OutOfRange { tensor, offset }| {
            let Element { name, shape, .. } = scope.tensor(tensor);
            let length = shape.iter().product();
            Error::OutOfRange { kernel: kernel.name.clone(), buffer: name.into(), offset, length }
        })
    }
}

/// A line of a kernel with its expressions compiled.
enum Line {
    For { variable: usize, lower: Vec<Affine>, upper: Vec<Affine>, step: usize, body: Vec<Line> },
    Parallel { variable: usize, parts: Parts, step: usize, body: Vec<Line> },
    Store { target: TensorId, place: Place, combine: Option<(Binary, DType)>, value: Code },
    If { condition: Code, body: Vec<Line> },
    Block(Vec<Line>),
}

fn compile(compiler: &Compiler, body: &[Statement]) -> Vec<Line> {
    let affine = |bounds: &[Index]| bounds.iter().map(|bound| compiler.affine(bound)).collect();
    let nest = |nest: &For| {
        let (variable, step) = (nest.variable.0 as usize, nest.step);
        let body = compile(compiler, &nest.body);
        match Parts::of(nest) {
            Some(parts) => Line::Parallel { variable, parts, step, body },
            None => {
                Line::For { variable, lower: affine(&nest.lower), upper: affine(&nest.upper), step, body }
            }
        }
    };
    let line = |statement: &Statement| match statement {
        Statement::Use { body, .. } => Line::Block(compile(compiler, body)),
        Statement::For(own) => nest(own),
        Statement::Store { target, at, reduce, value } => Line::Store {
            target: *target,
            place: compiler.place(*target, at, None),
            combine: operation_of(*reduce).map(|operation| (operation, compiler.scope.tensor(*target).dtype)),
            value: compiler.code(value),
        },
        Statement::If { condition, body } => {
            Line::If { condition: compiler.code(condition), body: compile(compiler, body) }
        }
    };
    body.iter().map(line).collect()
}

/// The operation that combines what is there with what is stored; none for `=`.
pub fn operation_of(reduce: Reduce) -> Option<Binary> {
    match reduce {
        Reduce::Set | Reduce::ArgMax => None,
        Reduce::Sum => Some(Binary::Add),
        Reduce::Product => Some(Binary::Mul),
        Reduce::Min => Some(Binary::Min),
        Reduce::Max => Some(Binary::Max),
        Reduce::Or => Some(Binary::Or),
    }
}

fn run_lines(lines: &[Line], memory: &mut Memory, at: &mut [i64]) -> Result<(), OutOfRange> {
    for line in lines {
        match line {
            Line::For { variable, lower, upper, step, body } => {
                let first = limit(lower, memory, at)?.into_iter().max().unwrap_or(0);
                let end = limit(upper, memory, at)?.into_iter().min().unwrap_or(0);
                for value in (first..end).step_by(*step) {
                    at[*variable] = value;
                    run_lines(body, memory, at)?;
                }
            }
            // Nobody may rely on an order: the last part comes first, and each finds registers that hold nothing.
            Line::Parallel { variable, parts, step, body } => {
                for part in (0..parts.count).rev() {
                    memory.forget_registers();
                    let (first, end) = parts.range(part);
                    for value in (first..end).step_by(*step) {
                        at[*variable] = value;
                        run_lines(body, memory, at)?;
                    }
                }
                memory.forget_registers();
            }
            Line::Store { target, place, combine, value } => {
                let value = value.evaluate(memory, at)?;
                let outside = |offset| OutOfRange { tensor: *target, offset };
                let offset = place.offset(memory, at)?.ok_or(outside(-1))?;
                let value = match combine {
                    None => value,
                    Some((operation, dtype)) => {
                        let before = memory.get(*target, offset).ok_or(outside(offset))?;
                        arithmetic::binary(*operation, *dtype, before, value)
                    }
                };
                memory.store(*target, offset, value).ok_or(outside(offset))?;
            }
            Line::Block(body) => run_lines(body, memory, at)?,
            Line::If { condition, body } => {
                if condition.evaluate(memory, at)? != Value::Int(0) {
                    run_lines(body, memory, at)?;
                }
            }
        }
    }
    Ok(())
}

fn limit(bounds: &[Affine], memory: &Memory, at: &[i64]) -> Result<Vec<i64>, OutOfRange> {
    bounds.iter().map(|bound| bound.evaluate(memory, at)).collect()
}
