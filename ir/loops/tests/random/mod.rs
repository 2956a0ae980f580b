//! Random loop nests that follow every rule, with inputs for them.
//!
//! Owns the choice; the numbers come from a fixed sequence per seed, so that a failure can be run again.

use nablac_index::{Access, Array, Binary, DType, Expr, Index, LoopId, Reduce, TensorId, Unary, Value};
use nablac_loops::{
    Bounds, Buffer, Delivery, For, Kernel, Kind, Program, Register, Repeat, Role, Statement, Step,
};

/// The sequence of Knuth's MMIX generator; the upper bits are good enough to choose by.
pub struct Chooser(u64);

impl Chooser {
    pub fn new(seed: u64) -> Chooser {
        Chooser(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n as u64) as usize
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

/// The element types that take part.
const TYPES: [DType; 6] = [DType::F32, DType::I32, DType::U8, DType::I8, DType::I64, DType::Bool];

/// A program of a few kernels, each of which reads what is there and writes one buffer of its own.
pub fn program(seed: u64) -> Program {
    let mut chooser = Chooser::new(seed);
    let mut program = Program { name: "random".into(), ..Program::default() };
    for position in 0..3 {
        let role = if position == 2 { None } else { Some(Role::Input(Delivery::Whole)) };
        let buffer = buffer(&mut chooser, &format!("x{position}"), role);
        program.buffers.push(buffer);
    }
    let kernels = 1 + chooser.below(3);
    for position in 0..kernels {
        let role = if position + 1 == kernels { Role::Output } else { Role::Local };
        let buffer = buffer(&mut chooser, &format!("y{position}"), Some(role));
        program.buffers.push(buffer);
    }
    let mut steps = vec![];
    for position in 0..kernels {
        let target = TensorId(3 + position as u32);
        let counters: Vec<usize> = if chooser.below(4) == 0 { vec![2] } else { vec![] };
        let kernel = Kernel::default();
        let mut writer =
            Writer { chooser: &mut chooser, program: &program, target, kernel, in_parallel: false };
        let kernel = writer.kernel(position, &counters);
        steps.push(match counters[..] {
            [extent] => Step::Repeat(Repeat {
                counter: "t".into(),
                extent,
                body: vec![Step::Kernel(kernel)],
                ..Repeat::default()
            }),
            _ => Step::Kernel(kernel),
        });
    }
    program.steps = steps;
    place(&mut program);
    program
}

/// Places everything side by side.
fn place(program: &mut Program) {
    for buffer in &mut program.buffers {
        if !matches!(buffer.role, Role::Constant(_)) {
            let unit = buffer.dtype.bytes();
            let offset = program.arena_bytes.div_ceil(unit) * unit;
            buffer.offset = Some(offset);
            program.arena_bytes = offset + buffer.bytes();
        }
    }
}

fn buffer(chooser: &mut Chooser, name: &str, role: Option<Role>) -> Buffer {
    let dtype = chooser.of(&TYPES);
    let shape: Vec<usize> = (0..chooser.below(4)).map(|_| 1 + chooser.below(5)).collect();
    let role = role.unwrap_or_else(|| Role::Constant(array(chooser, dtype, &shape)));
    Buffer { name: name.into(), dtype, shape, role, offset: None }
}

/// Inputs for a program.
pub fn inputs(program: &Program, seed: u64) -> Vec<Array> {
    let mut chooser = Chooser::new(seed ^ 0x5555);
    let ids = program.inputs();
    ids.iter().map(|id| array(&mut chooser, program.buffer(*id).dtype, &program.buffer(*id).shape)).collect()
}

fn array(chooser: &mut Chooser, dtype: DType, shape: &[usize]) -> Array {
    let count: usize = shape.iter().product();
    Array::from_values(dtype, shape, (0..count).map(|_| value(chooser, dtype)))
}

fn value(chooser: &mut Chooser, dtype: DType) -> Value {
    match dtype {
        DType::Bool => Value::Int(chooser.between(0, 1)),
        t if t.is_float() => Value::from_f64(t, chooser.between(-400, 400) as f64 / 16.0),
        t => Value::from_i64(t, chooser.between(-130, 300)),
    }
}

struct Writer<'a> {
    chooser: &'a mut Chooser,
    program: &'a Program,
    target: TensorId,
    kernel: Kernel,
    /// Whether a parallel loop is around, which must leave the registers alone.
    in_parallel: bool,
}

impl Writer<'_> {
    fn kernel(&mut self, position: usize, counters: &[usize]) -> Kernel {
        self.kernel = Kernel {
            name: format!("k{position}"),
            laws: vec!["y = \"anything\" */ at all".into()],
            macs: position as u64,
            variables: counters.iter().map(|_| "t".to_string()).collect(),
            registers: vec![Register {
                name: "acc".into(),
                dtype: DType::I32,
                shape: vec![2],
                vector: false,
            }],
            body: vec![],
        };
        let bounds = Bounds::new(0, counters);
        let mut body = self.fill();
        for _ in 0..1 + self.chooser.below(2) {
            let depth = 1 + self.chooser.below(3);
            body.extend(self.lines(&bounds, depth));
        }
        if self.chooser.below(2) == 0 {
            body.extend(self.parallel(&bounds));
        }
        Kernel { body, ..std::mem::take(&mut self.kernel) }
    }

