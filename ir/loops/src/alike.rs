//! Kernels that are alike: one code, that runs with other buffers and other numbers.
//!
//! Owns when one function does for several kernels, and what its calls differ in. Two kernels are alike if they are the same text once
//! buffers are numbered as they come, and the numbers that a call can pass are left out: those that a product's upper word is taken with,
//! or a sum of that, and those that are stored as they are. Any other number is better known when the code is compiled.

use std::cell::RefCell;

use nablac_index::{Binary, DType, Expr, Reduce, TensorId, Value};

use crate::optimize::Optimize;
use crate::program::{Buffer, For, Kernel, Program, Register, Role, Statement, Step};
use crate::rename::rename;

/// Kernels that are alike, in the order in which they run.
#[derive(Clone, PartialEq, Debug)]
pub struct Family {
    /// The first of them. The numbers that calls pass are registers of it, its last, that nothing stores to.
    pub kernel: Kernel,
    /// How many numbers calls pass.
    pub numbers: usize,
    /// The extents of the repetitions around each of them.
    pub counters: Vec<usize>,
    /// Each of them, as a call.
    pub calls: Vec<Call>,
}

/// A kernel as a call of its family's first.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// The kernel's name.
    pub kernel: String,
    /// Its buffers, in the order of the text.
    pub buffers: Vec<TensorId>,
    /// The numbers that it passes.
    pub numbers: Vec<Value>,
}

impl Family {
    /// What a buffer of the first kernel is in a call.
    pub fn buffer(&self, call: &Call, id: TensorId) -> TensorId {
        let position = self.calls[0].buffers.iter().position(|own| *own == id);
        position.map_or(id, |position| call.buffers[position])
    }

    /// Whether all calls have the same in the place of a buffer of the first kernel.
    pub fn agrees_on(&self, id: TensorId) -> bool {
        self.calls.iter().all(|call| self.buffer(call, id) == id)
    }
}

/// How many products, or instructions of several, a kernel has for each result if calls may share its code where code is to be fast: what
/// it is passed costs some ten instructions for a tile of results, which then are less than a hundredth.
const SHARED_WORK: u64 = 32;

/// All kernels of a program, each in one family. Where code is to be fast, those alone share theirs to which it makes no difference.
pub fn families(program: &Program, optimize: Optimize) -> Vec<Family> {
    let mut found: Vec<(Form, Vec<Member>)> = vec![];
    let may_share = |kernel: &Kernel| optimize == Optimize::Size || work(program, kernel) >= SHARED_WORK;
    collect(program, &program.steps, &mut vec![], &may_share, &mut found);
    found.into_iter().map(|(form, members)| family(program, form, members)).collect()
}

/// The products, or instructions of several, that a kernel has for each of its results.
fn work(program: &Program, kernel: &Kernel) -> u64 {
    let written = kernel.writes(program.buffers.len()).into_iter().map(|id| program.buffer(id).len());
    let results = written.max().unwrap_or(0).max(1) as u64;
    let mut together = 1;
    kernel.visit(&mut |statement| {
        if let Statement::Use { body, .. } = statement {
            together = together.max(products(body));
        }
    });
    kernel.macs / (results * together)
}

/// The products that an instruction adds up.
fn products(body: &[Statement]) -> u64 {
    let of = |statement: &Statement| match statement {
        Statement::For(For { lower, upper, body, .. }) => match (&lower[..], &upper[..]) {
            ([lower], [upper]) => (upper.offset() - lower.offset()).max(0) as u64 * products(body),
            _ => 0,
        },
        Statement::Store { reduce, .. } => u64::from(*reduce == Reduce::Sum),
        _ => 0,
    };
    body.iter().map(of).sum()
}

/// What kernels that are alike have in common.
#[derive(PartialEq)]
struct Form {
    counters: Vec<usize>,
    variables: usize,
    registers: Vec<Register>,
    buffers: Vec<Kind>,
    body: Vec<Statement>,
}

/// What the code knows of a buffer.
#[derive(PartialEq)]
struct Kind {
    dtype: DType,
    shape: Vec<usize>,
    is_constant: bool,
    /// The caller fills it: a boolean may be any byte there.
    is_input: bool,
}

impl Kind {
    fn of(buffer: &Buffer) -> Kind {
        Kind {
            dtype: buffer.dtype,
            shape: buffer.shape.clone(),
            is_constant: matches!(buffer.role, Role::Constant(_)),
            is_input: matches!(buffer.role, Role::Input(_)) && buffer.dtype == DType::Bool,
        }
    }
}

struct Member<'a> {
    kernel: &'a Kernel,
    buffers: Vec<TensorId>,
    numbers: Vec<(DType, Value)>,
}

fn collect<'a>(
    program: &Program,
    steps: &'a [Step],
    counters: &mut Vec<usize>,
    may_share: &dyn Fn(&Kernel) -> bool,
    found: &mut Vec<(Form, Vec<Member<'a>>)>,
) {
    for step in steps {
        match step {
            Step::Kernel(kernel) => {
                let (form, member) = form(program, kernel, counters);
                match found.iter_mut().find(|(own, _)| *own == form && may_share(kernel)) {
                    Some((_, members)) => members.push(member),
                    None => found.push((form, vec![member])),
                }
            }
            Step::Repeat(repeat) => {
                counters.push(repeat.extent);
                collect(program, &repeat.body, counters, may_share, found);
                counters.pop();
            }
            Step::Receive(_) => {}
            Step::Branch { then, otherwise, .. } => {
                collect(program, then, counters, may_share, found);
                collect(program, otherwise, counters, may_share, found);
            }
        }
    }
}

