//! Random verified programs of index notation, with inputs, for property tests of this and other crates.
//!
//! Small integers (also as floats) everywhere, so that sums are exact and every rewrite has to give equal bits.

#![allow(clippy::unwrap_used, dead_code)]

use nablac_index::{
    Array, Binary, Builder, Carry, DType, Expr, Index, Program, Reduce, Role, TensorId, Unary, Value, axes,
};

/// A generator of numbers (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn shape(&mut self) -> Vec<usize> {
        (0..self.below(4)).map(|_| 1 + self.below(4)).collect()
    }
}

/// A program and inputs for it.
pub fn program(seed: u64) -> (Program, Vec<Array>) {
    let mut source = Source { random: Random(seed), builder: Builder::new("random"), known: vec![] };
    let mut inputs = vec![];
    for n in 0..2 + source.random.below(2) {
        let dtype = source.random.pick(&[DType::F32, DType::F32, DType::I32, DType::F64]);
        let shape = source.random.shape();
        source.known.push(source.builder.tensor(&format!("x{n}"), dtype, &shape, Role::Input));
        inputs.push(array(&mut source.random, dtype, &shape));
    }
    for n in 0..source.random.below(3) {
        let dtype = source.random.pick(&[DType::F32, DType::I32]);
        let shape = source.random.shape();
        let constant = array(&mut source.random, dtype, &shape);
        source.known.push(source.builder.constant(&format!("c{n}"), constant));
    }
    let mut states = vec![];
    let mut random = Random(!seed);
    for n in 0..random.below(6) / 3 {
        let dtype = random.pick(&[DType::F32, DType::I32]);
        let shape = random.shape();
        let initial = array(&mut random, dtype, &shape);
        states.push(source.builder.state(&format!("s{n}"), initial));
        source.known.push(states[n]);
    }
    for n in 0..2 + source.random.below(5) {
        source.builder.set_label(if n % 2 == 0 { "node" } else { "" }, "");
        match source.random.below(9) {
            0 => source.parts(),
            1 => source.repeat(),
            2 => source.branch(),
            3 => source.scatter(),
            4 | 5 => source.reduction(),
            _ => source.map(),
        }
    }
    for state in states {
        let next = source.next(state);
        source.builder.set_next(state, next);
    }
    for n in 0..1 + source.random.below(2) {
        let from = *source.known.iter().rev().nth(n).unwrap();
        let (dtype, shape) = (source.builder.dtype(from), source.builder.shape(from));
        let to = source.builder.tensor(&format!("y{n}"), dtype, &shape, Role::Output);
        source.builder.write(to, Reduce::Set, &axes(&shape), |at| (at.to_vec(), Expr::read(from, at)));
    }
    (source.builder.finish(), inputs)
}

fn array(random: &mut Random, dtype: DType, shape: &[usize]) -> Array {
    let count = shape.iter().product();
    let values: Vec<i64> = (0..count).map(|_| random.below(7) as i64 - 3).collect();
    Array::from_values(dtype, shape, values.into_iter().map(|x| Value::from_i64(dtype, x)))
}

struct Source {
    random: Random,
    builder: Builder,
    known: Vec<TensorId>,
}

impl Source {
    /// An index into an extent from the loops at hand: mostly inside; whether it surely is.
    fn index(&mut self, extent: usize, loops: &[(Index, usize)]) -> (Index, bool) {
        let surely = |random: &mut Random| Index::constant(random.below(extent) as i64);
        if loops.is_empty() {
            return (surely(&mut self.random), true);
        }
        let (at, n) = loops[self.random.below(loops.len())].clone();
        let (other, m) = loops[self.random.below(loops.len())].clone();
        let k = 1 + self.random.below(3) as i64;
        match self.random.below(8) {
            0 => (surely(&mut self.random), true),
            1 => (at % extent as i64, true),
            2 => ((at * k + other) / 2 % extent as i64, true),
            3 => (at * k + other - 1, false),
            4 if n <= extent => (Index::constant(n as i64 - 1) - at, true),
            5 if n + m <= extent + 1 => (at + other, true),
            _ if n <= extent => (at, true),
            _ => (at, false),
        }
    }

    fn read(&mut self, tensor: TensorId, loops: &[(Index, usize)]) -> Expr {
        let shape = self.builder.shape(tensor);
        let indices: Vec<(Index, bool)> = shape.iter().map(|&n| self.index(n, loops)).collect();
        let mut at: Vec<Index> = indices.iter().map(|i| i.0.clone()).collect();
        let dtype = self.builder.dtype(tensor);
        let mut inside = indices.iter().all(|i| i.1) && !self.random.one_in(8);
        let integers: Vec<TensorId> = self
            .known
            .iter()
            .copied()
            .filter(|&t| self.builder.dtype(t) == DType::I32 && t != tensor)
            .collect();
        if !at.is_empty() && !integers.is_empty() && self.random.one_in(6) {
            let table = integers[self.random.below(integers.len())];
            let inner: Vec<Index> = self.builder.shape(table).iter().map(|_| Index::constant(0)).collect();
            at[0] = Index::of_read(table, inner);
            inside = false;
        }
        match inside {
            true => Expr::read(tensor, at),
            false => Expr::read_or(tensor, at, Value::from_i64(dtype, self.random.below(3) as i64 - 1)),
        }
    }