    fn variable(&mut self) -> LoopId {
        let id = LoopId(self.kernel.variables.len() as u32);
        self.kernel.variables.push(format!("v{}", id.0));
        id
    }

    /// Gives every element of the target a value, and the register too.
    fn fill(&mut self) -> Vec<Statement> {
        let buffer = self.program.buffer(self.target).clone();
        let ids: Vec<LoopId> = buffer.shape.iter().map(|_| self.variable()).collect();
        let at = ids.iter().map(|id| Index::of_loop(*id)).collect();
        let value = Expr::Literal(buffer.dtype, value(self.chooser, buffer.dtype));
        let store = Statement::Store { target: self.target, at, reduce: Reduce::Set, value };
        let nest = ids.iter().zip(&buffer.shape).rev().fold(store, |body, (&variable, &extent)| {
            let upper = vec![Index::constant(extent as i64)];
            Statement::For(For {
                variable,
                lower: vec![0.into()],
                upper,
                step: 1,
                kind: Kind::Serial,
                body: vec![body],
            })
        });
        let zero = |at: i64| Statement::Store {
            target: self.register(),
            at: vec![at.into()],
            reduce: Reduce::Set,
            value: Expr::integer(DType::I32, at),
        };
        vec![nest, zero(0), zero(1)]
    }

    /// One loop per dimension of the target, one of them parallel, around a store there.
    fn parallel(&mut self, bounds: &Bounds) -> Option<Statement> {
        let buffer = self.program.buffer(self.target).clone();
        let own = self.chooser.below(buffer.shape.len().max(1));
        let mut nests = vec![];
        let mut inside = bounds.clone();
        for (d, &extent) in buffer.shape.iter().enumerate() {
            let parts = 1 + self.chooser.below(4);
            let kind = if d == own { Kind::Parallel(parts) } else { Kind::Serial };
            let (lower, upper) = (vec![0.into()], vec![Index::constant(extent as i64)]);
            let nest = For { variable: self.variable(), lower, upper, step: 1, kind, body: vec![] };
            inside = inside.inside(&nest);
            nests.push(nest);
        }
        self.in_parallel = true;
        let at = nests.iter().map(|nest| Index::of_loop(nest.variable)).collect();
        let value = self.value(&inside, buffer.dtype, 2);
        self.in_parallel = false;
        let store = Statement::Store { target: self.target, at, reduce: Reduce::Set, value };
        let around = |body, nest: For| vec![Statement::For(For { body, ..nest })];
        nests.into_iter().rev().fold(vec![store], around).pop()
    }

    fn register(&self) -> TensorId {
        TensorId(self.program.buffers.len() as u32)
    }

    fn lines(&mut self, bounds: &Bounds, depth: usize) -> Vec<Statement> {
        if depth == 0 {
            return vec![self.store(bounds), self.collect(bounds)];
        }
        if self.chooser.below(6) == 0 {
            let condition = self.index(bounds).map_or(Expr::Literal(DType::Bool, Value::Int(1)), |index| {
                Expr::Index(index).binary(Binary::Ge, Expr::integer(DType::I64, 0))
            });
            let body = self.lines(&bounds.given(&condition), depth - 1);
            return vec![Statement::If { condition, body }];
        }
        let kind = if self.chooser.below(3) == 0 { Kind::Unroll } else { Kind::Serial };
        let low = self.chooser.between(-2, 2);
        let high = low + self.chooser.between(0, 4);
        let (mut lower, mut upper) = (vec![Index::constant(low)], vec![Index::constant(high)]);
        if kind == Kind::Serial && self.chooser.below(2) == 0 {
            lower.extend(self.index(bounds));
            upper.extend(self.index(bounds));
        }
        let step = 1 + self.chooser.below(2);
        let variable = self.variable();
        let mut nest = For { variable, lower, upper, step, kind, body: vec![] };
        nest.body = self.lines(&bounds.inside(&nest), depth - 1);
        vec![Statement::For(nest)]
    }

    /// A small function of the variables in scope; nothing where there is none.
    fn index(&mut self, bounds: &Bounds) -> Option<Index> {
        let open: Vec<LoopId> = bounds.variables().collect();
        let mut variable = || (!open.is_empty()).then(|| Index::of_loop(self.chooser.of(&open)));
        let (a, b) = (variable()?, variable()?);
        let sum =
            a * self.chooser.between(-2, 3) + b * self.chooser.between(-1, 1) + self.chooser.between(-3, 3);
        Some(match self.chooser.below(4) {
            0 => sum / self.chooser.between(2, 4),
            1 => sum % self.chooser.between(2, 4),
            _ => sum,
        })
    }

