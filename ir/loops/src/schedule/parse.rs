//! Text to schedules.
//!
//! The grammar, with names, numbers and comments (`;`) as in index notation:
//!
//! ```text
//! file    = { space | pin | goal }
//! space   = "space" name [ "for" pattern ] [ "on" machine ] "{" { choose | require | line } "}"
//! machine = name { "-" ( name | digits ) }
//! choose  = "choose" domain { "," domain }
//! domain  = name "in" amount ".." amount | name "divides" amount
//! require = "require" amount ("<" | "<=" | "==" | "!=" | ">=" | ">") amount
//! pin     = "pin" kernel { "," kernel }
//!           ( "{" { line } "}" | ":" "space" name [ "{" { name "=" integer "," } "}" ] | ":" "fuse" "rows" )
//! line    = "for" loop { "," loop } [ "step" amount ] [ "vector" amount ] [ "unroll" [ "?" ] ] [ "parallel" [ amount ] [ "?" ] ]
//!           [ "use" instruction ]
//!         | "buffer" tensor "as" type
//!         | "pack" tensor "as" type
//! loop    = name [ "(" amount ")" ]                    ; `?`, in a space only, is a choice `LOOP.unroll` in 0..1
//! amount  = sums and products (+ - * / %) of integers, choices, extents by the loop's name, "regs.general", "regs.float",
//!           "threads", which `parallel` has without an amount
//! goal    = "goal" [ "ram" "<=" size ] [ "flash" "<=" size ] [ [ "then" ] "min" ("cycles" | "ram" | "flash") ]
//! size    = integer [ "KiB" | "MiB" ]
//! ```

use nablac_index::DType;
use nablac_index::lexer::{Lexer, Token};

use super::print::KEYWORDS;
use super::{
    Amount, Axis, Choice, Comparison, Domain, Figure, For, Goal, How, Item, Line, Name, Open, Operation,
};
use super::{Pin, Place, Require, Schedules, Space, Stored};
use crate::error::Error;

/// Words that one may look for on a loop, and how the language says what they mean.
const ELSEWHERE: &[(&str, &str)] = &[
    ("pad", "a loop's padded extent stands behind its name: `for c(4)`"),
    (
        "fuse",
        "loops that run as one are listed, `for u, v`; kernels that run in turn are `pin A, B : fuse rows`",
    ),
    (
        "distribute",
        "a loop runs on several threads with `parallel`; no target has processors with memories of their own",
    ),
];

/// Parentheses within parentheses.
const DEEPEST: usize = 64;

/// Reads schedules.
pub fn parse(text: &str) -> Result<Schedules, Error> {
    parse_file(0, text)
}

/// Reads the schedules of one of several files; errors and places say which.
pub fn parse_file(file: usize, text: &str) -> Result<Schedules, Error> {
    let mut parser = Parser { lexer: Lexer::new(text).map_err(|error| placed(file, error))?, file, depth: 0 };
    let mut schedules = Schedules::default();
    while *parser.lexer.peek() != Token::End {
        schedules.items.push(parser.item()?);
    }
    Ok(schedules)
}

/// An error of the lexer as one of schedules.
fn placed(file: usize, error: nablac_index::Error) -> Error {
    match error {
        nablac_index::Error::Syntax { line, column, expected, found } => {
            Error::schedule(Place { file, line, column }, format!("expected {expected}, found {found}"))
        }
        other => other.into(),
    }
}

struct Parser {
    lexer: Lexer,
    file: usize,
    depth: usize,
}

impl Parser {
    fn place(&self) -> Place {
        let (line, column) = self.lexer.place();
        Place { file: self.file, line, column }
    }

    /// What the lexer gives, with its errors placed.
    fn lex<T>(
        &mut self,
        read: impl FnOnce(&mut Lexer) -> Result<T, nablac_index::Error>,
    ) -> Result<T, Error> {
        read(&mut self.lexer).map_err(|error| placed(self.file, error))
    }

    fn expected<T>(&self, what: &str) -> Result<T, Error> {
        Err(placed(self.file, self.lexer.expected(what)))
    }

    fn name(&mut self, what: &str) -> Result<Name, Error> {
        let place = self.place();
        Ok(Name { text: self.lex(|lexer| lexer.expect_name(what))?, place })
    }

    fn sign(&mut self, sign: &str) -> Result<(), Error> {
        self.lex(|lexer| lexer.expect_sign(sign))
    }