fn form<'a>(program: &Program, kernel: &'a Kernel, counters: &[usize]) -> (Form, Member<'a>) {
    let buffers = RefCell::new(vec![]);
    let count = program.buffers.len();
    let numbered = |id: TensorId| {
        let mut buffers = buffers.borrow_mut();
        let position = match program.is_register(id) {
            // Behind all buffers that a program could have.
            true => count + id.0 as usize,
            false => buffers.iter().position(|own| *own == id).unwrap_or_else(|| {
                buffers.push(id);
                buffers.len() - 1
            }),
        };
        TensorId(position as u32)
    };
    let mut numbers = vec![];
    let body = map_numbers(kernel.body.clone(), &mut |dtype, value| {
        numbers.push((dtype, value));
        Expr::Literal(dtype, Value::from_i64(dtype, 0))
    });
    let body = rename(body, &numbered);
    let buffers = buffers.into_inner();
    let nameless = |register: &Register| Register { name: String::new(), ..register.clone() };
    let form = Form {
        counters: counters.to_vec(),
        variables: kernel.variables.len(),
        registers: kernel.registers.iter().map(nameless).collect(),
        buffers: buffers.iter().map(|&id| Kind::of(program.buffer(id))).collect(),
        body,
    };
    (form, Member { kernel, buffers, numbers })
}

/// The family of these members, of which there is one at least.
fn family(program: &Program, form: Form, members: Vec<Member>) -> Family {
    let first = &members[0];
    let column = |number: usize| members.iter().map(move |member| member.numbers[number].1);
    let differs = |number: usize| column(number).any(|value| value != first.numbers[number].1);
    // Numbers that are the same in each call are passed once.
    let mut passed: Vec<usize> = vec![];
    let mut place = vec![None; first.numbers.len()];
    for number in (0..first.numbers.len()).filter(|&n| differs(n)) {
        let same =
            |&own: &usize| first.numbers[own].0 == first.numbers[number].0 && column(own).eq(column(number));
        place[number] = Some(passed.iter().position(same).unwrap_or(passed.len()));
        if place[number] == Some(passed.len()) {
            passed.push(number);
        }
    }
    let mut kernel = first.kernel.clone();
    let behind = program.buffers.len() + kernel.registers.len();
    for (position, &number) in passed.iter().enumerate() {
        let (dtype, _) = first.numbers[number];
        let name = format!("number{position}");
        kernel.registers.push(Register { name, dtype, shape: vec![], vector: false });
    }
    let mut next = 0;
    kernel.body = map_numbers(kernel.body, &mut |dtype, value| {
        next += 1;
        match place[next - 1] {
            Some(position) => Expr::read(TensorId((behind + position) as u32), vec![]),
            None => Expr::Literal(dtype, value),
        }
    });
    let calls = members.iter().map(|member| Call {
        kernel: member.kernel.name.clone(),
        buffers: member.buffers.clone(),
        numbers: passed.iter().map(|&number| member.numbers[number].1).collect(),
    });
    Family { kernel, numbers: passed.len(), counters: form.counters, calls: calls.collect() }
}

/// A body with `of(…)` in the place of each number that a call can pass.
fn map_numbers(body: Vec<Statement>, of: &mut dyn FnMut(DType, Value) -> Expr) -> Vec<Statement> {
    let mut mapped = vec![];
    for statement in body {
        mapped.push(match statement {
            Statement::For(nest) => Statement::For(For { body: map_numbers(nest.body, of), ..nest }),
            Statement::If { condition, body } => Statement::If { condition, body: map_numbers(body, of) },
            Statement::Store { target, at, reduce: Reduce::Set, value } => {
                let value = match value {
                    Expr::Literal(dtype, value) if dtype.is_integer() => of(dtype, value),
                    value => in_lines(&value, of),
                };
                Statement::Store { target, at, reduce: Reduce::Set, value }
            }
            other => other,
        });
    }
    mapped
}

/// An expression with `of(…)` in the place of `M` and `C` in each `highword(…, M) + C`.
fn in_lines(value: &Expr, of: &mut dyn FnMut(DType, Value) -> Expr) -> Expr {
    let of_line = |operation: Binary, a: &Expr| match operation {
        Binary::HighWord => true,
        Binary::Add => matches!(a, Expr::Binary(Binary::HighWord, ..)),
        _ => false,
    };
    match value {
        Expr::Binary(operation, a, b) if of_line(*operation, a) => {
            let a = in_lines(a, of);
            let b = match b.as_ref() {
                Expr::Literal(dtype, value) => of(*dtype, *value),
                b => in_lines(b, of),
            };
            a.binary(*operation, b)
        }
        value => value.map_children(&mut |child| in_lines(child, of)),
    }
}
