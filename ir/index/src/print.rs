//! Programs as text. `parse(print(p)) == p`.
//!
//! Owns the layout of the text; the grammar stands in `parse`.

use std::collections::BTreeMap;
use std::fmt;

use crate::array::Array;
use crate::dtype::{DType, Value};
use crate::lexer::name_text;
use crate::program::{Branch, Loop, Program, Repeat, Role, State, Statement, Step};
use crate::scope::Scope;

mod expression;

pub use expression::precedence;

/// Words that a tensor, loop or label can only bear in quotes, in index notation and loop nests alike.
pub const KEYWORDS: &[&str] = &[
    "program", "input", "output", "const", "local", "repeat", "carrying", "then", "if", "else", "for", "inf",
    "nan", "true", "false", "loops", "kernel", "law", "macs", "register", "step", "unroll", "parallel",
    "bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64",
];

/// Constants of up to this many elements stand in the text itself; larger ones as `@hash`, beside it.
const INLINE_ELEMENTS: usize = 16;

impl Program {
    /// The constants that the text names by hash only: what a reader needs beside it.
    pub fn constants(&self) -> BTreeMap<String, Array> {
        let arrays = self.tensors.iter().filter_map(|t| match &t.role {
            Role::Constant(array) | Role::State(State { initial: array, .. }) if !is_inline(array) => {
                Some(array)
            }
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
                Role::State(_) => "state ",
            };
            write!(f, "  {role} {}: {}{:?}", name_text(&tensor.name, KEYWORDS), tensor.dtype, tensor.shape)?;
            match &tensor.role {
                Role::Constant(array) => writeln!(f, " = {}", array_text(array))?,
                Role::State(State { initial, next }) => {
                    let next = self.tensors.get(next.0 as usize).map_or("", |t| &t.name);
                    writeln!(f, " = {} then {}", array_text(initial), name_text(next, KEYWORDS))?;
                }
                _ => writeln!(f)?,
            }
        }
        let text = StepText { scope: self.scope(), counters: vec![] };
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
    scope: Scope<'a>,
    counters: Vec<&'a Loop>,
}

impl<'a> StepText<'a> {
    fn steps(&self, f: &mut fmt::Formatter, steps: &'a [Step], indent: &str) -> fmt::Result {
        steps.iter().try_for_each(|step| match step {
            Step::Statement(statement) => {
                writeln!(f, "{indent}{}", self.scope.statement_text(&self.counters, statement))
            }
            Step::Repeat(repeat) => self.repeat(f, repeat, indent),
            Step::Branch(branch) => self.branch(f, branch, indent),
        })
    }

    fn repeat(&self, f: &mut fmt::Formatter, repeat: &'a Repeat, indent: &str) -> fmt::Result {
        let name = |id| name_text(self.scope.tensor(id).name, KEYWORDS);
        let carried: Vec<String> = repeat
            .carried
            .iter()
            .map(|c| format!("{} = {} then {}", name(c.state), name(c.initial), name(c.next)))
            .collect();
        let Loop { name: counter, extent } = &repeat.counter;
        let counter = name_text(counter, KEYWORDS);
        write!(f, "{indent}{}repeat {counter}:{extent}", label_text(&repeat.label))?;
        if !carried.is_empty() {
            write!(f, " carrying {}", carried.join(", "))?;
        }
        writeln!(f, " {{")?;
        let mut inner = StepText { scope: self.scope.clone(), counters: self.counters.clone() };
        inner.counters.push(&repeat.counter);
        inner.steps(f, &repeat.body, &format!("{indent}  "))?;
        writeln!(f, "{indent}}}")
    }

    fn branch(&self, f: &mut fmt::Formatter, branch: &'a Branch, indent: &str) -> fmt::Result {
        let deeper = format!("{indent}  ");
        let condition = name_text(self.scope.tensor(branch.condition).name, KEYWORDS);
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

impl Scope<'_> {
    /// A statement on one line, as the text form has it.
    pub fn statement_text(&self, counters: &[&Loop], statement: &Statement) -> String {
        format!("{}{}", label_text(&statement.label), self.law_text(counters, statement))
    }

    /// A statement on one line without its label: the law that code states above its loops.
    pub fn law_text(&self, counters: &[&Loop], statement: &Statement) -> String {
        let loops = counters.iter().copied().chain(&statement.loops).map(|l| l.name.as_str());
        let scope = Scope { tensors: self.tensors.clone(), loops: loops.collect() };
        let boxed: Vec<String> = statement
            .loops
            .iter()
            .map(|l| format!("{}:{}", name_text(&l.name, KEYWORDS), l.extent))
            .collect();
        let law = format!(
            "{} {} {}",
            scope.element_text(statement.out, &statement.at),
            statement.reduce.name(),
            scope.expression_text(&statement.body),
        );
        if boxed.is_empty() { law } else { format!("{law} for {}", boxed.join(" ")) }
    }
}

impl Program {
    /// A statement on one line, as the text form has it.
    pub fn statement_text(&self, counters: &[&Loop], statement: &Statement) -> String {
        self.scope().statement_text(counters, statement)
    }

    /// A statement on one line without its label: the law that code states above its loops.
    pub fn law_text(&self, counters: &[&Loop], statement: &Statement) -> String {
        self.scope().law_text(counters, statement)
    }
}