    fn expression(&mut self, dtype: DType, loops: &[(Index, usize)], depth: usize) -> Expr {
        if depth == 0 || self.random.one_in(3) {
            return match self.random.below(6) {
                0 => Expr::integer(dtype, self.random.below(5) as i64 - 2),
                1 if !loops.is_empty() => Expr::Index(self.index(4, loops).0).cast(dtype),
                _ => {
                    let tensor = self.known[self.random.below(self.known.len())];
                    let read = self.read(tensor, loops);
                    if self.builder.dtype(tensor) == dtype { read } else { read.cast(dtype) }
                }
            };
        }
        let a = self.expression(dtype, loops, depth - 1);
        let b = self.expression(dtype, loops, depth - 1);
        match self.random.below(7) {
            0 => a.unary(self.random.pick(&[Unary::Neg, Unary::Abs])),
            1 => a.clone().binary(Binary::Lt, b.clone()).select(b, a),
            2 => Expr::Stop(Box::new(a)),
            3 => Expr::MultiplyAdd(Box::new([a, b.clone(), b])),
            _ => {
                let operation =
                    self.random.pick(&[Binary::Add, Binary::Sub, Binary::Mul, Binary::Max, Binary::Min]);
                a.binary(operation, b)
            }
        }
    }

    /// What a state may hold after a run: a tensor that is there, or one made for it, of small numbers again.
    fn next(&mut self, state: TensorId) -> TensorId {
        let (dtype, shape) = (self.builder.dtype(state), self.builder.shape(state));
        let program = self.builder.program();
        let fits = |&t: &TensorId| {
            let tensor = program.tensor(t);
            (tensor.dtype, &tensor.shape) == (dtype, &shape)
                && matches!(tensor.role, Role::Input | Role::Constant(_))
        };
        let there: Vec<TensorId> = self.known.iter().copied().filter(fits).collect();
        if !there.is_empty() && self.random.one_in(4) {
            return self.random.pick(&there);
        }
        let loops: Vec<(Index, usize)> =
            (0..).zip(&shape).map(|(l, &n)| (Index::of_loop(nablac_index::LoopId(l)), n)).collect();
        let body = self.expression(dtype, &loops, 2);
        let bound = |x| Expr::integer(dtype, x);
        self.builder.map("next", dtype, &shape, |at| {
            let old = Expr::read(state, at);
            (old + body).max(bound(-5)).min(bound(5))
        })
    }

    fn dtype(&mut self) -> DType {
        self.random.pick(&[DType::F32, DType::F32, DType::I32, DType::F64, DType::I64])
    }

    fn loops_of(&self, indices: &[Index], extents: &[usize]) -> Vec<(Index, usize)> {
        indices.iter().cloned().zip(extents.iter().copied()).collect()
    }

    /// `t[space] reduce body` with fresh loops; gives the tensor.
    fn emit(
        &mut self,
        name: &str,
        shape: &[usize],
        over: &[usize],
        reduce: Reduce,
        dtype: DType,
        outer: &[(Index, usize)],
    ) -> TensorId {
        let out = self.builder.local(name, dtype, shape);
        self.fill(out, shape, over, reduce, outer);
        out
    }

    fn fill(
        &mut self,
        out: TensorId,
        shape: &[usize],
        over: &[usize],
        reduce: Reduce,
        outer: &[(Index, usize)],
    ) {
        let extents = [shape, over].concat();
        let dtype = match reduce {
            Reduce::ArgMax => DType::F32,
            _ => self.builder.dtype(out),
        };
        // The body is made with stand-ins for the loops, which the builder numbers behind its counters.
        let first = outer.len() as u32;
        let indices: Vec<Index> =
            (0..extents.len()).map(|l| Index::of_loop(nablac_index::LoopId(first + l as u32))).collect();
        let mut loops = self.loops_of(&indices, &extents);
        loops.extend_from_slice(outer);
        let body = self.expression(dtype, &loops, 3);
        self.builder.write(out, reduce, &axes(&extents), |at| (at[..shape.len()].to_vec(), body));
    }

    fn map(&mut self) {
        let (shape, dtype) = (self.random.shape(), self.dtype());
        let out = self.emit("map", &shape, &[], Reduce::Set, dtype, &[]);
        self.known.push(out);
    }

