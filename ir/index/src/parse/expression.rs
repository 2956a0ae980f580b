//! Text to expressions and indices, with the names of a scope.
//!
//! Owns that part of the grammar; it is stated in the module above.

use super::parse_literal;
use crate::dtype::DType;
use crate::error::Error;
use crate::expression::{Access, Binary, Expr, Rounding, Unary};
use crate::index::Index;
use crate::lexer::{Lexer, Token};
use crate::print::precedence;
use crate::program::{LoopId, TensorId};
use crate::scope::Scope;

impl Scope<'_> {
    /// Reads the name of a tensor.
    pub fn parse_tensor(&self, lexer: &mut Lexer) -> Result<TensorId, Error> {
        let error = lexer.expected("the name of a tensor");
        let name = lexer.expect_name("the name of a tensor")?;
        self.find_tensor(&name).ok_or(error)
    }

    /// Reads indices between brackets.
    pub fn parse_indices(&self, lexer: &mut Lexer) -> Result<Vec<Index>, Error> {
        lexer.list("[", "]", |lexer| self.parse_index(lexer))
    }

    /// Reads an expression.
    pub fn parse_expression(&self, lexer: &mut Lexer) -> Result<Expr, Error> {
        self.infix(lexer, 1)
    }

    /// Reads an index.
    pub fn parse_index(&self, lexer: &mut Lexer) -> Result<Index, Error> {
        let mut sum = Index::default();
        let mut sign = if lexer.take_sign("-") { -1 } else { 1 };
        loop {
            sum = sum + self.index_term(lexer)? * sign;
            sign = if lexer.take_sign("+") {
                1
            } else if lexer.take_sign("-") {
                -1
            } else {
                return Ok(sum);
            };
        }
    }

    fn index_term(&self, lexer: &mut Lexer) -> Result<Index, Error> {
        let mut factor = None;
        if let Token::Number(_) = lexer.peek() {
            factor = Some(lexer.expect_integer("an integer")?);
            let keyword = ["else", "step", "unroll", "parallel"].iter().any(|word| lexer.at_word(word));
            let more = matches!(lexer.peek(), Token::Name(_)) && !keyword || lexer.at_sign("(");
            if !more {
                return Ok(Index::constant(factor.unwrap_or(0)));
            }
        }
        let mut term = self.index_primary(lexer)? * factor.unwrap_or(1);
        loop {
            let divide = lexer.at_sign("/");
            if !divide && !lexer.at_sign("%") {
                return Ok(term);
            }
            lexer.next_token();
            let error = lexer.expected("a divisor greater than 0");
            let n = lexer.expect_integer("a divisor")?;
            if n <= 0 {
                return Err(error);
            }
            term = if divide { term / n } else { term % n };
        }
    }

    fn index_primary(&self, lexer: &mut Lexer) -> Result<Index, Error> {
        if lexer.take_sign("(") {
            let inner = self.parse_index(lexer)?;
            lexer.expect_sign(")")?;
            return Ok(inner);
        }
        let error = lexer.expected("a loop of this statement or an integer tensor");
        let name = lexer.expect_name("a loop")?;
        if lexer.at_sign("[") {
            let tensor = self.find_tensor(&name).ok_or(error)?;
            return Ok(Index::of_read(tensor, self.parse_indices(lexer)?));
        }
        let position = self.loops.iter().rposition(|n| *n == name).ok_or(error)?;
        Ok(Index::of_loop(LoopId(position as u32)))
    }

    /// An expression of infix operators of precedence `level` or more.
    fn infix(&self, lexer: &mut Lexer, level: u8) -> Result<Expr, Error> {
        if level > 3 {
            return self.primary(lexer);
        }
        let mut left = self.infix(lexer, level + 1)?;
        loop {
            let operation =
                Binary::ALL.iter().find(|o| precedence(**o) == Some(level) && lexer.at_sign(o.name()));
            let Some(operation) = operation else { return Ok(left) };
            lexer.next_token();
            left = left.binary(*operation, self.infix(lexer, level + 1)?);
        }
    }

    fn primary(&self, lexer: &mut Lexer) -> Result<Expr, Error> {
        if lexer.take_sign("(") {
            let inner = self.infix(lexer, 1)?;
            lexer.expect_sign(")")?;
            return Ok(inner);
        }
        let negative_number = matches!(lexer.peek_at(1), Token::Number(_))
            || matches!(lexer.peek_at(1), Token::Name(w) if ["inf", "inf_f64", "nan", "nan_f64"].contains(&w.as_str()));
        if lexer.at_sign("-") && !negative_number {
            lexer.next_token();
            return Ok(self.primary(lexer)?.unary(Unary::Neg));
        }
        match (lexer.peek().clone(), lexer.peek_at(1)) {
            (Token::Name(name), Token::Sign("[")) => self.read(lexer, &name),
            (Token::Name(name), Token::Sign("(")) => self.call(lexer, &name),
            _ => parse_literal(lexer, None).map(|(dtype, value)| Expr::Literal(dtype, value)),
        }
    }

    fn read(&self, lexer: &mut Lexer, name: &str) -> Result<Expr, Error> {
        let tensor = self.find_tensor(name).ok_or_else(|| lexer.expected("the name of a tensor"))?;
        lexer.next_token();
        lexer.expect_sign("[")?;
        let mut at = vec![];
        let mut outside = None;
        while !lexer.take_sign("]") {
            if lexer.take_word("else") {
                let error = lexer.expected("a number of the tensor's type");
                let (dtype, value) = parse_literal(lexer, Some(self.tensor(tensor).dtype))?;
                outside = Some(value).filter(|_| dtype == self.tensor(tensor).dtype);
                outside.ok_or(error)?;
                lexer.expect_sign("]")?;
                break;
            }
            if !at.is_empty() {
                lexer.expect_sign(",")?;
            }
            at.push(self.parse_index(lexer)?);
        }
        Ok(Expr::Read(Access { tensor, at, outside }))
    }

    fn call(&self, lexer: &mut Lexer, function: &str) -> Result<Expr, Error> {
        let error = lexer.expected("a function, an element type or the name of a tensor");
        lexer.next_token();
        if function == "index" {
            lexer.expect_sign("(")?;
            let index = self.parse_index(lexer)?;
            lexer.expect_sign(")")?;
            return Ok(Expr::Index(index));
        }
        let operands = lexer.list("(", ")", |lexer| self.infix(lexer, 1))?;
        known_call(function, operands).ok_or(error)
    }
}

/// The expression that a call of `function` stands for.
fn known_call(function: &str, mut operands: Vec<Expr>) -> Option<Expr> {
    let last = operands.pop()?;
    Some(match (operands.pop(), operands.pop(), operands.pop()) {
        (None, None, None) => match (DType::from_name(function), Unary::from_name(function)) {
            (Some(dtype), _) => Expr::Cast(dtype, Box::new(last)),
            (_, Some(operation)) => last.unary(operation),
            _ if function == "stop" => Expr::Stop(Box::new(last)),
            _ => return None,
        },
        (Some(a), None, None) => a.binary(Binary::from_name(function)?, last),
        (Some(b), Some(a), None) => match function {
            "select" => Expr::Select(Box::new([a, b, last])),
            "fma" => Expr::MultiplyAdd(Box::new([a, b, last])),
            _ => a.requantize(Rounding::from_name(function)?, b, last),
        },
        _ => return None,
    })
}
