//! Text to loop nests.
//!
//! The grammar, with types, arrays, indices and expressions as in index notation:
//!
//! ```text
//! program  = "loops" name [ "in" size "bytes" [ proof ] ] "{" [ library ] { buffer } { step } "}"
//! proof    = "," "at" "least" size "in" "this" "order" "and" size "in" "any"
//! library  = "library" text [ "in" text ] "{" { vector } { instruction } { function } "}"
//! vector   = "vector" type text
//! function = "function" name "(" { name ":" type | "constant" name ":" type "in" size ".." size } ")" text "=" expression
//! instruction = "instruction" name "(" { [ "memory" ] name ":" type } ")" text "{" { line } "}"
//! buffer   = ("output" | "local") name ":" type [ "in" "arena" "at" size ]
//!          | "input" name ":" type [ "by" "rows" | "external" ] [ "in" "arena" "at" size ]
//!          | "const" name ":" type "=" array
//!          | "state" name ":" type "=" array "then" name [ "in" "arena" "at" size ]
//! step     = kernel | repeat | receive | branch
//! kernel   = "kernel" name "{" { "law" text } [ "macs" size ] { register } { line } "}"
//! register = "register" name ":" type [ "vector" ]
//! repeat   = "repeat" name ":" size [ "in" index ".." index ] [ "carrying" name "=" name "then" name { "," … } ] "{" { step } "}"
//! receive  = "receive" name "along" size "at" index "into" name "at" index
//! branch   = "if" name "{" { step } "}" "else" "{" { step } "}"
//! line     = "for" name "in" lower ".." upper [ "step" size ] [ "unroll" | "parallel" size ] "{" { line } "}"
//!          | "if" expression "{" { line } "}"
//!          | "use" name "{" { line } "}"
//!          | name "[" { index } "]" reduce expression
//! lower    = index | "max" "(" { index } ")"
//! upper    = index | "min" "(" { index } ")"
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use nablac_index::lexer::{Lexer, Token};
use nablac_index::{
    Array, DType, Element, Expr, Index, LoopId, Scope, State, TensorId, parse_array, parse_reduce, parse_type,
};

use crate::error::Error;
use crate::instruction::{Argument, Function, Instruction, Library, Parameter, Vector};
use crate::plan::Proof;
use crate::program::{
    Buffer, Delivery, For, Kernel, Kind, Program, Receive, Register, Repeat, Role, Statement, Step,
};

/// Reads a program whose constants all stand in the text.
pub fn parse(text: &str) -> Result<Program, Error> {
    parse_with(text, &BTreeMap::new())
}

/// Reads a program; constants written as `@hash` are looked up in `constants`.
pub fn parse_with(text: &str, constants: &BTreeMap<String, Array>) -> Result<Program, Error> {
    let mut lexer = Lexer::new(text)?;
    let program = parse_program(&mut lexer, constants)?;
    match lexer.peek() {
        Token::End => Ok(program),
        _ => Err(lexer.expected("the end of the text").into()),
    }
}

/// Reads one program from a text that may go on behind it.
pub fn parse_program(lexer: &mut Lexer, constants: &BTreeMap<String, Array>) -> Result<Program, Error> {
    lexer.expect_word("loops")?;
    let mut program = Program { name: lexer.expect_name("the program's name")?, ..Program::default() };
    if lexer.take_word("in") {
        program.arena_bytes = lexer.expect_size("the size of the arena")?;
        lexer.expect_word("bytes")?;
        if lexer.take_sign(",") {
            program.proof = Some(parse_proof(lexer)?);
        }
    }
    lexer.expect_sign("{")?;
    if lexer.at_word("library") {
        program.library = Some(parse_library(lexer)?);
    }
    let mut next = vec![];
    while let Some(buffer) = parse_buffer(lexer, constants, &mut next)? {
        program.buffers.push(buffer);
    }
    // Next values may be declared behind their states.
    let scope = Kernel::default();
    let next = next.into_iter().map(|mut place| program.scope(&scope).parse_tensor(&mut place));
    let next = next.collect::<Result<Vec<TensorId>, _>>()?;
    let states = program.buffers.iter_mut().filter_map(|buffer| match &mut buffer.role {
        Role::State(state) => Some(state),
        _ => None,
    });
    states.zip(next).for_each(|(state, next)| state.next = next);
    let mut parser = Parser { lexer, program: &program, counters: vec![] };
    let steps = parser.steps()?;
    Ok(Program { steps, ..program })
}

