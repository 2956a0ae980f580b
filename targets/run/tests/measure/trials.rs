//! A program that tries every instruction and function of a library: a kernel each, over cases that its inputs hold.

use nablac_index::{Access, DType, Expr, Index, LoopId, Reduce, TensorId};
use nablac_loops::{
    Buffer, Delivery, For, Function, Instruction, Kernel, Kind, Library, Parameter, Program, Register, Role,
    Statement, Step, Vector, number_variables, verify,
};

/// How many cases one run of the program tries.
pub const CASES: usize = 64;

/// The loop over the cases, and the one over the lanes of what goes into a register and comes out of it.
const CASE: LoopId = LoopId(0);
const LANE: LoopId = LoopId(1);

/// Where an instruction's own loops begin.
const OWN: u32 = 2;

/// What arenas and their buffers begin at a multiple of: more than any register needs.
const ALIGNMENT: usize = 64;

/// One kernel and its buffers. Each has a row for every case.
pub struct Trial {
    /// What is tried.
    pub instruction: String,
    /// The values of its constants.
    constants: Vec<i64>,
    /// What stands for each parameter before.
    pub before: Vec<TensorId>,
    /// What holds what it gives.
    pub after: Vec<TensorId>,
}

impl Trial {
    /// The C function that is tried, and the kernel that does it.
    pub fn name(&self) -> String {
        self.constants.iter().fold(self.instruction.clone(), |name, value| format!("{name}_{value}"))
    }
}

/// The trials of a library, and the program that is all of them.
pub fn trials(library: &Library) -> (Program, Vec<Trial>) {
    let mut program =
        Program { name: "trials".into(), library: Some(with_transfers(library)), ..Program::default() };
    let instructions =
        library.instructions.iter().map(|instruction| of_instruction(&mut program, instruction));
    let mut trials: Vec<Trial> = instructions.collect();
    for function in &library.functions {
        trials.extend(constants(function).into_iter().map(|c| of_function(&mut program, function, c)));
    }
    let kernel = |trial: &Trial| match library.instruction(&trial.instruction) {
        Some(instruction) => kernel(&program, instruction, trial),
        None => {
            let function = library.functions.iter().find(|f| f.name == trial.instruction).unwrap();
            let at = vec![Index::of_loop(CASE), 0.into()];
            let value = value(function, trial);
            let store = Statement::Store { target: trial.after[0], at, reduce: Reduce::Set, value };
            over_cases(trial, vec!["case".into()], vec![store])
        }
    };
    program.steps = trials.iter().map(|trial| Step::Kernel(kernel(trial))).collect();
    let program = number_variables(program);
    verify(&program).unwrap_or_else(|error| panic!("{error}\n{program}"));
    (program, trials)
}

/// The library with instructions that put lanes into each of its registers and get them out.
fn with_transfers(library: &Library) -> Library {
    let mut library = library.clone();
    for vector in &library.vectors {
        let register = || Parameter {
            name: "word".into(),
            dtype: vector.dtype,
            shape: vec![vector.lanes],
            memory: false,
        };
        let memory = || Parameter { name: "place".into(), memory: true, ..register() };
        let moved = |to: u32, from: u32| {
            let lane = || vec![Index::of_loop(LoopId(0))];
            let value = Expr::read(TensorId(from), lane());
            let store = Statement::Store { target: TensorId(to), at: lane(), reduce: Reduce::Set, value };
            vec![lanes(LoopId(0), vector.lanes, store)]
        };
        let transfer = |name: String, parameters, body, code: &str| Instruction {
            name,
            parameters,
            variables: vec!["l".into()],
            body,
            code: code.into(),
            takes: 1,
        };
        let put = "__builtin_memcpy(&word, place, sizeof word);";
        let get = "__builtin_memcpy(place, &word, sizeof word);";
        library.instructions.push(transfer(putting(vector), vec![register(), memory()], moved(0, 1), put));
        library.instructions.push(transfer(getting(vector), vec![memory(), register()], moved(0, 1), get));
    }
    library
}

fn putting(Vector { dtype, lanes, .. }: &Vector) -> String {
    format!("put_{dtype}x{lanes}")
}

fn getting(Vector { dtype, lanes, .. }: &Vector) -> String {
    format!("get_{dtype}x{lanes}")
}

fn lanes(variable: LoopId, count: usize, inner: Statement) -> Statement {
    let (lower, upper) = (vec![0.into()], vec![Index::constant(count as i64)]);
    Statement::For(For { variable, lower, upper, step: 1, kind: Kind::Serial, body: vec![inner] })
}