    fn store(&mut self, bounds: &Bounds) -> Statement {
        let buffer = self.program.buffer(self.target);
        let at = buffer.shape.iter().map(|&extent| self.inside(bounds, extent)).collect();
        let choices: &[Reduce] = match buffer.dtype {
            DType::Bool => &[Reduce::Set, Reduce::Or],
            t if t.is_float() => &[Reduce::Set, Reduce::Sum, Reduce::Product, Reduce::Min, Reduce::Max],
            _ => &[Reduce::Set, Reduce::Sum, Reduce::Product, Reduce::Min, Reduce::Max, Reduce::Or],
        };
        let reduce = self.chooser.of(choices);
        Statement::Store { target: self.target, at, reduce, value: self.value(bounds, buffer.dtype, 3) }
    }

    fn collect(&mut self, bounds: &Bounds) -> Statement {
        let at = vec![Index::constant(self.chooser.between(0, 1))];
        Statement::Store {
            target: self.register(),
            at,
            reduce: Reduce::Sum,
            value: self.value(bounds, DType::I32, 2),
        }
    }

    /// An index that stays in `0..extent`.
    fn inside(&mut self, bounds: &Bounds, extent: usize) -> Index {
        let index = self.index(bounds).unwrap_or_default();
        match bounds.range(&index) {
            Some((low, high)) if low >= 0 && high < extent as i64 => index,
            _ => index % extent as i64,
        }
    }

    fn value(&mut self, bounds: &Bounds, dtype: DType, depth: usize) -> Expr {
        if depth == 0 {
            return self.leaf(bounds, dtype);
        }
        let a = self.value(bounds, dtype, depth - 1);
        let b = self.value(bounds, dtype, depth - 1);
        let choice = self.chooser.below(6);
        match (choice, dtype) {
            (0, DType::Bool) => {
                let other = self.chooser.of(&[DType::F32, DType::I32, DType::U8]);
                let operation = self.chooser.of(&[
                    Binary::Lt,
                    Binary::Le,
                    Binary::Gt,
                    Binary::Ge,
                    Binary::Eq,
                    Binary::Ne,
                ]);
                self.value(bounds, other, depth - 1).binary(operation, self.value(bounds, other, depth - 1))
            }
            (1, DType::Bool) => a.unary(Unary::Not),
            (_, DType::Bool) => a.binary(self.chooser.of(&[Binary::And, Binary::Or, Binary::Xor]), b),
            (0, _) => {
                let from = self.chooser.of(&TYPES);
                self.value(bounds, from, depth - 1).cast(dtype)
            }
            (1, _) => self.value(bounds, DType::Bool, depth - 1).select(a, b),
            (2, t) if t.is_float() => {
                a.unary(self.chooser.of(&[Unary::Neg, Unary::Abs, Unary::Floor, Unary::Round]))
            }
            (_, t) if t.is_float() => {
                let operations = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Min, Binary::Max];
                a.binary(self.chooser.of(&operations), b)
            }
            (2, _) => a.unary(self.chooser.of(&[Unary::Neg, Unary::Abs, Unary::Not])),
            _ => {
                let operations = [
                    Binary::Add,
                    Binary::Sub,
                    Binary::Mul,
                    Binary::Div,
                    Binary::Rem,
                    Binary::Min,
                    Binary::Max,
                    Binary::And,
                    Binary::Or,
                    Binary::Xor,
                    Binary::Shl,
                    Binary::Shr,
                    Binary::Pow,
                ];
                a.binary(self.chooser.of(&operations), b)
            }
        }
    }

    fn leaf(&mut self, bounds: &Bounds, dtype: DType) -> Expr {
        let readable: Vec<TensorId> = (0..self.target.0).map(TensorId).collect();
        let typed: Vec<TensorId> =
            readable.into_iter().filter(|id| self.program.buffer(*id).dtype == dtype).collect();
        match self.chooser.below(5) {
            0 if dtype == DType::I64 => Expr::Index(self.index(bounds).unwrap_or_default()),
            1 if dtype == DType::I32 && !self.in_parallel => {
                Expr::read(self.register(), [Index::constant(self.chooser.between(0, 1))])
            }
            2 => Expr::Literal(dtype, value(self.chooser, dtype)),
            _ if typed.is_empty() => Expr::Literal(dtype, value(self.chooser, dtype)),
            choice => {
                let tensor = self.chooser.of(&typed);
                let shape = &self.program.buffer(tensor).shape;
                let guarded = choice == 3;
                let index = |writer: &mut Self, &extent: &usize| match guarded {
                    true => writer.index(bounds).unwrap_or_default(),
                    false => writer.inside(bounds, extent),
                };
                let at = shape.iter().map(|extent| index(self, extent)).collect();
                let outside = guarded.then(|| value(self.chooser, dtype));
                Expr::Read(Access { tensor, at, outside })
            }
        }
    }
}
