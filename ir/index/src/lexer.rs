//! The tokens of `.nab` text, shared by all three intermediate representations.
//!
//! Owns what a name, a number, a text and a sign are, comments (`;` to the end of the line), and where an error is.

use crate::error::Error;

/// A piece of text.
#[derive(Clone, PartialEq, Debug)]
pub enum Token {
    /// A bare or quoted name.
    Name(String),
    /// Digits, with a fraction or an exponent for floats; the text as written.
    Number(String),
    /// An operator or a bracket, such as `+=`, `->` or `[`.
    Sign(&'static str),
    /// The end of the text.
    End,
}

/// A token with its place.
#[derive(Clone, PartialEq, Debug)]
struct Placed {
    token: Token,
    line: usize,
    column: usize,
    /// Whether the token was written in quotes: a quoted name is never a keyword.
    quoted: bool,
}

/// Longer signs first, so that `+=` is not read as `+`.
const SIGNS: &[&str] = &[
    "->", "+=", "*=", "|=", "<=", ">=", "==", "!=", "..", "(", ")", "[", "]", "{", "}", ",", ":", "=", "+",
    "-", "*", "/", "%", "<", ">", "@", "$", "|", "?",
];

/// A reader over the tokens of a text.
#[derive(Clone, Debug)]
pub struct Lexer {
    tokens: Vec<Placed>,
    position: usize,
}

impl Lexer {
    /// Splits `text` into tokens.
    pub fn new(text: &str) -> Result<Lexer, Error> {
        let mut tokens = vec![];
        for (number, line) in text.lines().enumerate() {
            split_line(line, number + 1, &mut tokens)?;
        }
        let line = text.lines().count().max(1);
        tokens.push(Placed { token: Token::End, line, column: 1, quoted: false });
        Ok(Lexer { tokens, position: 0 })
    }

    /// The current token.
    pub fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    /// The token `ahead` places further on.
    pub fn peek_at(&self, ahead: usize) -> &Token {
        &self.tokens[(self.position + ahead).min(self.tokens.len() - 1)].token
    }

    /// Takes the current token.
    pub fn next_token(&mut self) -> Token {
        let token = self.peek().clone();
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        token
    }