    fn reduction(&mut self) {
        let (shape, over) = (self.random.shape(), self.random.shape());
        let reduce = self.random.pick(&[
            Reduce::Sum,
            Reduce::Sum,
            Reduce::Sum,
            Reduce::Max,
            Reduce::Min,
            Reduce::Product,
            Reduce::ArgMax,
            Reduce::Or,
        ]);
        let dtype = match reduce {
            Reduce::ArgMax | Reduce::Or => DType::I32,
            _ => self.dtype(),
        };
        let out = self.builder.local("sum", dtype, &shape);
        if reduce == Reduce::Sum && self.random.one_in(2) {
            self.fill(out, &shape, &[], Reduce::Set, &[]);
        }
        self.fill(out, &shape, &over, reduce, &[]);
        self.known.push(out);
        if self.random.one_in(2) && !dtype.is_integer() {
            let map = self
                .builder
                .map("last", dtype, &shape, |at| Expr::read(out, at).max(Expr::integer(dtype, 0)));
            self.known.push(map);
        }
    }

    /// Two statements that write parts of one tensor.
    fn parts(&mut self) {
        let dtype = self.dtype();
        let (a, b, inner) = (1 + self.random.below(3), 1 + self.random.below(3), 1 + self.random.below(3));
        let out = self.builder.local("parts", dtype, &[a + b, inner]);
        for (begin, extent) in [(0, a), (a, b)] {
            let indices: Vec<Index> = (0..2).map(|l| Index::of_loop(nablac_index::LoopId(l))).collect();
            let loops = self.loops_of(&indices, &[extent, inner]);
            let body = self.expression(dtype, &loops, 2);
            self.builder.write(out, Reduce::Set, &axes(&[extent, inner]), |at| {
                (vec![at[0].clone() + begin as i64, at[1].clone()], body)
            });
        }
        self.known.push(out);
    }

    /// A sum into elements that overlap, some of them outside.
    fn scatter(&mut self) {
        let (extent, over) = (2 + self.random.below(4), 1 + self.random.below(4));
        let out = self.builder.local("scatter", DType::F32, &[extent]);
        let indices: Vec<Index> = (0..2).map(|l| Index::of_loop(nablac_index::LoopId(l))).collect();
        let loops = self.loops_of(&indices, &[over, 2]);
        let body = self.expression(DType::F32, &loops, 2);
        self.builder.write(out, Reduce::Sum, &axes(&[over, 2]), |at| {
            (vec![at[0].clone() * 2 + at[1].clone() - 1], body)
        });
        self.known.push(out);
    }

    fn repeat(&mut self) {
        let (shape, extent) = (self.random.shape(), 1 + self.random.below(3));
        let dtype = DType::F32;
        let initial = self.emit("initial", &shape, &[], Reduce::Set, dtype, &[]);
        let state = self.builder.local("state", dtype, &shape);
        let next = self.builder.local("next", dtype, &shape);
        let history = self.builder.local("history", dtype, &[extent, 2]);
        let before = self.known.clone();
        self.known.push(state);
        let bodies: Vec<(Vec<usize>, Expr)> = [shape.clone(), vec![2]]
            .into_iter()
            .map(|shape| {
                let indices: Vec<Index> =
                    (0..shape.len()).map(|l| Index::of_loop(nablac_index::LoopId(1 + l as u32))).collect();
                let mut loops = self.loops_of(&indices, &shape);
                loops.push((Index::of_loop(nablac_index::LoopId(0)), extent));
                let body = self.expression(dtype, &loops, 2);
                (shape, body)
            })
            .collect();
        self.builder.repeat(("time", extent), |builder, time| {
            let [(shape, step), (row, element)] = <[_; 2]>::try_from(bodies).unwrap();
            builder.write(next, Reduce::Set, &axes(&shape), |at| (at.to_vec(), step));
            builder.write(history, Reduce::Set, &axes(&row), |at| (vec![time, at[0].clone()], element));
            vec![Carry { state, initial, next }]
        });
        self.known = before;
        self.known.extend([state, history]);
    }

    fn branch(&mut self) {
        let (shape, dtype) = (self.random.shape(), self.dtype());
        let tensor = self.known[self.random.below(self.known.len())];
        let (read, zero) = (self.read(tensor, &[]), Expr::integer(self.builder.dtype(tensor), 0));
        let condition = self.builder.map("condition", DType::Bool, &[], |_| read.binary(Binary::Gt, zero));
        let out = self.builder.local("chosen", dtype, &shape);
        let indices: Vec<Index> =
            (0..shape.len()).map(|l| Index::of_loop(nablac_index::LoopId(l as u32))).collect();
        let loops = self.loops_of(&indices, &shape);
        let [then, otherwise] = [0, 1].map(|_| self.expression(dtype, &loops, 2));
        let set = |builder: &mut Builder, body: Expr| {
            builder.write(out, Reduce::Set, &axes(&shape), |at| (at.to_vec(), body));
        };
        self.builder.branch(condition, |builder| set(builder, then), |builder| set(builder, otherwise));
        self.known.push(out);
    }
}