/// Adds a buffer behind all others.
fn add(program: &mut Program, name: &str, dtype: DType, row: usize, role: Role) -> TensorId {
    let offset = program.arena_bytes;
    let buffer = Buffer { name: name.into(), dtype, shape: vec![CASES, row], role, offset: Some(offset) };
    program.arena_bytes = (offset + buffer.bytes()).next_multiple_of(ALIGNMENT);
    program.buffers.push(buffer);
    TensorId(program.buffers.len() as u32 - 1)
}

/// A buffer for each parameter, and one for each that is written. Memory has one more element than is worked on: it must stay, and has
/// the next row begin at another alignment.
fn of_instruction(program: &mut Program, instruction: &Instruction) -> Trial {
    let own = &instruction.name;
    let mut declare = |p: &Parameter, name: String, role| {
        add(program, &name, p.dtype, p.shape.iter().product::<usize>() + usize::from(p.memory), role)
    };
    let parameters = instruction.parameters.iter();
    let before =
        parameters.map(|p| declare(p, format!("{own}.{}", p.name), Role::Input(Delivery::Whole))).collect();
    let written = instruction.written();
    let written = written.iter().map(|id| &instruction.parameters[id.0 as usize]);
    let after = written.map(|p| declare(p, format!("{own}.{}.after", p.name), Role::Output)).collect();
    Trial { instruction: own.clone(), constants: vec![], before, after }
}

fn of_function(program: &mut Program, function: &Function, constants: Vec<i64>) -> Trial {
    let mut trial = Trial { instruction: function.name.clone(), constants, before: vec![], after: vec![] };
    let name = trial.name();
    for p in &function.parameters {
        trial.before.push(add(
            program,
            &format!("{name}.{}", p.name),
            p.dtype,
            1,
            Role::Input(Delivery::Whole),
        ));
    }
    let dtype = function.scope().type_of(&function.value);
    trial.after.push(add(program, &format!("{name}.after"), dtype, 1, Role::Output));
    trial
}

/// What stands for an instruction's parameters in its kernel.
struct Places<'a> {
    instruction: &'a Instruction,
    /// The buffer or the register of each parameter.
    stands: Vec<TensorId>,
}

/// For each case: registers are filled, the instruction works on them, and what it has written comes out.
fn kernel(program: &Program, instruction: &Instruction, trial: &Trial) -> Kernel {
    let written = instruction.written();
    let (mut registers, mut stands) = (vec![], vec![]);
    let (mut first, mut last) = (vec![], vec![]);
    for ((position, p), before) in instruction.parameters.iter().enumerate().zip(&trial.before) {
        let id = TensorId(position as u32);
        let after = written.iter().position(|w| *w == id).map(|n| trial.after[n]);
        if p.memory {
            stands.push(after.unwrap_or(*before));
            first.extend(after.map(|after| moved(program, None, (after, true), (*before, true), p, 1)));
            continue;
        }
        let register = TensorId((program.buffers.len() + registers.len()) as u32);
        registers.push(Register {
            name: format!("{}.register", p.name),
            dtype: p.dtype,
            shape: p.shape.clone(),
            vector: !p.shape.is_empty(),
        });
        stands.push(register);
        if instruction.reads(id) {
            first.push(moved(program, Some(putting), (register, false), (*before, true), p, 0));
        }
        last.extend(after.map(|after| moved(program, Some(getting), (after, true), (register, false), p, 0)));
    }
    let places = Places { instruction, stands };
    let used = instruction.body.iter().map(|statement| places.statement(statement)).collect();
    first.push(Statement::Use { instruction: instruction.name.clone(), body: used });
    let variables = [&["case".to_owned(), "lane".to_owned()][..], &instruction.variables].concat();
    Kernel { registers, ..over_cases(trial, variables, [first, last].concat()) }
}

fn over_cases(trial: &Trial, variables: Vec<String>, body: Vec<Statement>) -> Kernel {
    let (lower, upper) = (vec![0.into()], vec![Index::constant(CASES as i64)]);
    let nest = Statement::For(For { variable: CASE, lower, upper, step: 1, kind: Kind::Serial, body });
    Kernel { name: trial.name(), variables, body: vec![nest], ..Kernel::default() }
}