    /// Whether the current token is the sign `sign`.
    pub fn at_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    /// Whether the current token is the bare word `word`.
    pub fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(n) if n == word) && !self.tokens[self.position].quoted
    }

    /// Takes the sign `sign` if it is next.
    pub fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.at_sign(sign);
        if found {
            self.next_token();
        }
        found
    }

    /// Takes the bare word `word` if it is next.
    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.next_token();
        }
        found
    }

    /// Takes the sign `sign`, or says that it is missing.
    pub fn expect_sign(&mut self, sign: &str) -> Result<(), Error> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    /// Takes the bare word `word`, or says that it is missing.
    pub fn expect_word(&mut self, word: &str) -> Result<(), Error> {
        if self.take_word(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    /// Takes a name.
    pub fn expect_name(&mut self, what: &str) -> Result<String, Error> {
        match self.peek().clone() {
            Token::Name(name) => {
                self.next_token();
                Ok(name)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes an integer, with a `-` before it if there is one.
    pub fn expect_integer(&mut self, what: &str) -> Result<i64, Error> {
        let mark = self.clone();
        let sign = if self.take_sign("-") { "-" } else { "" };
        if let Token::Number(digits) = self.peek().clone()
            && let Ok(value) = format!("{sign}{digits}").parse()
        {
            self.next_token();
            return Ok(value);
        }
        let error = self.expected(what);
        *self = mark;
        Err(error)
    }

    /// Takes an integer that is not negative.
    pub fn expect_size(&mut self, what: &str) -> Result<usize, Error> {
        let error = self.expected(what);
        usize::try_from(self.expect_integer(what)?).map_err(|_| error)
    }

    /// Items between `open` and `close`, with commas between them.
    pub fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Lexer) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.expect_sign(open)?;
        let mut items = vec![];
        while !self.take_sign(close) {
            if !items.is_empty() {
                self.expect_sign(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// The line and the column, in bytes, of the current token; both from 1.
    pub fn place(&self) -> (usize, usize) {
        let Placed { line, column, .. } = &self.tokens[self.position];
        (*line, *column)
    }

    /// An error at the current token.
    pub fn expected(&self, what: &str) -> Error {
        let Placed { token, line, column, .. } = &self.tokens[self.position];
        let found = match token {
            Token::Name(text) | Token::Number(text) => format!("`{text}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end of the text".into(),
        };
        Error::Syntax { line: *line, column: *column, expected: what.into(), found }
    }
}

fn split_line(line: &str, number: usize, tokens: &mut Vec<Placed>) -> Result<(), Error> {
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let column = line.len() - rest.len() + 1;
        let mut push = |token, quoted| tokens.push(Placed { token, line: number, column, quoted });
        let Some(first) = rest.chars().next().filter(|&c| c != ';') else { return Ok(()) };
        let length = if first == '"' {
            let (name, length) = quoted(rest).ok_or_else(|| Error::Syntax {
                line: number,
                column,
                expected: "a closing quote on the same line".into(),
                found: "the end of the line".into(),
            })?;
            push(Token::Name(name), true);
            length
        } else if first.is_alphabetic() || first == '_' {
            // `max=` and its kin are signs, but `max` alone is a name.
            if let Some(sign) = word_sign(rest) {
                push(Token::Sign(sign), false);
                sign.len()
            } else {
                let length = name_length(rest);
                push(Token::Name(rest[..length].into()), false);
                length
            }
        } else if first.is_ascii_digit() {
            let length = number_length(rest);
            push(Token::Number(rest[..length].into()), false);
            length
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            push(Token::Sign(sign), false);
            sign.len()
        } else {
            return Err(Error::Syntax {
                line: number,
                column,
                expected: "a name, a number or a sign".into(),
                found: format!("`{first}`"),
            });
        };
        rest = &rest[length..];
    }
}

/// The reductions that are spelled with letters, if `text` starts with one; `max==` is a comparison.
fn word_sign(text: &str) -> Option<&'static str> {
    let sign = ["argmax=", "max=", "min="].into_iter().find(|sign| text.starts_with(sign))?;
    (!text[sign.len()..].starts_with('=')).then_some(sign)
}

fn name_length(text: &str) -> usize {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(text.len());
    text[..end].find("..").unwrap_or(end) // `a..b` is a range, not a name with dots
}

fn number_length(text: &str) -> usize {
    let digits =
        |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |n| from + n);
    let mut end = digits(0);
    let next = |at: usize| text[at..].chars().next().is_some_and(|c| c.is_ascii_digit());
    if text[end..].starts_with('.') && next(end + 1) {
        end = digits(end + 1);
    }
    if text[end..].starts_with('e') {
        let sign = text[end + 1..].starts_with(['-', '+']) as usize;
        if next(end + 1 + sign) {
            end = digits(end + 1 + sign);
        }
    }
    end
}

/// Reads `"…"` with `\"`, `\\`, `\n` and `\u{…}`; gives the text and the length of what was read.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((name, at + 1)),
            '\\' => match characters.next()?.1 {
                'n' => name.push('\n'),
                'u' => {
                    let digits: String =
                        characters.by_ref().map(|(_, c)| c).skip(1).take_while(|&c| c != '}').collect();
                    name.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => name.push(other),
            },
            c => name.push(c),
        }
    }
    None
}

/// `name` as the text form writes it: bare where that can be read back and is no keyword, else in quotes.
pub fn name_text(name: &str, keywords: &[&str]) -> String {
    let bare = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name_length(name) == name.len()
        && !keywords.contains(&name);
    if bare {
        return name.into();
    }
    let mut text = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            c if c.is_control() => text.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => text.push(c),
        }
    }
    text + "\""
}
