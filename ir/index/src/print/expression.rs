//! Expressions and indices to text, with the names of a scope.
//!
//! Owns signs, precedence and parentheses.

use super::{KEYWORDS, literal_text};
use crate::expression::{Access, Binary, Expr, Unary};
use crate::index::{Atom, Index};
use crate::lexer::name_text;
use crate::program::TensorId;
use crate::scope::Scope;

impl Scope<'_> {
    /// `tensor[at]`.
    pub fn element_text(&self, tensor: TensorId, at: &[Index]) -> String {
        let at: Vec<String> = at.iter().map(|i| self.index_text(i)).collect();
        format!("{}[{}]", name_text(self.tensor(tensor).name, KEYWORDS), at.join(", "))
    }

    /// An expression as text.
    pub fn expression_text(&self, expression: &Expr) -> String {
        self.operand_text(expression, 0)
    }

    fn access_text(&self, access: &Access) -> String {
        let element = self.element_text(access.tensor, &access.at);
        match access.outside {
            None => element,
            Some(value) => {
                let value = literal_text(self.tensor(access.tensor).dtype, value, true);
                format!("{} else {value}]", element.strip_suffix(']').unwrap_or(&element))
            }
        }
    }

    /// An index as text.
    pub fn index_text(&self, index: &Index) -> String {
        let mut text = String::new();
        for (atom, factor) in index.terms() {
            text += match (text.is_empty(), *factor < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            let compound = matches!(atom, Atom::Div(..) | Atom::Mod(..));
            let atom = self.atom_text(atom);
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

    fn atom_text(&self, atom: &Atom) -> String {
        let operand = |inner: &Index| match (inner.terms(), inner.offset()) {
            ([(Atom::Loop(_) | Atom::Read(..), 1)], 0) => self.index_text(inner),
            _ => format!("({})", self.index_text(inner)),
        };
        match atom {
            Atom::Loop(id) => self
                .loops
                .get(id.0 as usize)
                .map_or(format!("loop{}", id.0), |name| name_text(name, KEYWORDS)),
            Atom::Div(inner, n) => format!("{} / {n}", operand(inner)),
            Atom::Mod(inner, n) => format!("{} % {n}", operand(inner)),
            Atom::Read(tensor, at) => self.element_text(*tensor, at),
        }
    }

    /// The text of `expression` where an operator of precedence `level` or more stands beside it: 1 comparisons, 2 sums, 3
    /// products, 4 signs.
    fn operand_text(&self, expression: &Expr, level: u8) -> String {
        let call = |name: &str, operands: &[&Expr]| {
            let operands: Vec<String> = operands.iter().map(|e| self.operand_text(e, 0)).collect();
            format!("{name}({})", operands.join(", "))
        };
        match expression {
            Expr::Literal(dtype, value) => literal_text(*dtype, *value, true),
            Expr::Index(index) => format!("index({})", self.index_text(index)),
            Expr::Read(access) => self.access_text(access),
            Expr::Unary(Unary::Neg, a) if !matches!(**a, Expr::Literal(..)) => {
                format!("-{}", self.operand_text(a, 4))
            }
            Expr::Unary(operation, a) => call(operation.name(), &[a]),
            Expr::Binary(operation, a, b) => match precedence(*operation) {
                None => call(operation.name(), &[a, b]),
                Some(own) => {
                    let left = self.operand_text(a, if own == 1 { 2 } else { own });
                    let text = format!("{left} {} {}", operation.name(), self.operand_text(b, own + 1));
                    if own < level { format!("({text})") } else { text }
                }
            },
            Expr::Select(abc) => call("select", &abc.each_ref()),
            Expr::MultiplyAdd(abc) => call("fma", &abc.each_ref()),
            Expr::Requantize(rounding, abc) => call(rounding.name(), &abc.each_ref()),
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
