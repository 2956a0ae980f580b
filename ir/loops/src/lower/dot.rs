//! Products of packed operands, found in a machine's library by what they mean.
//!
//! Owns which instructions make a sum of products: one that multiplies and adds, those that load its operands, and those that take a
//! word of bytes apart where no load widens. One sum of several products, `sum += a[0] * b[0] + a[1] * b[1] + …`, is a dot product of
//! lanes; several sums side by side are the lanes of one register, all of which meet the same element of what is computed at run time.

use nablac_index::{DType, Expr, Index, LoopId, Reduce, TensorId, smallest};

use super::probe::{Memory, Probe, Vector};
use crate::instruction::Library;
use crate::program::{For, Kind, Statement};

/// The instructions of sums of products.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Dot {
    /// Multiplies and adds.
    pub multiply: String,
    /// What it multiplies: the constants' type.
    pub dtype: DType,
    /// The type of what is computed at run time, where that is another one.
    pub takes: DType,
    /// What its constants may be packed as besides: `load` widens them.
    pub packed: DType,
    /// How many products it adds to each sum.
    pub terms: usize,
    /// How many sums are side by side; 1 for a sum in a register of its own.
    pub sums: usize,
    /// Loads elements that it multiplies.
    pub load: String,
    /// How what is computed at run time is loaded.
    pub moving: Moving,
    /// Loads bytes, and takes the even and the odd ones apart; nothing where it multiplies bytes.
    pub unpack: Option<Unpack>,
    /// How many bytes are loaded at a time.
    pub bytes: usize,
}

/// How what is computed at run time is loaded.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Moving {
    /// Like the constants.
    Loaded,
    /// Into every lane.
    Broadcast(String),
    /// Into a register of one element, which the product takes.
    Scalar,
}

/// From a word of bytes to two registers of wider elements.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Unpack {
    pub load: String,
    pub halves: [String; 2],
}

impl Dot {
    /// The sums' type.
    pub(super) fn sum(&self) -> DType {
        if self.dtype.is_float() { self.dtype } else { DType::I32 }
    }

    /// What is added to elements of type `own`, computed at run time, so that all of them are elements of the type that it takes.
    pub(super) fn offset(&self, own: DType) -> i64 {
        if self.takes.is_float() || self.takes.bytes() != own.bytes() {
            return 0;
        }
        smallest(self.takes) - smallest(own)
    }

    /// How many terms packed constants of this type, loaded and taken apart, come in.
    pub(super) fn group(&self, packed: DType) -> usize {
        if packed == self.dtype || self.sums > 1 { self.terms } else { self.bytes }
    }
}

/// The widest product of each way that a library has, for sums of this type.
pub(super) fn for_sums(library: &Library, sum: DType) -> Vec<Dot> {
    all(library).into_iter().filter(|dot| dot.sum() == sum).collect()
}

/// The products that a library has, the widest first.
pub(super) fn all(library: &Library) -> Vec<Dot> {
    let scalar = [(DType::I8, 16), (DType::I16, 2)];
    let scalar = scalar.into_iter().filter_map(|(dtype, terms)| of_lanes(library, dtype, terms));
    // Constants come as they are, or are widened on their way.
    let (real, word, byte) = (DType::F32, DType::I16, DType::I8);
    let types =
        [([real; 3], 1), ([byte, DType::U8, byte], 4), ([word, word, byte], 2), ([word, word, byte], 1)];
    let side_by_side = types.into_iter().flat_map(|(types, terms)| {
        [16, 8, 4].into_iter().filter_map(move |sums| of_sums(library, types, terms, sums))
    });
    scalar.chain(side_by_side).collect()
}

/// One sum of several products.
fn of_lanes(library: &Library, dtype: DType, terms: usize) -> Option<Dot> {
    let mut probe = Probe::new(library);
    let bytes = terms * dtype.bytes();
    let sum = probe.scalar(DType::I32);
    let [a, b] = [0; 2].map(|_| probe.vector(dtype, terms));
    let word = probe.vector(DType::I8, bytes);
    let (l, zero) = (probe.variable(), Index::default);
    let load = |probe: &Probe, Vector(to): Vector, Memory(from): Memory, lanes| {
        let value = Expr::read(from, vec![Index::of_loop(l)]);
        probe.find(load_at(to, zero(), value, lanes, l))
    };
    let elements = probe.memory(dtype);
    let load_elements = load(&probe, a, elements, terms)?;
    let unpack = match dtype {
        DType::I8 => None,
        _ => {
            let bytes_from = probe.memory(DType::I8);
            let half = |half| probe.find(unpack(a.0, word.0, dtype, zero(), zero(), half, terms, l));
            Some(Unpack { load: load(&probe, word, bytes_from, bytes)?, halves: [half(0)?, half(1)?] })
        }
    };
    let mut dot = Dot {
        multiply: String::new(),
        dtype,
        takes: dtype,
        packed: DType::I8,
        terms,
        sums: 1,
        load: load_elements,
        moving: Moving::Loaded,
        unpack,
        bytes,
    };
    dot.multiply = probe.find(multiply(&dot, sum, &[], (a.0, zero()), (b.0, zero()), [l, l]))?;
    Some(dot)
}