fn parse_proof(lexer: &mut Lexer) -> Result<Proof, Error> {
    let words = |lexer: &mut Lexer, words: &[&str]| words.iter().try_for_each(|word| lexer.expect_word(word));
    words(lexer, &["at", "least"])?;
    let this_order = lexer.expect_size("a bound in bytes")?;
    words(lexer, &["in", "this", "order", "and"])?;
    let any_order = lexer.expect_size("a bound in bytes")?;
    words(lexer, &["in", "any"])?;
    Ok(Proof { this_order, any_order })
}

/// Reads a library of instructions from a text that may go on behind it.
pub fn parse_library(lexer: &mut Lexer) -> Result<Library, Error> {
    lexer.expect_word("library")?;
    let condition = lexer.expect_name("the condition in quotes")?;
    let header = if lexer.take_word("in") { lexer.expect_name("a header in quotes")? } else { String::new() };
    let mut library = Library { condition, header, ..Library::default() };
    lexer.expect_sign("{")?;
    while lexer.take_word("vector") {
        let (dtype, shape) = parse_type(lexer)?;
        let [lanes] = shape[..] else {
            return Err(lexer.expected("a type with one dimension before it").into());
        };
        library.vectors.push(Vector { dtype, lanes, c_type: lexer.expect_name("a C type in quotes")? });
    }
    while lexer.at_word("instruction") {
        library.instructions.push(parse_instruction(lexer)?);
    }
    while !lexer.take_sign("}") {
        library.functions.push(parse_function(lexer)?);
    }
    Ok(library)
}

fn parse_function(lexer: &mut Lexer) -> Result<Function, Error> {
    lexer.expect_word("function")?;
    let name = lexer.expect_name("the function's name")?;
    let parameters = lexer.list("(", ")", |lexer| {
        let is_constant = lexer.take_word("constant");
        let name = lexer.expect_name("the parameter's name")?;
        lexer.expect_sign(":")?;
        let word = lexer.expect_name("an element type")?;
        let dtype = DType::from_name(&word).ok_or_else(|| lexer.expected("an element type before it"))?;
        let constant = if is_constant { Some(parse_range(lexer)?) } else { None };
        Ok(Argument { name, dtype, constant })
    })?;
    let code = lexer.expect_name("C code in quotes")?;
    lexer.expect_sign("=")?;
    let mut function = Function { name, parameters, value: Expr::integer(DType::I32, 0), code };
    function.value = function.scope().parse_expression(lexer)?;
    Ok(function)
}

/// `in 1..32`.
fn parse_range(lexer: &mut Lexer) -> Result<Range<i64>, nablac_index::Error> {
    lexer.expect_word("in")?;
    let first = lexer.expect_size("the smallest value")? as i64;
    lexer.expect_sign("..")?;
    Ok(first..lexer.expect_size("what is behind the largest value")? as i64)
}

fn parse_instruction(lexer: &mut Lexer) -> Result<Instruction, Error> {
    lexer.expect_word("instruction")?;
    let name = lexer.expect_name("the instruction's name")?;
    let mut memory = vec![];
    let parameters = lexer.list("(", ")", |lexer| {
        memory.push(lexer.take_word("memory"));
        let name = lexer.expect_name("the parameter's name")?;
        lexer.expect_sign(":")?;
        let (dtype, shape) = parse_type(lexer)?;
        Ok(Buffer { name, dtype, shape, role: Role::Local, offset: None })
    })?;
    let code = lexer.expect_name("C code in quotes")?;
    let takes = if lexer.take_word("takes") { lexer.expect_size("a number of instructions")? } else { 1 };
    lexer.expect_sign("{")?;
    // Its parameters are to its meaning what buffers are to a kernel.
    let program = Program { buffers: parameters, ..Program::default() };
    let mut lines = Lines { program: &program, kernel: Kernel::default(), visible: vec![] };
    let body = lines.body(lexer)?;
    let variables = lines.kernel.variables;
    let parameter = |(Buffer { name, dtype, shape, .. }, memory)| Parameter { name, dtype, shape, memory };
    let parameters = program.buffers.into_iter().zip(memory).map(parameter).collect();
    Ok(Instruction { name, parameters, variables, body, code, takes })
}