    /// One or more, with commas between them.
    fn listed<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let mut items = vec![item(self)?];
        while self.lexer.take_sign(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn item(&mut self) -> Result<Item, Error> {
        if self.lexer.take_word("space") {
            return Ok(Item::Space(self.space()?));
        }
        if self.lexer.take_word("pin") {
            return self.pin();
        }
        if self.lexer.take_word("goal") {
            return Ok(Item::Goal(self.goal()?));
        }
        self.expected("`space`, `pin` or `goal`")
    }

    fn space(&mut self) -> Result<Space, Error> {
        let name = self.name("the space's name")?;
        let optional = |parser: &mut Self, word: &str, what: &str| match parser.lexer.take_word(word) {
            true => parser.name(what).map(Some),
            false => Ok(None),
        };
        let pattern = optional(self, "for", "the kernels' name, in quotes where it has a `*`")?;
        let machine = if self.lexer.take_word("on") { Some(self.machine()?) } else { None };
        let mut space = Space { name, pattern, machine, choices: vec![], requires: vec![], lines: vec![] };
        self.sign("{")?;
        while !self.lexer.take_sign("}") {
            if self.lexer.take_word("choose") {
                space.choices.extend(self.listed(Self::choice)?);
            } else if self.lexer.take_word("require") {
                space.requires.push(self.require()?);
            } else {
                space.lines.push(self.line("`choose`, `require`, `for`, `buffer`, `pack` or `}`")?);
            }
        }
        Ok(space)
    }

    /// `cortex-m4`: a name that may have hyphens without quotes.
    fn machine(&mut self) -> Result<Name, Error> {
        let mut machine = self.name("a machine's name")?;
        while self.lexer.take_sign("-") {
            let part = match self.lexer.peek().clone() {
                Token::Name(part) | Token::Number(part) => part,
                _ => return self.expected("the rest of the machine's name"),
            };
            self.lexer.next_token();
            machine.text += &format!("-{part}");
        }
        Ok(machine)
    }

    fn choice(&mut self) -> Result<Choice, Error> {
        let name = self.name("the choice's name")?;
        if self.lexer.take_word("divides") {
            return Ok(Choice { name, domain: Domain::Divides(self.amount()?) });
        }
        if !self.lexer.take_word("in") {
            return self.expected("`in` or `divides`");
        }
        let low = self.amount()?;
        self.sign("..")?;
        Ok(Choice { name, domain: Domain::Range(low, self.amount()?) })
    }

    fn require(&mut self) -> Result<Require, Error> {
        let place = self.place();
        let left = self.amount()?;
        let found = Comparison::ALL.iter().find(|(_, sign)| self.lexer.take_sign(sign));
        let Some(&(comparison, _)) = found else { return self.expected("a comparison such as `<=`") };
        Ok(Require { left, comparison, right: self.amount()?, place })
    }

    fn pin(&mut self) -> Result<Item, Error> {
        let kernels = self.listed(|parser| parser.name("a kernel's name"))?;
        if self.lexer.take_sign(":") {
            if self.lexer.take_word("fuse") {
                self.lex(|lexer| lexer.expect_word("rows"))?;
                return Ok(Item::Fused(kernels));
            }
            self.lex(|lexer| lexer.expect_word("space"))?;
            let space = self.name("the space's name")?;
            let mut settings = vec![];
            if self.lexer.take_sign("{") {
                settings = self.listed(Self::setting)?;
                self.sign("}")?;
            }
            return Ok(Item::Pin(Pin { kernels, how: How::Member { space, settings } }));
        }
        if !self.lexer.take_sign("{") {
            return self.expected("`{` and the nest, `: space NAME` or `: fuse rows`");
        }
        let mut lines = vec![];
        while !self.lexer.take_sign("}") {
            lines.push(self.line("`for`, `buffer`, `pack` or `}`")?);
        }
        Ok(Item::Pin(Pin { kernels, how: How::Written(lines) }))
    }

    fn setting(&mut self) -> Result<(Name, i64), Error> {
        let name = self.name("a choice's name")?;
        self.sign("=")?;
        Ok((name, self.lex(|lexer| lexer.expect_integer("an integer"))?))
    }

    fn line(&mut self, expected: &str) -> Result<Line, Error> {
        let place = self.place();
        if self.lexer.take_word("for") {
            return Ok(Line::For(self.loops(place)?));
        }
        if self.lexer.take_word("buffer") {
            return Ok(Line::Buffer(self.stored(place)?));
        }
        if self.lexer.take_word("pack") {
            return Ok(Line::Pack(self.stored(place)?));
        }
        if let Some((word, instead)) = ELSEWHERE.iter().find(|(word, _)| self.lexer.at_word(word)) {
            return Err(Error::schedule(place, format!("`{word}` is nothing that a loop has: {instead}")));
        }
        if self.lexer.at_sign("?") {
            let message =
                "`?` is not supported: a pin says what is done, and a space's `choose` what is open";
            return Err(Error::schedule(place, message));
        }
        self.expected(expected)
    }

    fn loops(&mut self, place: Place) -> Result<For, Error> {
        let axes = self.listed(|parser| {
            let name = parser.name("a loop's name")?;
            let padded = if parser.lexer.take_sign("(") {
                let amount = parser.amount()?;
                parser.sign(")")?;
                Some(amount)
            } else {
                None
            };
            Ok(Axis { name, padded })
        })?;
        let mut loops = For { axes, place, ..For::default() };
        loop {
            let at = self.place();
            let twice = |word: &str| Err(Error::schedule(at, format!("this line has a `{word}` already")));
            if self.lexer.take_word("step") {
                if loops.step.replace(self.amount()?).is_some() {
                    return twice("step");
                }
            } else if self.lexer.take_word("vector") {
                if loops.vector.replace(self.amount()?).is_some() {
                    return twice("vector");
                }
            } else if self.lexer.take_word("unroll") {
                if std::mem::replace(&mut loops.unroll, true) {
                    return twice("unroll");
                }
                self.maybe(Open::Unroll, &mut loops);
            } else if self.lexer.take_word("parallel") {
                let parts = if self.at_amount() { self.amount()? } else { Amount::threads() };
                if loops.parallel.replace(parts).is_some() {
                    return twice("parallel");
                }
                self.maybe(Open::Parallel, &mut loops);
            } else if self.lexer.take_word("use") {
                if loops.instruction.replace(self.name("an instruction's name")?).is_some() {
                    return twice("use");
                }
            } else {
                return Ok(loops);
            }
        }
    }

    /// A `?` behind what has been read.
    fn maybe(&mut self, open: Open, loops: &mut For) {
        if self.lexer.take_sign("?") {
            loops.open.push(open);
        }
    }

    fn stored(&mut self, place: Place) -> Result<Stored, Error> {
        let tensor = self.name("a tensor's name")?;
        self.lex(|lexer| lexer.expect_word("as"))?;
        let name = self.name("an element type such as `i8`")?;
        match DType::from_name(&name.text) {
            Some(dtype) => Ok(Stored { tensor, dtype, place }),
            None => Err(Error::schedule(name.place, format!("`{}` is no element type", name.text))),
        }
    }

    /// Whether an amount is next, and no word that goes on with a line or begins another one.
    fn at_amount(&self) -> bool {
        match self.lexer.peek() {
            Token::Number(_) => true,
            Token::Name(_) => !KEYWORDS.iter().any(|word| self.lexer.at_word(word)),
            _ => self.lexer.at_sign("(") || self.lexer.at_sign("-"),
        }
    }

    fn amount(&mut self) -> Result<Amount, Error> {
        self.operations(false)
    }

    /// Sums of products, or products of single values, from left to right.
    fn operations(&mut self, products: bool) -> Result<Amount, Error> {
        let operand = |parser: &mut Self| if products { parser.single() } else { parser.operations(true) };
        let mut amount = operand(self)?;
        let own = |(operation, _): &&(Operation, &str)| operation.is_product() == products;
        while let Some((operation, _)) =
            Operation::ALL.iter().filter(own).find(|(_, sign)| self.lexer.take_sign(sign))
        {
            amount = Amount::Binary(*operation, Box::new((amount, operand(self)?)));
        }
        Ok(amount)
    }

    fn single(&mut self) -> Result<Amount, Error> {
        if self.lexer.at_sign("(") {
            if self.depth == DEEPEST {
                return Err(Error::schedule(self.place(), "parentheses are nested too deeply"));
            }
            self.lexer.next_token();
            self.depth += 1;
            let amount = self.amount()?;
            self.depth -= 1;
            self.sign(")")?;
            return Ok(amount);
        }
        if matches!(self.lexer.peek(), Token::Name(_)) {
            return Ok(Amount::Name(self.name("a name")?));
        }
        Ok(Amount::Integer(self.lex(|lexer| lexer.expect_integer("an integer, a name or `(`"))?))
    }

    fn goal(&mut self) -> Result<Goal, Error> {
        let mut goal = Goal::default();
        loop {
            self.lexer.take_word("then");
            let place = self.place();
            let again = if self.lexer.take_word("min") {
                let found = Figure::ALL.iter().find(|(_, name)| self.lexer.take_word(name));
                let Some(&(figure, _)) = found else { return self.expected("`cycles`, `ram` or `flash`") };
                goal.minimize.replace(figure).is_some()
            } else if self.lexer.take_word("ram") {
                goal.ram.replace(self.bytes()?).is_some()
            } else if self.lexer.take_word("flash") {
                goal.flash.replace(self.bytes()?).is_some()
            } else {
                return self.expected("`ram <= SIZE`, `flash <= SIZE` or `min FIGURE`");
            };
            if again {
                return Err(Error::schedule(place, "this goal says that already"));
            }
            if !self.lexer.take_sign(",") {
                return Ok(goal);
            }
        }
    }

    /// `<= 64 KiB`.
    fn bytes(&mut self) -> Result<u64, Error> {
        self.sign("<=")?;
        let place = self.place();
        let number = self.lex(|lexer| lexer.expect_size("a size such as `64 KiB`"))? as u64;
        let unit = if self.lexer.take_word("KiB") {
            1 << 10
        } else if self.lexer.take_word("MiB") {
            1 << 20
        } else {
            1
        };
        number.checked_mul(unit).ok_or_else(|| Error::schedule(place, "this size has more than 64 bits"))
    }
}
