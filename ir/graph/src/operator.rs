//! What an operator is, and the list of them all.
//!
//! Owns the trait that every file in `ops` implements and the enum that the list expands to. Knows no operator by name:
//! those stand in `ops/mod.rs`, one line each.

use std::cell::Cell;

use nablac_index::{Builder, DType, Expr, Index, Reduce, TensorId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::graph::{Graph, Quantized, ValueId};
use crate::import::Reader;
use crate::quantization::{Quantization, Requantization};
use crate::source::Framework;

pub use crate::ops::Operator;

/// An operator: what it computes, and how the frameworks write it.
pub trait Operation: Clone + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned {
    /// The name in the text form.
    const NAME: &'static str;
    /// How the frameworks spell it.
    const SPELLINGS: &'static [Spelling];

    /// Turns a framework's node into nodes of the graph; gives the values that stand for its outputs.
    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error>;

    /// The meaning, in index notation. Shape, type, interpreter, gradient, fusion class and code follow from it.
    fn define(&self, definition: &mut Definition) -> Result<(), Error>;

    /// The meaning on the integers of quantized values. It follows from the law; an operator says another where its framework
    /// computes otherwise.
    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        crate::ops::quantized::derive(definition, &|definition| self.define(definition))
    }
}

/// A framework's name for an operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spelling {
    /// The framework.
    pub framework: Framework,
    /// Its name for the operator.
    pub name: &'static str,
    /// The first operator set (ONNX) or operator version that this import understands.
    pub since: i64,
}

/// An ONNX operator, understood from operator set `since` on.
pub const fn onnx(name: &'static str, since: i64) -> Spelling {
    Spelling { framework: Framework::Onnx, name, since }
}

/// A TFLite builtin operator.
pub const fn tflite(name: &'static str) -> Spelling {
    Spelling { framework: Framework::Tflite, name, since: 1 }
}

/// An ATen operator of PyTorch's core set.
pub const fn aten(name: &'static str) -> Spelling {
    Spelling { framework: Framework::Torch, name, since: 1 }
}

/// A row of the table of operators.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The name in the text form.
    pub name: &'static str,
    /// How the frameworks spell it.
    pub spellings: &'static [Spelling],
    /// `Operation::import`.
    pub import: fn(&mut Reader) -> Result<Vec<ValueId>, Error>,
}

/// What a definition is given: the program to write into, and the node's inputs and regions.
pub struct Definition<'a> {
    /// Where the statements go.
    pub builder: &'a mut Builder,
    pub(crate) node: &'a str,
    pub(crate) operator: &'static str,
    pub(crate) inputs: Vec<Option<TensorId>>,
    pub(crate) outputs: Vec<TensorId>,
    pub(crate) regions: &'a [Graph],
    pub(crate) has_read_regions: Cell<bool>,
    pub(crate) quantized: Option<Quantizations>,
}

/// How the values around a quantized node stand for reals.
#[derive(Clone, Debug)]
pub(crate) struct Quantizations {
    pub requantization: Requantization,
    pub inputs: Vec<Option<Quantization>>,
    pub outputs: Vec<Option<Quantized>>,
}

impl<'a> Definition<'a> {
    /// Input `position`, which the operator can't do without.
    pub fn input(&self, position: usize) -> Result<TensorId, Error> {
        self.optional(position).ok_or_else(|| self.malformed(format!("input {position} is missing")))
    }

    /// Input `position`, if it is given.
    pub fn optional(&self, position: usize) -> Option<TensorId> {
        self.inputs.get(position).copied().flatten()
    }

    /// All inputs.
    pub fn inputs(&self) -> &[Option<TensorId>] {
        &self.inputs
    }

    /// How a quantized operator's results get to the scale of its outputs; nothing where it computes on plain values.
    pub fn requantization(&self) -> Option<Requantization> {
        self.quantized.as_ref().map(|q| q.requantization)
    }

    /// How the integers of input `position` stand for reals, if they do.
    pub fn quantization(&self, position: usize) -> Option<&Quantization> {
        self.quantized.as_ref()?.inputs.get(position)?.as_ref()
    }

    /// The type of output `position`, if it is quantized.
    pub fn quantized_output(&self, position: usize) -> Option<&Quantized> {
        self.quantized.as_ref()?.outputs.get(position)?.as_ref()
    }

    /// The subgraphs, of which there must be `N`.
    pub fn regions<const N: usize>(&self) -> Result<[&'a Graph; N], Error> {
        self.has_read_regions.set(true);
        let regions: Vec<&'a Graph> = self.regions.iter().collect();
        let problem = || self.malformed(format!("it has {} subgraphs instead of {N}", self.regions.len()));
        regions.try_into().map_err(|_| problem())
    }

    /// The shape of a tensor.
    pub fn shape(&self, tensor: TensorId) -> Vec<usize> {
        self.builder.shape(tensor)
    }

