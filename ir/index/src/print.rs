//! Programs as text. `parse(print(p)) == p`.
//!
//! Owns the layout of the text; the grammar stands in `parse`.

use std::collections::BTreeMap;
use std::fmt;

use crate::array::Array;
use crate::dtype::{DType, Value};
use crate::expression::{Access, Binary, Expr, Unary};
use crate::index::{Atom, Index};
use crate::lexer::name_text;
use crate::program::{Branch, Loop, Program, Repeat, Role, Statement, Step, TensorId};

/// Words that a tensor or label can only bear in quotes.
pub const KEYWORDS: &[&str] = &[
    "program", "input", "output", "const", "local", "repeat", "carrying", "then", "if", "else", "for", "inf",
    "nan", "true", "false",
];

/// Constants of up to this many elements stand in the text itself; larger ones as `@hash`, beside it.
const INLINE_ELEMENTS: usize = 16;

impl Program {
    /// The constants that the text names by hash only: what a reader needs beside it.
    pub fn constants(&self) -> BTreeMap<String, Array> {
        let arrays = self.tensors.iter().filter_map(|t| match &t.role {
            Role::Constant(array) if !is_inline(array) => Some(array),
            _ => None,
        });
        arrays.map(|array| (array.hash(), array.clone())).collect()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "program {} {{", name_text(&self.name, KEYWORDS))?;
        for tensor in &self.tensors {
            let role = match &tensor.role {
                Role::Input => "input ",
                Role::Output => "output",
                Role::Constant(_) => "const ",
                Role::Local => "local ",
            };
            write!(f, "  {role} {}: {}{:?}", name_text(&tensor.name, KEYWORDS), tensor.dtype, tensor.shape)?;
            match &tensor.role {
                Role::Constant(array) => writeln!(f, " = {}", array_text(array))?,
                _ => writeln!(f)?,
            }
        }
        let text = StepText { program: self, counters: vec![] };
        text.steps(f, &self.steps, "  ")?;
        writeln!(f, "}}")
    }
}

/// Whether a constant's elements stand in the text itself.
pub fn is_inline(array: &Array) -> bool {
    array.len() <= INLINE_ELEMENTS
}

/// `[1.0, 2.0]` for small arrays, `@hash` for others.
pub fn array_text(array: &Array) -> String {
    if !is_inline(array) {
        return format!("@{}", name_text(&array.hash(), &[]));
    }
    let values: Vec<String> = array.values().map(|v| literal_text(array.dtype(), v, false)).collect();
    format!("[{}]", values.join(", "))
}

/// A number as text; with its type behind it unless that is the one a reader assumes (`f32` with a point, `i32` without).
pub fn literal_text(dtype: DType, value: Value, typed: bool) -> String {
    let float = |text: String| match text.as_str() {
        "NaN" => "nan".to_string(),
        _ => text,
    };
    let (text, assumed) = match (dtype, value) {
        (DType::Bool, v) => return if v.as_i64() != 0 { "true".into() } else { "false".into() },
        (_, Value::F32(x)) => (float(format!("{x:?}")), DType::F32),
        (_, Value::F64(x)) => (float(format!("{x:?}")), DType::F32),
        (DType::U64, Value::Int(x)) => ((x as u64).to_string(), DType::I32),
        (_, Value::Int(x)) => (x.to_string(), DType::I32),
    };
    let word = text.ends_with(|c: char| c.is_alphabetic());
    match (typed && dtype != assumed, word) {
        (false, _) => text,
        (true, false) => format!("{text}{dtype}"),
        (true, true) => format!("{text}_{dtype}"),
    }
}

/// Prints steps below some counters.
struct StepText<'a> {
    program: &'a Program,
    counters: Vec<&'a Loop>,
}

impl<'a> StepText<'a> {
    fn steps(&self, f: &mut fmt::Formatter, steps: &'a [Step], indent: &str) -> fmt::Result {
        steps.iter().try_for_each(|step| match step {
            Step::Statement(statement) => {
                writeln!(f, "{indent}{}", self.program.statement_text(&self.counters, statement))
            }
            Step::Repeat(repeat) => self.repeat(f, repeat, indent),
            Step::Branch(branch) => self.branch(f, branch, indent),
        })
    }

    fn repeat(&self, f: &mut fmt::Formatter, repeat: &'a Repeat, indent: &str) -> fmt::Result {
        let name = |id| name_text(&self.program.tensor(id).name, KEYWORDS);
        let carried: Vec<String> = repeat
            .carried
            .iter()
            .map(|c| format!("{} = {} then {}", name(c.state), name(c.initial), name(c.next)))
            .collect();
        let Loop { name: counter, extent } = &repeat.counter;
        write!(f, "{indent}{}repeat {counter}:{extent}", label_text(&repeat.label))?;
        if !carried.is_empty() {
            write!(f, " carrying {}", carried.join(", "))?;
        }
        writeln!(f, " {{")?;
        let mut inner = StepText { program: self.program, counters: self.counters.clone() };
        inner.counters.push(&repeat.counter);
        inner.steps(f, &repeat.body, &format!("{indent}  "))?;
        writeln!(f, "{indent}}}")
    }