/// Several sums side by side, of products of constants of type `dtype`, stored as `packed`, with what is computed as `takes`.
fn of_sums(library: &Library, [dtype, takes, packed]: [DType; 3], terms: usize, sums: usize) -> Option<Dot> {
    let mut probe = Probe::new(library);
    let (l, term, zero) = (probe.variable(), probe.variable(), Index::default);
    let of_sum = if dtype.is_float() { dtype } else { DType::I32 };
    let sum = probe.vector(of_sum, sums);
    let [a, b] = [takes, dtype].map(|dtype| probe.vector(dtype, terms * sums));
    let one = probe.scalars(takes);
    let (Memory(constants), Memory(from)) = (probe.memory(packed), probe.memory(takes));
    let constant = Expr::read(constants, vec![Index::of_loop(l)]);
    let constant = if packed == dtype { constant } else { constant.cast(dtype) };
    let load = probe.find(load_at(b.0, zero(), constant, terms * sums, l))?;
    let mut dot = Dot {
        multiply: String::new(),
        dtype,
        takes,
        packed,
        terms,
        sums,
        load,
        moving: Moving::Scalar,
        unpack: None,
        bytes: terms * sums * dtype.bytes(),
    };
    let product = |dot: &Dot, a: TensorId| {
        probe.find(multiply(dot, sum.0, &[zero()], (a, zero()), (b.0, zero()), [l, term]))
    };
    // A product that takes what is computed at run time from a register of one element saves its copies in all lanes.
    if let Some(multiply) = (terms == 1).then(|| product(&dot, one)).flatten() {
        return Some(Dot { multiply, ..dot });
    }
    let first = if terms == 1 { zero() } else { Index::of_loop(term) };
    dot.moving = Moving::Broadcast(String::new());
    let copy = probe.find(broadcast(a.0, zero(), Expr::read(from, vec![first]), &dot, [l, term]))?;
    let multiply = product(&dot, a.0)?;
    Some(Dot { multiply, moving: Moving::Broadcast(copy), ..dot })
}

/// A statement for each of `lanes` lanes.
pub(super) fn lanes_of(variable: LoopId, lanes: usize, statement: Statement) -> Statement {
    let (lower, upper) = (vec![Index::constant(0)], vec![Index::constant(lanes as i64)]);
    Statement::For(For { variable, lower, upper, step: 1, kind: Kind::Serial, body: vec![statement] })
}

/// `target[at] = value`.
pub(super) fn set(target: TensorId, at: Vec<Index>, value: Expr) -> Statement {
    Statement::Store { target, at, reduce: Reduce::Set, value }
}

/// `register[row, l] = value(l)`.
pub(super) fn load_at(
    register: TensorId,
    row: Index,
    value: Expr,
    lanes: usize,
    variable: LoopId,
) -> Statement {
    lanes_of(variable, lanes, set(register, vec![row, Index::of_loop(variable)], value))
}

/// `register[row, terms * l + t] = value(t)`: the same terms for every sum.
pub(super) fn broadcast(
    register: TensorId,
    row: Index,
    value: Expr,
    dot: &Dot,
    [lane, term]: [LoopId; 2],
) -> Statement {
    let lane_at = Index::of_loop(lane) * dot.terms as i64;
    if dot.terms == 1 {
        return lanes_of(lane, dot.sums, set(register, vec![row, lane_at], value));
    }
    let line = set(register, vec![row, lane_at + Index::of_loop(term)], value);
    lanes_of(lane, dot.sums, lanes_of(term, dot.terms, line))
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

/// `sum[at] += i32(a[row, l]) * i32(b[row, l])`, or `sum[at, l] = fma(a[row, l], b[row, l], sum[at, l])` side by side.
pub(super) fn multiply(
    dot: &Dot,
    sum: TensorId,
    at: &[Index],
    (a, a_row): (TensorId, Index),
    (b, b_row): (TensorId, Index),
    [lane, term]: [LoopId; 2],
) -> Statement {
    let along = Index::of_loop(lane);
    if dot.sums == 1 {
        let read = |id: TensorId, row: Index| Expr::read(id, vec![row, along.clone()]).cast(DType::I32);
        let value = read(a, a_row) * read(b, b_row);
        let line = Statement::Store { target: sum, at: at.to_vec(), reduce: Reduce::Sum, value };
        return lanes_of(lane, dot.terms, line);
    }
    let at: Vec<Index> = at.iter().cloned().chain([along.clone()]).collect();
    let place = if dot.terms == 1 { along } else { along * dot.terms as i64 + Index::of_loop(term) };
    let first = match dot.moving {
        Moving::Scalar => vec![a_row],
        _ => vec![a_row, place.clone()],
    };
    let (a, b) = (Expr::read(a, first), Expr::read(b, vec![b_row, place]));
    // Instructions that take one element take it as the second factor.
    let (a, b) = if dot.moving == Moving::Scalar { (b, a) } else { (a, b) };
    let line = match dot.dtype.is_float() {
        true => set(sum, at.clone(), Expr::MultiplyAdd(Box::new([a, b, Expr::read(sum, at)]))),
        false => {
            let value = a.cast(DType::I32) * b.cast(DType::I32);
            Statement::Store { target: sum, at, reduce: Reduce::Sum, value }
        }
    };
    let line = if dot.terms == 1 { line } else { lanes_of(term, dot.terms, line) };
    lanes_of(lane, dot.sums, line)
}
