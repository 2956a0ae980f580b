//! Text to programs.
//!
//! The grammar:
//!
//! ```text
//! program   = "program" name "{" { tensor } { step } "}"
//! tensor    = ("input" | "output" | "local") name ":" type
//!           | "const" name ":" type "=" array
//!           | "state" name ":" type "=" array "then" name
//! array     = "[" { literal } "]" | "@" hash
//! type      = dtype "[" { size } "]"
//! step      = [ label ":" ] ( statement | repeat | branch )
//! statement = name "[" { index } "]" reduce expression [ "for" { loop ":" size } ]
//! repeat    = "repeat" loop ":" size [ "carrying" name "=" name "then" name { "," … } ] "{" { step } "}"
//! branch    = "if" name "{" { step } "}" "else" "{" { step } "}"
//! reduce    = "=" | "+=" | "*=" | "min=" | "max=" | "argmax=" | "|="
//! index     = ["-"] term { ("+" | "-") term }
//! term      = [ number ] ( loop | name "[" { index } "]" | "(" index ")" ) { ("/" | "%") number } | number
//! expression: infix + - * / % < <= > >= == !=, prefix -, calls, and
//!   access  = name "[" { index } [ "else" literal ] "]"
//!   call    = function "(" { expression } ")" | "index" "(" index ")" | dtype "(" expression ")"
//!   literal = number [ dtype ] | "inf" | "nan" | "inf_f64" | "nan_f64" | "true" | "false"
//! ```

use std::collections::BTreeMap;

use crate::array::{Array, elements};
use crate::dtype::{DType, Value};
use crate::error::Error;
use crate::lexer::{Lexer, Token};
use crate::program::{Branch, Carry, Loop, Program, Reduce, Repeat, Role, State, Statement, Step, TensorId};
use crate::scope::Scope;

mod expression;

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
        _ => Err(lexer.expected("the end of the text")),
    }
}

/// Reads one program from a text that may go on behind it.
pub fn parse_program(lexer: &mut Lexer, constants: &BTreeMap<String, Array>) -> Result<Program, Error> {
    lexer.expect_word("program")?;
    let name = lexer.expect_name("the program's name")?;
    lexer.expect_sign("{")?;
    let program = Program { name, ..Program::default() };
    let mut parser = Parser { lexer, program, counters: vec![], next: vec![] };
    while parser.tensor(constants)? {}
    parser.next_values()?;
    parser.program.steps = parser.steps()?;
    Ok(parser.program)
}

/// `f32[2, 3]`.
pub fn parse_type(lexer: &mut Lexer) -> Result<(DType, Vec<usize>), Error> {
    let error = lexer.expected("an element type such as `f32`");
    let dtype = DType::from_name(&lexer.expect_name("an element type")?).ok_or(error)?;
    let error = lexer.expected("a shape whose size fits in memory");
    let shape = lexer.list("[", "]", |lexer| lexer.expect_size("an extent"))?;
    elements(&shape).and_then(|n| n.checked_mul(dtype.bytes())).ok_or(error)?;
    Ok((dtype, shape))
}

/// `[1, 2]` or `@hash`, of a known type.
pub fn parse_array(
    lexer: &mut Lexer,
    dtype: DType,
    shape: &[usize],
    constants: &BTreeMap<String, Array>,
) -> Result<Array, Error> {
    let error = lexer.expected(&format!("a constant of type {dtype}{shape:?}"));
    let fits = |array: &Array| array.dtype() == dtype && array.shape() == shape;
    if lexer.take_sign("@") {
        let hash = lexer.expect_name("the constant's hash")?;
        return constants.get(&hash).filter(|array| fits(array)).cloned().ok_or(error);
    }
    let values = lexer.list("[", "]", |lexer| parse_literal(lexer, Some(dtype)).map(|(_, value)| value))?;
    let count = values.len();
    if elements(shape) != Some(count) {
        return Err(error);
    }
    Ok(Array::from_values(dtype, shape, values))
}