/// A buffer; where the names of states' next values stand is added to `next`.
fn parse_buffer(
    lexer: &mut Lexer,
    constants: &BTreeMap<String, Array>,
    next: &mut Vec<Lexer>,
) -> Result<Option<Buffer>, Error> {
    let roles = [
        ("input", Some(Role::Input(Delivery::Whole))),
        ("output", Some(Role::Output)),
        ("local", Some(Role::Local)),
        ("const", None),
        ("state", None),
    ];
    let Some((word, role)) = roles.into_iter().find(|(word, _)| lexer.take_word(word)) else {
        return Ok(None);
    };
    let (name, dtype, shape) = parse_declaration(lexer, "the buffer's name")?;
    let role = match role {
        Some(Role::Input(_)) => Role::Input(if lexer.take_word("by") {
            lexer.expect_word("rows")?;
            Delivery::Rows
        } else if lexer.take_word("external") {
            Delivery::External
        } else {
            Delivery::Whole
        }),
        Some(role) => role,
        None => {
            lexer.expect_sign("=")?;
            let array = parse_array(lexer, dtype, &shape, constants)?;
            if word == "const" {
                Role::Constant(array)
            } else {
                lexer.expect_word("then")?;
                next.push(lexer.clone());
                lexer.expect_name("the state's next value")?;
                Role::State(State { initial: array, next: TensorId(u32::MAX) })
            }
        }
    };
    let mut offset = None;
    if lexer.take_word("in") {
        lexer.expect_word("arena")?;
        lexer.expect_word("at")?;
        offset = Some(lexer.expect_size("an offset in bytes")?);
    }
    Ok(Some(Buffer { name, dtype, shape, role, offset }))
}

/// `x: f32[2, 3]`.
fn parse_declaration(lexer: &mut Lexer, what: &str) -> Result<(String, DType, Vec<usize>), Error> {
    let name = lexer.expect_name(what)?;
    lexer.expect_sign(":")?;
    let (dtype, shape) = parse_type(lexer)?;
    Ok((name, dtype, shape))
}

struct Parser<'a> {
    lexer: &'a mut Lexer,
    /// The buffers; steps are not in it yet.
    program: &'a Program,
    counters: Vec<String>,
}

impl Parser<'_> {
    /// Steps up to and with the closing brace.
    fn steps(&mut self) -> Result<Vec<Step>, Error> {
        let mut steps = vec![];
        while !self.lexer.take_sign("}") {
            steps.push(if self.lexer.take_word("kernel") {
                Step::Kernel(self.kernel()?)
            } else if self.lexer.take_word("repeat") {
                self.repeat()?
            } else if self.lexer.take_word("receive") {
                self.receive()?
            } else if self.lexer.take_word("if") {
                let condition = self.buffer_name()?;
                self.lexer.expect_sign("{")?;
                let then = self.steps()?;
                self.lexer.expect_word("else")?;
                self.lexer.expect_sign("{")?;
                Step::Branch { condition, then, otherwise: self.steps()? }
            } else {
                return Err(self.lexer.expected("`kernel`, `repeat`, `receive`, `if` or `}`").into());
            });
        }
        Ok(steps)
    }

    fn buffer_name(&mut self) -> Result<TensorId, Error> {
        Ok(self.program.scope(&Kernel::default()).parse_tensor(self.lexer)?)
    }

    fn repeat(&mut self) -> Result<Step, Error> {
        let counter = self.lexer.expect_name("the counter's name")?;
        self.lexer.expect_sign(":")?;
        let extent = self.lexer.expect_size("the number of iterations")?;
        let mut within = None;
        if self.lexer.take_word("in") {
            let low = self.index()?;
            self.lexer.expect_sign("..")?;
            within = Some((low, self.index()?));
        }
        let mut carried = vec![];
        let mut more = self.lexer.take_word("carrying");
        while more {
            let state = self.buffer_name()?;
            self.lexer.expect_sign("=")?;
            let initial = self.buffer_name()?;
            self.lexer.expect_word("then")?;
            carried.push((state, initial, self.buffer_name()?));
            more = self.lexer.take_sign(",");
        }
        self.lexer.expect_sign("{")?;
        self.counters.push(counter.clone());
        let body = self.steps()?;
        self.counters.pop();
        Ok(Step::Repeat(Repeat { counter, extent, within, carried, body }))
    }

    fn receive(&mut self) -> Result<Step, Error> {
        let input = self.buffer_name()?;
        self.lexer.expect_word("along")?;
        let along = self.lexer.expect_size("a dimension")?;
        self.lexer.expect_word("at")?;
        let position = self.index()?;
        self.lexer.expect_word("into")?;
        let buffer = self.buffer_name()?;
        self.lexer.expect_word("at")?;
        Ok(Step::Receive(Receive { input, along, position, buffer, slot: self.index()? }))
    }

    /// An index of counters.
    fn index(&mut self) -> Result<Index, Error> {
        let scope = Scope { tensors: vec![], loops: self.counters.iter().map(String::as_str).collect() };
        Ok(scope.parse_index(self.lexer)?)
    }

    fn kernel(&mut self) -> Result<Kernel, Error> {
        let mut kernel = Kernel {
            name: self.lexer.expect_name("the kernel's name")?,
            variables: self.counters.clone(),
            ..Kernel::default()
        };
        self.lexer.expect_sign("{")?;
        while self.lexer.take_word("law") {
            kernel.laws.push(self.lexer.expect_name("a law in quotes")?);
        }
        if self.lexer.take_word("macs") {
            kernel.macs = self.lexer.expect_size("a number of multiply-accumulates")? as u64;
        }
        while self.lexer.take_word("register") {
            let (name, dtype, shape) = parse_declaration(self.lexer, "the register's name")?;
            let vector = self.lexer.take_word("vector");
            kernel.registers.push(Register { name, dtype, shape, vector });
        }
        let visible = vec![true; kernel.variables.len()];
        let mut lines = Lines { program: self.program, kernel, visible };
        let body = lines.body(self.lexer)?;
        Ok(Kernel { body, ..lines.kernel })
    }
}

