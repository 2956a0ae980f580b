//! What an expression can name.
//!
//! Owns the bridge between ids and names: expressions hold positions, their text holds names, and the rules ask for element
//! types and shapes. Index notation and loop nests have one expression language, read, printed, checked and evaluated
//! through a scope each.

use crate::dtype::DType;
use crate::expression::Expr;
use crate::program::{Program, TensorId};

/// The tensors and loops that an expression can name, both by position.
#[derive(Clone, Debug, Default)]
pub struct Scope<'a> {
    /// Whatever a `TensorId` names.
    pub tensors: Vec<Element<'a>>,
    /// The name of whatever a `LoopId` names, outermost first.
    pub loops: Vec<&'a str>,
}

/// A tensor as an expression sees it.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its elements.
    pub dtype: DType,
    /// Its extents.
    pub shape: &'a [usize],
}

impl<'a> Scope<'a> {
    /// The tensor `id`.
    pub fn tensor(&self, id: TensorId) -> Element<'a> {
        self.tensors[id.0 as usize]
    }

    /// The tensor of this name.
    pub fn find_tensor(&self, name: &str) -> Option<TensorId> {
        self.tensors.iter().position(|t| t.name == name).map(|position| TensorId(position as u32))
    }

    /// The element type of an expression.
    pub fn type_of(&self, expression: &Expr) -> DType {
        expression.dtype(&|id| self.tensor(id).dtype)
    }

    /// The same tensors with other loops.
    pub fn with_loops(&self, loops: impl IntoIterator<Item = &'a str>) -> Scope<'a> {
        Scope { tensors: self.tensors.clone(), loops: loops.into_iter().collect() }
    }
}

impl Program {
    /// The tensors of the program, and no loop yet.
    pub fn scope(&self) -> Scope<'_> {
        let elements =
            self.tensors.iter().map(|t| Element { name: &t.name, dtype: t.dtype, shape: &t.shape });
        Scope { tensors: elements.collect(), loops: vec![] }
    }
}

/// Whether a loop can bear this name: beside a factor, as in `2i`, it must not read as part of a number.
pub fn is_loop_name(name: &str) -> bool {
    let exponent = name.strip_prefix('e').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !exponent && DType::from_name(name).is_none() && !["inf", "nan", "else"].contains(&name)
}