/// A number; of type `expected` if that is given and the number does not say otherwise.
pub fn parse_literal(lexer: &mut Lexer, expected: Option<DType>) -> Result<(DType, Value), Error> {
    let error = lexer.expected("a number");
    let negative = lexer.take_sign("-");
    let word = match lexer.next_token() {
        Token::Number(text) => {
            let suffix = DType::ALL.iter().copied().find(|t| lexer.at_word(t.name()));
            if suffix.is_some() {
                lexer.next_token();
            }
            let assumed = if text.contains(['.', 'e']) { DType::F32 } else { DType::I32 };
            let dtype = suffix.or(expected).unwrap_or(assumed);
            let sign = if negative { "-" } else { "" };
            return parse_number(&format!("{sign}{text}"), dtype).map(|v| (dtype, v)).ok_or(error);
        }
        Token::Name(word) => word,
        _ => return Err(error),
    };
    let (word, suffix) = match word.split_once('_') {
        Some((word, suffix)) => {
            (word.to_string(), Some(DType::from_name(suffix).ok_or_else(|| error.clone())?))
        }
        None => (word, None),
    };
    let float = |x: f64| {
        let dtype = suffix.or(expected).unwrap_or(DType::F32);
        Ok((dtype, Value::from_f64(dtype, if negative { -x } else { x })))
    };
    match word.as_str() {
        "inf" => float(f64::INFINITY),
        "nan" => float(f64::NAN),
        "true" if !negative => Ok((DType::Bool, Value::Int(1))),
        "false" if !negative => Ok((DType::Bool, Value::Int(0))),
        _ => Err(error),
    }
}

fn parse_number(text: &str, dtype: DType) -> Option<Value> {
    match dtype {
        DType::F32 => text.parse().ok().map(Value::F32),
        DType::F64 => text.parse().ok().map(Value::F64),
        DType::U64 => text.parse::<u64>().ok().map(|x| Value::Int(x as i64)),
        _ => text.parse().ok().filter(|&x| crate::dtype::wrap(dtype, x) == x).map(Value::Int),
    }
}

struct Parser<'a> {
    lexer: &'a mut Lexer,
    program: Program,
    counters: Vec<Loop>,
    /// States, and where the names of their next values stand; those may be declared behind them.
    next: Vec<(TensorId, Lexer)>,
}