/// The lines of one kernel, whose variables are numbered in the order of the text.
struct Lines<'a> {
    program: &'a Program,
    kernel: Kernel,
    /// Whether each variable's loop is open.
    visible: Vec<bool>,
}

impl Lines<'_> {
    /// Names as they are seen here. A loop that is closed has none.
    fn scope(&self) -> Scope<'_> {
        let scope: Scope = self.program.scope(&self.kernel);
        let loops =
            scope.loops.iter().zip(&self.visible).map(|(name, visible)| if *visible { *name } else { "" });
        let tensors: Vec<Element> = scope.tensors.clone();
        Scope { loops: loops.collect(), tensors }
    }

    /// Lines up to and with the closing brace.
    fn body(&mut self, lexer: &mut Lexer) -> Result<Vec<Statement>, Error> {
        let mut body = vec![];
        while !lexer.take_sign("}") {
            body.push(if lexer.take_word("for") {
                Statement::For(self.nest(lexer)?)
            } else if lexer.take_word("use") {
                let instruction = lexer.expect_name("an instruction's name")?;
                lexer.expect_sign("{")?;
                Statement::Use { instruction, body: self.body(lexer)? }
            } else if lexer.take_word("if") {
                let condition = self.scope().parse_expression(lexer)?;
                lexer.expect_sign("{")?;
                Statement::If { condition, body: self.body(lexer)? }
            } else {
                let scope = self.scope();
                let target = scope.parse_tensor(lexer)?;
                let at = scope.parse_indices(lexer)?;
                let reduce = parse_reduce(lexer)?;
                Statement::Store { target, at, reduce, value: scope.parse_expression(lexer)? }
            });
        }
        Ok(body)
    }

    fn nest(&mut self, lexer: &mut Lexer) -> Result<For, Error> {
        let name = lexer.expect_name("a variable's name")?;
        lexer.expect_word("in")?;
        let lower = self.limits(lexer, "max")?;
        lexer.expect_sign("..")?;
        let upper = self.limits(lexer, "min")?;
        let step = if lexer.take_word("step") { lexer.expect_size("a step")? } else { 1 };
        let kind = if lexer.take_word("unroll") {
            Kind::Unroll
        } else if lexer.take_word("parallel") {
            Kind::Parallel(lexer.expect_size("a number of parts")?)
        } else {
            Kind::Serial
        };
        lexer.expect_sign("{")?;
        let position = self.kernel.variables.len();
        self.kernel.variables.push(name);
        self.visible.push(true);
        let body = self.body(lexer)?;
        self.visible[position] = false;
        Ok(For { variable: LoopId(position as u32), lower, upper, step, kind, body })
    }

    fn limits(&self, lexer: &mut Lexer, function: &str) -> Result<Vec<Index>, Error> {
        let scope = self.scope();
        if lexer.at_word(function) && *lexer.peek_at(1) == Token::Sign("(") {
            lexer.next_token();
            return Ok(lexer.list("(", ")", |lexer| scope.parse_index(lexer))?);
        }
        Ok(vec![scope.parse_index(lexer)?])
    }
}