/// `to[…] = from[…]` for all of a parameter's elements and `more`, by a transfer if one side is a register of several elements. What is
/// in a buffer, as each side says, is in the case's row.
fn moved(
    program: &Program,
    transfer: Option<fn(&Vector) -> String>,
    to: (TensorId, bool),
    from: (TensorId, bool),
    p: &Parameter,
    more: usize,
) -> Statement {
    let count = p.shape.iter().product::<usize>() + more;
    let is_scalar = p.shape.is_empty() && !p.memory;
    let lane = || if is_scalar { Index::constant(0) } else { Index::of_loop(LANE) };
    let at = |in_buffer: bool| match in_buffer {
        true => vec![Index::of_loop(CASE), lane()],
        false if is_scalar => vec![],
        false => vec![lane()],
    };
    let value = Expr::read(from.0, at(from.1));
    let store = Statement::Store { target: to.0, at: at(to.1), reduce: Reduce::Set, value };
    if is_scalar {
        return store;
    }
    let body = lanes(LANE, count, store);
    let library = program.library.as_ref().unwrap();
    let vector = library.vectors.iter().find(|v| (v.dtype, &[v.lanes][..]) == (p.dtype, &p.shape[..]));
    match transfer {
        None => body,
        Some(name) => {
            let vector = vector.unwrap_or_else(|| panic!("no `vector {}{:?}`", p.dtype, p.shape));
            Statement::Use { instruction: name(vector), body: vec![body] }
        }
    }
}

impl Places<'_> {
    /// A parameter's element where it is in the kernel.
    fn element(&self, formal: TensorId, at: &[Index]) -> (TensorId, Vec<Index>) {
        let p = &self.instruction.parameters[formal.0 as usize];
        let row = p.memory.then(|| Index::of_loop(CASE)).into_iter();
        let at = if p.memory && p.shape.is_empty() { vec![0.into()] } else { at.to_vec() };
        (self.stands[formal.0 as usize], row.chain(at).collect())
    }

    fn index(&self, index: &Index) -> Index {
        index.substitute(&|id| Index::of_loop(LoopId(id.0 + OWN)))
    }

    fn expression(&self, expression: &Expr) -> Expr {
        expression.map_indices(&|index| self.index(index)).rewrite(&mut |node| match node {
            Expr::Read(access) => {
                let (tensor, at) = self.element(access.tensor, &access.at);
                Expr::Read(Access { tensor, at, outside: access.outside })
            }
            other => other,
        })
    }

    fn statement(&self, statement: &Statement) -> Statement {
        let body = |body: &[Statement]| body.iter().map(|s| self.statement(s)).collect();
        match statement {
            Statement::For(nest) => Statement::For(For {
                variable: LoopId(nest.variable.0 + OWN),
                lower: nest.lower.iter().map(|index| self.index(index)).collect(),
                upper: nest.upper.iter().map(|index| self.index(index)).collect(),
                body: body(&nest.body),
                ..*nest
            }),
            Statement::Store { target, at, reduce, value } => {
                let at: Vec<Index> = at.iter().map(|index| self.index(index)).collect();
                let (target, at) = self.element(*target, &at);
                Statement::Store { target, at, reduce: *reduce, value: self.expression(value) }
            }
            Statement::If { condition, body: inner } => {
                Statement::If { condition: self.expression(condition), body: body(inner) }
            }
            Statement::Use { instruction, body: inner } => {
                Statement::Use { instruction: instruction.clone(), body: body(inner) }
            }
        }
    }
}

/// What the constants of a function's trials are: together they have each value that it allows.
fn constants(function: &Function) -> Vec<Vec<i64>> {
    let ranges = function.parameters.iter().filter_map(|p| p.constant.clone());
    let choices: Vec<Vec<i64>> = ranges.map(|range| range.collect()).collect();
    let most = choices.iter().map(Vec::len).max().unwrap_or(1);
    (0..most).map(|n| choices.iter().map(|values| values[n % values.len()]).collect()).collect()
}

/// A function's value of a case's operands and of constants.
fn value(function: &Function, trial: &Trial) -> Expr {
    let operand = |position: usize| {
        let p = &function.parameters[position];
        let earlier = function.parameters[..position].iter().filter(|p| p.constant.is_some()).count();
        match p.constant {
            Some(_) => Expr::integer(p.dtype, trial.constants[earlier]),
            None => Expr::read(trial.before[position], vec![Index::of_loop(CASE), 0.into()]),
        }
    };
    function.value.rewrite(&mut |node| match node {
        Expr::Read(access) => operand(access.tensor.0 as usize),
        other => other,
    })
}
