//! Products of packed operands, found in a machine's library by what they mean.
//!
//! Owns which instructions make a sum of products: one that multiplies and adds lanes, those that load its operands, and those that
//! take a word of bytes apart where no load widens.

use nablac_index::{DType, Expr, Index, LoopId, Reduce, TensorId};

use crate::instruction::Library;
use crate::program::{Buffer, For, Kernel, Kind, Program, Register, Role, Statement};

/// The instructions of `sum += a[0] * b[0] + a[1] * b[1] + …` on 8-bit operands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Dot {
    /// Multiplies and adds.
    pub multiply: String,
    /// What it multiplies.
    pub dtype: DType,
    /// How many products it adds.
    pub lanes: usize,
    /// Loads elements that it multiplies.
    pub load: String,
    /// Loads bytes, and takes the even and the odd ones apart; nothing where it multiplies bytes.
    pub unpack: Option<Unpack>,
    /// How many bytes are loaded at a time.
    pub bytes: usize,
}

impl Dot {
    /// How many terms packed constants of this type, loaded and taken apart, come in.
    pub(super) fn group(&self, packed: DType) -> usize {
        if packed == self.dtype { self.lanes } else { self.bytes }
    }
}

/// From a word of bytes to two registers of wider elements.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Unpack {
    pub load: String,
    pub halves: [String; 2],
}

/// The widest product that a library has.
pub(super) fn find(library: &Library) -> Option<Dot> {
    all(library).into_iter().next()
}

/// The products that a library has, the widest first.
pub(super) fn all(library: &Library) -> Vec<Dot> {
    let kinds = [(DType::I8, 16), (DType::I16, 2)];
    kinds.into_iter().filter_map(|(dtype, lanes)| dot(library, dtype, lanes)).collect()
}

fn dot(library: &Library, dtype: DType, lanes: usize) -> Option<Dot> {
    let probe = Probe { dtype, lanes };
    let bytes = lanes * dtype.bytes();
    let unpack = match dtype {
        DType::I8 => None,
        _ => Some(Unpack {
            load: probe
                .find(library, &|p| load(p.byte, p.bytes, Index::default(), Index::default(), bytes, l(0)))?,
            halves: [
                probe.find(library, &|p| {
                    unpack(p.a, p.byte, dtype, Index::default(), Index::default(), 0, lanes, l(0))
                })?,
                probe.find(library, &|p| {
                    unpack(p.a, p.byte, dtype, Index::default(), Index::default(), 1, lanes, l(0))
                })?,
            ],
        }),
    };
    Some(Dot {
        multiply: probe
            .find(library, &|p| multiply(p.sum, &[], (p.a, 0.into()), (p.b, 0.into()), lanes, l(0)))?,
        dtype,
        lanes,
        load: probe
            .find(library, &|p| load(p.a, p.memory, Index::default(), Index::default(), lanes, l(0)))?,
        unpack,
        bytes,
    })
}

fn l(position: u32) -> LoopId {
    LoopId(position)
}

fn lanes_of(variable: LoopId, lanes: usize, statement: Statement) -> Statement {
    let (lower, upper) = (vec![Index::constant(0)], vec![Index::constant(lanes as i64)]);
    Statement::For(For { variable, lower, upper, step: 1, kind: Kind::Serial, body: vec![statement] })
}

/// `register[row, l] = memory[from + l]`.
pub(super) fn load(
    register: TensorId,
    memory: TensorId,
    row: Index,
    from: Index,
    lanes: usize,
    variable: LoopId,
) -> Statement {
    let lane = Index::of_loop(variable);
    load_at(register, row, Expr::read(memory, vec![from + lane.clone()]), lanes, variable)
}

/// `register[row, l] = value(l)`.
pub(super) fn load_at(
    register: TensorId,
    row: Index,
    value: Expr,
    lanes: usize,
    variable: LoopId,
) -> Statement {
    let at = vec![row, Index::of_loop(variable)];
    lanes_of(variable, lanes, Statement::Store { target: register, at, reduce: Reduce::Set, value })
}

/// `register[row, l] = dtype(word[from, 2l + half])`.
#[allow(clippy::too_many_arguments)] // it names every part of one line
pub(super) fn unpack(
    register: TensorId,
    word: TensorId,
    dtype: DType,
    row: Index,
    from: Index,
    half: i64,
    lanes: usize,
    variable: LoopId,
) -> Statement {
    let byte = Expr::read(word, vec![from, Index::of_loop(variable) * 2 + half]);
    load_at(register, row, byte.cast(dtype), lanes, variable)
}

/// `sum[at] += i32(a[row, l]) * i32(b[row, l])`.
pub(super) fn multiply(
    sum: TensorId,
    at: &[Index],
    (a, a_row): (TensorId, Index),
    (b, b_row): (TensorId, Index),
    lanes: usize,
    variable: LoopId,
) -> Statement {
    let lane = Index::of_loop(variable);
    let read = |id: TensorId, row: Index| Expr::read(id, vec![row, lane.clone()]).cast(DType::I32);
    let value = read(a, a_row) * read(b, b_row);
    lanes_of(variable, lanes, Statement::Store { target: sum, at: at.to_vec(), reduce: Reduce::Sum, value })
}

/// A kernel with one of each place, in which instructions are looked for.
struct Probe {
    dtype: DType,
    lanes: usize,
}

/// The places of a probe.
struct Places {
    bytes: TensorId,
    memory: TensorId,
    sum: TensorId,
    a: TensorId,
    b: TensorId,
    byte: TensorId,
}

impl Probe {
    fn find(&self, library: &Library, statement: &dyn Fn(&Places) -> Statement) -> Option<String> {
        let buffer = |name: &str, dtype| Buffer {
            name: name.into(),
            dtype,
            shape: vec![64],
            role: Role::Local,
            offset: None,
        };
        let register = |name: &str, dtype, shape: Vec<usize>| {
            let vector = !shape.is_empty();
            Register { name: name.into(), dtype, shape, vector }
        };
        let buffers = vec![buffer("bytes", DType::I8), buffer("memory", self.dtype)];
        let program = Program { buffers, ..Program::default() };
        let word = self.lanes * self.dtype.bytes();
        let registers = vec![
            register("sum", DType::I32, vec![]),
            register("a", self.dtype, vec![1, self.lanes]),
            register("b", self.dtype, vec![1, self.lanes]),
            register("byte", DType::I8, vec![1, word]),
        ];
        let kernel = Kernel { variables: vec!["l".into()], registers, ..Kernel::default() };
        let id = TensorId;
        let places = Places { bytes: id(0), memory: id(1), sum: id(2), a: id(3), b: id(4), byte: id(5) };
        let body = [statement(&places)];
        library.find(&program, &kernel, &body).map(|instruction| instruction.name.clone())
    }
}
