//! Looking for an instruction by what it means.
//!
//! Owns a kernel without a program around it, in which a statement can stand as it will stand in a nest.

use nablac_index::{DType, LoopId, TensorId};

use crate::instruction::Library;
use crate::program::{Buffer, Kernel, Program, Register, Role, Statement};

/// The most elements that a place in memory has.
const EXTENT: usize = 256;

/// A register of several elements, in one row.
#[derive(Clone, Copy)]
pub(super) struct Vector(pub TensorId);

/// A place in memory, of one dimension.
#[derive(Clone, Copy)]
pub(super) struct Memory(pub TensorId);

/// Places for a statement, and the library that it is looked for in.
pub(super) struct Probe<'p> {
    library: &'p Library,
    program: Program,
    kernel: Kernel,
}

/// Ids of registers begin here: a probe has fewer places in memory.
const MOST_PLACES: u32 = 8;

impl<'p> Probe<'p> {
    pub(super) fn new(library: &'p Library) -> Probe<'p> {
        let place = |_| Buffer {
            name: String::new(),
            dtype: DType::Bool,
            shape: vec![EXTENT],
            role: Role::Local,
            offset: None,
        };
        let program = Program { buffers: (0..MOST_PLACES).map(place).collect(), ..Program::default() };
        Probe { library, program, kernel: Kernel::default() }
    }

    /// A variable.
    pub(super) fn variable(&mut self) -> LoopId {
        self.kernel.variables.push(String::new());
        LoopId(self.kernel.variables.len() as u32 - 1)
    }

    /// The place in memory for elements of a type: one for each type.
    pub(super) fn memory(&mut self, dtype: DType) -> Memory {
        let known =
            self.program.buffers.iter().position(|place| place.dtype == dtype && !place.name.is_empty());
        let free = || self.program.buffers.iter().position(|place| place.name.is_empty());
        let position = known.or_else(free).unwrap_or(0);
        let place = &mut self.program.buffers[position];
        (place.name, place.dtype) = (dtype.name().into(), dtype);
        Memory(TensorId(position as u32))
    }

    fn register(&mut self, dtype: DType, shape: Vec<usize>, vector: bool) -> TensorId {
        self.kernel.registers.push(Register { name: String::new(), dtype, shape, vector });
        TensorId(MOST_PLACES + self.kernel.registers.len() as u32 - 1)
    }

    /// A register of several elements.
    pub(super) fn vector(&mut self, dtype: DType, lanes: usize) -> Vector {
        Vector(self.register(dtype, vec![1, lanes], true))
    }

    /// A register of one element.
    pub(super) fn scalar(&mut self, dtype: DType) -> TensorId {
        self.register(dtype, vec![], false)
    }

    /// A row of registers of one element each.
    pub(super) fn scalars(&mut self, dtype: DType) -> TensorId {
        self.register(dtype, vec![1], false)
    }

    /// The instruction that means what a statement on these places does.
    pub(super) fn find(&self, statement: Statement) -> Option<String> {
        self.find_all(&[statement])
    }

    /// The same of several statements.
    pub(super) fn find_all(&self, body: &[Statement]) -> Option<String> {
        self.library.find(&self.program, &self.kernel, body).map(|instruction| instruction.name.clone())
    }
}