    fn branch(&self, f: &mut fmt::Formatter, branch: &'a Branch, indent: &str) -> fmt::Result {
        let deeper = format!("{indent}  ");
        let condition = name_text(&self.program.tensor(branch.condition).name, KEYWORDS);
        writeln!(f, "{indent}{}if {condition} {{", label_text(&branch.label))?;
        self.steps(f, &branch.then, &deeper)?;
        writeln!(f, "{indent}}} else {{")?;
        self.steps(f, &branch.otherwise, &deeper)?;
        writeln!(f, "{indent}}}")
    }
}

fn label_text(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!("{}: ", name_text(label, KEYWORDS)) }
}

impl Program {
    /// A statement on one line, as the text form has it.
    pub fn statement_text(&self, counters: &[&Loop], statement: &Statement) -> String {
        format!("{}{}", label_text(&statement.label), self.law_text(counters, statement))
    }

    /// A statement on one line without its label: the law that code states above its loops.
    pub fn law_text(&self, counters: &[&Loop], statement: &Statement) -> String {
        let loops: Vec<&Loop> = counters.iter().copied().chain(&statement.loops).collect();
        let names = ExprText { program: self, loops: &loops };
        let boxed: Vec<String> = statement.loops.iter().map(|l| format!("{}:{}", l.name, l.extent)).collect();
        let law = format!(
            "{} {} {}",
            names.element(statement.out, &statement.at),
            statement.reduce.name(),
            names.expression(&statement.body, 0),
        );
        if boxed.is_empty() { law } else { format!("{law} for {}", boxed.join(" ")) }
    }
}

/// Prints expressions with the loops' and tensors' names.
struct ExprText<'a> {
    program: &'a Program,
    loops: &'a [&'a Loop],
}

impl ExprText<'_> {
    fn element(&self, tensor: TensorId, at: &[Index]) -> String {
        let at: Vec<String> = at.iter().map(|i| self.index(i)).collect();
        format!("{}[{}]", name_text(&self.program.tensor(tensor).name, KEYWORDS), at.join(", "))
    }

    fn access(&self, access: &Access) -> String {
        let element = self.element(access.tensor, &access.at);
        match access.outside {
            None => element,
            Some(value) => {
                let value = literal_text(self.program.dtype(access.tensor), value, true);
                format!("{} else {value}]", element.strip_suffix(']').unwrap_or(&element))
            }
        }
    }

    fn index(&self, index: &Index) -> String {
        let mut text = String::new();
        for (atom, factor) in index.terms() {
            text += match (text.is_empty(), *factor < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            let compound = matches!(atom, Atom::Div(..) | Atom::Mod(..));
            let atom = self.atom(atom);
            text += &match factor.unsigned_abs() {
                1 => atom,
                n if compound => format!("{n}({atom})"),
                n => format!("{n}{atom}"),
            };
        }
        match index.offset() {
            n if text.is_empty() => n.to_string(),
            0 => text,
            n if n < 0 => format!("{text} - {}", n.unsigned_abs()),
            n => format!("{text} + {n}"),
        }
    }

    fn atom(&self, atom: &Atom) -> String {
        let operand = |inner: &Index| match (inner.terms(), inner.offset()) {
            ([(Atom::Loop(_) | Atom::Read(..), 1)], 0) => self.index(inner),
            _ => format!("({})", self.index(inner)),
        };
        match atom {
            Atom::Loop(id) => {
                self.loops.get(id.0 as usize).map_or(format!("loop{}", id.0), |l| l.name.clone())
            }
            Atom::Div(inner, n) => format!("{} / {n}", operand(inner)),
            Atom::Mod(inner, n) => format!("{} % {n}", operand(inner)),
            Atom::Read(tensor, at) => self.element(*tensor, at),
        }
    }

    /// The text of `expression` where an operator of precedence `level` or more stands beside it: 1 comparisons, 2 sums, 3
    /// products, 4 signs.
    fn expression(&self, expression: &Expr, level: u8) -> String {
        let call = |name: &str, operands: &[&Expr]| {
            let operands: Vec<String> = operands.iter().map(|e| self.expression(e, 0)).collect();
            format!("{name}({})", operands.join(", "))
        };
        match expression {
            Expr::Literal(dtype, value) => literal_text(*dtype, *value, true),
            Expr::Index(index) => format!("index({})", self.index(index)),
            Expr::Read(access) => self.access(access),
            Expr::Unary(Unary::Neg, a) if !matches!(**a, Expr::Literal(..)) => {
                format!("-{}", self.expression(a, 4))
            }
            Expr::Unary(operation, a) => call(operation.name(), &[a]),
            Expr::Binary(operation, a, b) => match precedence(*operation) {
                None => call(operation.name(), &[a, b]),
                Some(own) => {
                    let left = self.expression(a, if own == 1 { 2 } else { own });
                    let text = format!("{left} {} {}", operation.name(), self.expression(b, own + 1));
                    if own < level { format!("({text})") } else { text }
                }
            },
            Expr::Select(abc) => call("select", &abc.each_ref()),
            Expr::MultiplyAdd(abc) => call("fma", &abc.each_ref()),
            Expr::Cast(dtype, a) => call(dtype.name(), &[a]),
            Expr::Stop(a) => call("stop", &[a]),
        }
    }
}

/// The precedence of an infix operation; `None` for those written as functions.
pub fn precedence(operation: Binary) -> Option<u8> {
    match operation {
        Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge | Binary::Eq | Binary::Ne => Some(1),
        Binary::Add | Binary::Sub => Some(2),
        Binary::Mul | Binary::Div | Binary::Rem => Some(3),
        _ => None,
    }
}