impl Parser<'_> {
    fn tensor(&mut self, constants: &BTreeMap<String, Array>) -> Result<bool, Error> {
        let roles = [
            ("input", Some(Role::Input)),
            ("output", Some(Role::Output)),
            ("local", Some(Role::Local)),
            ("const", None),
            ("state", None),
        ];
        // `input[i] = …` is a statement about a tensor of that name.
        let declares = matches!(self.lexer.peek_at(1), Token::Name(_));
        let Some((word, role)) = roles.into_iter().find(|(word, _)| declares && self.lexer.take_word(word))
        else {
            return Ok(false);
        };
        let place = self.lexer.clone();
        let name = self.lexer.expect_name("the tensor's name")?;
        self.lexer.expect_sign(":")?;
        let (dtype, shape) = parse_type(self.lexer)?;
        let role = match role {
            Some(role) => role,
            None => {
                self.lexer.expect_sign("=")?;
                let array = parse_array(self.lexer, dtype, &shape, constants)?;
                match word {
                    "const" => Role::Constant(array),
                    _ => Role::State(State { initial: array, next: self.next_name()? }),
                }
            }
        };
        if self.program.tensors.iter().any(|t| t.name == name) {
            return Err(place.expected("a name that is not taken"));
        }
        self.program.add_tensor(&name, dtype, &shape, role);
        Ok(true)
    }

    /// Notes where the name of a state's next value stands, and skips it. The tensor is put in its place later.
    fn next_name(&mut self) -> Result<TensorId, Error> {
        let own = TensorId(self.program.tensors.len() as u32);
        self.lexer.expect_word("then")?;
        self.next.push((own, self.lexer.clone()));
        self.lexer.expect_name("the state's next value").map(|_| own)
    }

    fn next_values(&mut self) -> Result<(), Error> {
        for (id, mut place) in std::mem::take(&mut self.next) {
            let next = self.program.scope().parse_tensor(&mut place)?;
            if let Role::State(state) = &mut self.program.tensors[id.0 as usize].role {
                state.next = next;
            }
        }
        Ok(())
    }

    /// Steps up to and with the closing brace.
    fn steps(&mut self) -> Result<Vec<Step>, Error> {
        let mut steps = vec![];
        while !self.lexer.take_sign("}") {
            let label = match (self.lexer.peek().clone(), self.lexer.peek_at(1)) {
                (Token::Name(label), Token::Sign(":")) => {
                    self.lexer.next_token();
                    self.lexer.next_token();
                    label
                }
                _ => String::new(),
            };
            steps.push(if self.lexer.take_word("repeat") {
                Step::Repeat(self.repeat(label)?)
            } else if self.lexer.take_word("if") {
                Step::Branch(self.branch(label)?)
            } else {
                Step::Statement(self.statement(label)?)
            });
        }
        Ok(steps)
    }

    fn repeat(&mut self, label: String) -> Result<Repeat, Error> {
        let counter = self.loop_extent()?;
        let mut carried = vec![];
        if self.lexer.take_word("carrying") {
            loop {
                let state = self.tensor_name()?;
                self.lexer.expect_sign("=")?;
                let initial = self.tensor_name()?;
                self.lexer.expect_word("then")?;
                carried.push(Carry { state, initial, next: self.tensor_name()? });
                if !self.lexer.take_sign(",") {
                    break;
                }
            }
        }
        self.lexer.expect_sign("{")?;
        self.counters.push(counter.clone());
        let body = self.steps()?;
        self.counters.pop();
        Ok(Repeat { label, counter, carried, body })
    }

    fn branch(&mut self, label: String) -> Result<Branch, Error> {
        let condition = self.tensor_name()?;
        self.lexer.expect_sign("{")?;
        let then = self.steps()?;
        self.lexer.expect_word("else")?;
        self.lexer.expect_sign("{")?;
        Ok(Branch { label, condition, then, otherwise: self.steps()? })
    }

    fn loop_extent(&mut self) -> Result<Loop, Error> {
        let name = self.lexer.expect_name("a loop's name")?;
        self.lexer.expect_sign(":")?;
        Ok(Loop { name, extent: self.lexer.expect_size("the loop's extent")? })
    }

    /// The loops stand behind the body that uses them: they are read first, then the body again from its start.
    fn statement(&mut self, label: String) -> Result<Statement, Error> {
        let start = self.lexer.clone();
        let loops = self.loops_of_statement()?;
        let end = std::mem::replace(self.lexer, start);
        let names = self.counters.iter().chain(&loops).map(|l| l.name.as_str());
        let scope = Scope { loops: names.collect(), ..self.program.scope() };
        let out = scope.parse_tensor(self.lexer)?;
        let at = scope.parse_indices(self.lexer)?;
        let reduce = parse_reduce(self.lexer)?;
        let body = scope.parse_expression(self.lexer)?;
        if !loops.is_empty() {
            self.lexer.expect_word("for")?;
            *self.lexer = end;
        }
        Ok(Statement { label, loops, out, at, reduce, body })
    }

    /// Skips to the statement's `for` and reads its loops; empty where it has none.
    fn loops_of_statement(&mut self) -> Result<Vec<Loop>, Error> {
        let mut loops = vec![];
        let mut depth = 0i32;
        loop {
            match self.lexer.peek() {
                Token::Sign("[" | "(") => depth += 1,
                Token::Sign("]" | ")") => depth -= 1,
                Token::Sign("{" | "}") | Token::End => return Ok(loops),
                Token::Sign(":") if depth == 0 => return Ok(loops), // the next step's label
                _ => {}
            }
            if depth == 0 && self.lexer.take_word("for") {
                while matches!(
                    (self.lexer.peek(), self.lexer.peek_at(1), self.lexer.peek_at(2)),
                    (Token::Name(_), Token::Sign(":"), Token::Number(_))
                ) {
                    loops.push(self.loop_extent()?);
                }
                return if loops.is_empty() {
                    Err(self.lexer.expected("a loop such as `i:8`"))
                } else {
                    Ok(loops)
                };
            }
            // Two operands without a sign between them: the second one starts the next step.
            let before = self.lexer.next_token();
            if depth == 0 && ends_operand(&before) && self.starts_step(&before) {
                return Ok(loops);
            }
        }
    }

    fn starts_step(&self, before: &Token) -> bool {
        match self.lexer.peek() {
            Token::Name(word) if word == "for" => false,
            Token::Name(word) => !matches!(before, Token::Number(_)) || DType::from_name(word).is_none(),
            _ => false,
        }
    }

    fn tensor_name(&mut self) -> Result<TensorId, Error> {
        self.program.scope().parse_tensor(self.lexer)
    }
}

/// Reads `=` or the sign of a reduction.
pub fn parse_reduce(lexer: &mut Lexer) -> Result<Reduce, Error> {
    let found = Reduce::ALL.iter().find(|(_, sign)| lexer.take_sign(sign)).map(|(reduce, _)| *reduce);
    found.ok_or_else(|| lexer.expected("`=` or a reduction such as `+=`"))
}

fn ends_operand(token: &Token) -> bool {
    matches!(token, Token::Sign("]" | ")") | Token::Number(_) | Token::Name(_))
}