    /// The element type of a tensor.
    pub fn dtype(&self, tensor: TensorId) -> DType {
        self.builder.dtype(tensor)
    }

    /// Makes a tensor the operator's next output.
    pub fn output(&mut self, tensor: TensorId) {
        self.outputs.push(tensor);
    }

    /// The one output of most operators: `y[i, j, …] = body(x[i, j, …])`, of the input's type and shape.
    pub fn map(&mut self, body: impl FnOnce(Expr) -> Expr) -> Result<(), Error> {
        let x = self.input(0)?;
        let (dtype, shape) = (self.dtype(x), self.shape(x));
        let y = self.builder.map("", dtype, &shape, |at| body(Expr::read(x, at)));
        self.output(y);
        Ok(())
    }

    /// `map` for functions of numbers: the input must not be boolean.
    pub fn map_number(&mut self, body: impl FnOnce(Expr) -> Expr) -> Result<(), Error> {
        let dtype = self.dtype(self.input(0)?);
        self.require(dtype != DType::Bool, || "it is a function of numbers, not of booleans".into())?;
        self.map(body)
    }

    /// `map` for functions of real numbers: the input's type must be a float.
    pub fn map_real(&mut self, body: impl FnOnce(Expr) -> Expr) -> Result<(), Error> {
        let dtype = self.dtype(self.input(0)?);
        self.require(dtype.is_float(), || format!("it is a function of real numbers, not of {dtype}"))?;
        self.map(body)
    }

    /// `y[at] reduce body` as the operator's next output; see `Builder::emit`.
    pub fn emit(
        &mut self,
        dtype: DType,
        space: &[(&str, usize)],
        over: &[(&str, usize)],
        reduce: Reduce,
        body: impl FnOnce(&[Index]) -> Expr,
    ) {
        let y = self.builder.emit("", dtype, space, over, reduce, body);
        self.output(y);
    }

    /// The inputs contradict the operator's specification.
    pub fn malformed(&self, problem: impl Into<String>) -> Error {
        Error::Malformed { node: self.node.into(), operator: self.operator.into(), problem: problem.into() }
    }

    /// The inputs ask for something that the operator's definition does not cover.
    pub fn unsupported(&self, reason: impl Into<String>) -> Error {
        Error::Unsupported { node: self.node.into(), operator: self.operator.into(), reason: reason.into() }
    }

    /// Checks a rule of the operator's specification.
    pub fn require(&self, holds: bool, problem: impl FnOnce() -> String) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(self.malformed(problem())) }
    }
}

/// Expands the list of operators to modules, the enum `Operator` and the table of entries.
macro_rules! operators { ($($module:ident :: $Name:ident),* $(,)?) => {
    $(mod $module; pub use $module::$Name;)*

    /// Any operator with its attributes.
    #[derive(Clone, PartialEq, Debug)]
    pub enum Operator { $(#[allow(missing_docs)] $Name($Name)),* }

    /// Every operator, in the order of the list.
    pub const TABLE: &[Entry] = &[$(Entry {
        name: <$Name as Operation>::NAME,
        spellings: <$Name as Operation>::SPELLINGS,
        import: <$Name as Operation>::import,
    }),*];

    impl Operator {
        /// The name in the text form.
        pub fn name(&self) -> &'static str {
            match self { $(Operator::$Name(_) => <$Name as Operation>::NAME),* }
        }

        /// The operator's meaning; see `Operation::define` and `Operation::define_quantized`.
        pub fn define(&self, definition: &mut Definition) -> Result<(), Error> {
            match (self, &definition.quantized) {
                $((Operator::$Name(operator), None) => operator.define(definition),)*
                $((Operator::$Name(operator), Some(_)) => operator.define_quantized(definition),)*
            }
        }

        /// The attributes by name.
        pub fn attributes(&self) -> serde_json::Value {
            match self { $(Operator::$Name(operator) => serde_json::to_value(operator)),* }.unwrap_or_default()
        }

        /// The operator called `name` with these attributes; says what is wrong with them otherwise.
        pub fn from_attributes(name: &str, attributes: serde_json::Value) -> Result<Operator, String> {
            match name {
                $(<$Name as Operation>::NAME => serde_json::from_value(attributes).map(Operator::$Name),)*
                _ => return Err(format!("there is no operator `{name}`")),
            }.map_err(|e| e.to_string())
        }
    }

    $(impl From<$Name> for Operator { fn from(operator: $Name) -> Operator { Operator::$Name(operator) } })*
} }
pub(crate) use operators;

/// Expands the list of compositions to modules and the table of their entries. A composition is a framework's operator that
/// is made of other operators: its file has spellings and an import, and nothing is defined twice.
macro_rules! compositions { ($($module:ident),* $(,)?) => {
    $(mod $module;)*

    /// Every composition, in the order of the list.
    pub const COMPOSITIONS: &[Entry] =
        &[$(Entry { name: stringify!($module), spellings: $module::SPELLINGS, import: $module::import }),*];
} }
pub(crate) use compositions;
