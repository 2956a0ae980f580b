//! The rules inside of one statement: element types agree, and accesses without `else` stay inside.
//!
//! Owns what an expression may say, in index notation and in loop nests. What is known of the loops is the caller's.

use std::collections::BTreeSet;

use crate::dtype::DType;
use crate::error::Error;
use crate::expression::{Access, Binary, Expr, Unary};
use crate::index::{Atom, Index};
use crate::program::{Reduce, State, TensorId};
use crate::scope::{Element, Scope};

/// The rules at one place of a program.
pub struct Rules<'a> {
    /// What can be named.
    pub scope: &'a Scope<'a>,
    /// The place, for errors.
    pub place: &'a str,
    /// The smallest and largest value that an index takes here, if known; `(0, -1)` where nothing runs.
    pub range: &'a dyn Fn(&Index) -> Option<(i64, i64)>,
}

impl Rules<'_> {
    /// An error at this place, unless `holds`.
    pub fn require(&self, holds: bool, problem: impl FnOnce() -> String) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(Error::invalid(self.place, problem())) }
    }

    /// A value of type `value` can be combined into `target` by `reduce`.
    pub fn store(&self, target: Element, reduce: Reduce, value: DType) -> Result<(), Error> {
        if reduce == Reduce::ArgMax {
            return self.require(target.dtype.is_integer(), || {
                format!("`argmax=` gives a position, not {}", target.dtype)
            });
        }
        self.require(value == target.dtype, || {
            format!("the body is {value}, but `{}` is {}", target.name, target.dtype)
        })?;
        let bits = reduce != Reduce::Or || !target.dtype.is_float();
        self.require(bits, || "`|=` combines bits, which floats have not".into())
    }

    /// `tensor[at]` has an index for each dimension, and each is well-formed.
    pub fn element(&self, tensor: TensorId, at: &[Index]) -> Result<(), Error> {
        let tensor = self.scope.tensor(tensor);
        self.require(at.len() == tensor.shape.len(), || {
            format!(
                "`{}` has {} dimensions, but is indexed with {}",
                tensor.name,
                tensor.shape.len(),
                at.len()
            )
        })?;
        at.iter().try_for_each(|index| self.index(index))
    }

    /// Loops are in scope, and what is read as an index is an integer.
    pub fn index(&self, index: &Index) -> Result<(), Error> {
        let mut result = Ok(());
        index.visit_atoms(&mut |atom| {
            let checked = match atom {
                Atom::Loop(id) => {
                    self.require((id.0 as usize) < self.scope.loops.len(), || "a loop is out of scope".into())
                }
                Atom::Read(tensor, at) => {
                    let own = self.scope.tensor(*tensor);
                    let integer = self.require(own.dtype.is_integer(), || {
                        format!("`{}` is {} and can't be an index", own.name, own.dtype)
                    });
                    integer.and_then(|()| self.inside(*tensor, at))
                }
                _ => Ok(()),
            };
            if result.is_ok() {
                result = checked;
            }
        });
        result
    }

    /// The interval of each index lies within its dimension.
    pub fn inside(&self, tensor: TensorId, at: &[Index]) -> Result<(), Error> {
        self.element(tensor, at)?;
        let own = self.scope.tensor(tensor);
        at.iter().zip(own.shape).enumerate().try_for_each(|(d, (index, &extent))| {
            let range = (self.range)(index);
            self.require(range.is_some_and(|(low, high)| low >= 0 && high < extent as i64), || {
                let found =
                    range.map_or("depends on data".into(), |(low, high)| format!("runs over {low}..={high}"));
                format!("index {d} of `{}` {found}, outside 0..{extent}: give an `else` value", own.name)
            })
        })
    }

    /// The element type of an expression that follows the rules.
    pub fn expression(&self, expression: &Expr) -> Result<DType, Error> {
        match expression {
            Expr::Literal(dtype, _) => Ok(*dtype),
            Expr::Index(index) => self.index(index).map(|()| DType::I64),
            Expr::Read(Access { tensor, at, outside }) => {
                match outside {
                    None => self.inside(*tensor, at)?,
                    Some(_) => self.element(*tensor, at)?,
                }
                Ok(self.scope.tensor(*tensor).dtype)
            }
            Expr::Unary(operation, a) => self.unary(*operation, self.expression(a)?),
            Expr::Binary(operation, a, b) => {
                let (a, b) = (self.expression(a)?, self.expression(b)?);
                self.binary(*operation, a, b)
            }
            Expr::Select(abc) => {
                let [condition, then, otherwise] = [0, 1, 2].map(|i| self.expression(&abc[i]));
                let (condition, then, otherwise) = (condition?, then?, otherwise?);
                self.require(condition == DType::Bool, || {
                    format!("`select` decides on {condition}, not on a boolean")
                })?;
                self.require(then == otherwise, || {
                    format!("`select` chooses between {then} and {otherwise}")
                })?;
                Ok(then)
            }
            Expr::Cast(dtype, a) => {
                self.expression(a)?;
                self.require(!dtype.is_packed(), || {
                    format!("a cast to {dtype}, which constants alone have")
                })?;
                Ok(*dtype)
            }
            Expr::MultiplyAdd(abc) => {
                let [a, b, c] = [0, 1, 2].map(|i| self.expression(&abc[i]));
                let (a, b, c) = (a?, b?, c?);
                self.require(a == b && b == c, || format!("`fma` of {a}, {b} and {c}"))?;
                Ok(a)
            }
            Expr::Requantize(rounding, abc) => {
                let [value, multiplier, exponent] = [0, 1, 2].map(|i| self.expression(&abc[i]));
                let types = [value?, multiplier?, exponent?];
                self.require(types == [rounding.value_dtype(), DType::I32, DType::I32], || {
                    format!("`{}` of {}, {} and {}", rounding.name(), types[0], types[1], types[2])
                })?;
                Ok(DType::I32)
            }
            Expr::Stop(a) => self.expression(a),
        }
    }

    fn unary(&self, operation: Unary, a: DType) -> Result<DType, Error> {
        let fits = match operation {
            _ if a.is_packed() => false,
            Unary::Neg | Unary::Abs => a != DType::Bool,
            Unary::Not => !a.is_float(),
            _ => a.is_float(),
        };
        self.require(fits, || format!("`{}` of {a}", operation.name()))?;
        Ok(if operation == Unary::IsNan { DType::Bool } else { a })
    }

    fn binary(&self, operation: Binary, a: DType, b: DType) -> Result<DType, Error> {
        let fits = match operation {
            _ if a != b || a.is_packed() => false,
            Binary::And | Binary::Or | Binary::Xor => !a.is_float(),
            Binary::Shl | Binary::Shr => a.is_integer(),
            Binary::ShrRound | Binary::MulHigh => matches!(a, DType::I16 | DType::I32),
            Binary::HighWord | Binary::HighWordRound => a == DType::I32,
            Binary::Eq | Binary::Ne => true,
            _ => a != DType::Bool,
        };
        self.require(fits, || format!("`{}` of {a} and {b}", operation.name()))?;
        Ok(if operation.is_comparison() { DType::Bool } else { a })
    }
}

/// A state and its values are of one type, and the next one is there when a run ends. `own` and `next` are the state and its next value,
/// where they exist; `is_state` says of one that exists whether it is a state.
pub fn verify_state(
    state: &State,
    own: Option<Element>,
    next: Option<Element>,
    is_state: impl Fn(TensorId) -> bool,
    written: &BTreeSet<TensorId>,
) -> Result<(), String> {
    let missing = || format!("there is no tensor {}", state.next.0);
    let (own, next) = own.zip(next).ok_or_else(missing)?;
    let alike = |dtype: DType, shape: &[usize]| (dtype, shape) == (own.dtype, own.shape);
    if !alike(state.initial.dtype(), state.initial.shape()) {
        let (dtype, shape) = (state.initial.dtype(), state.initial.shape());
        return Err(format!("its initial value is {dtype}{shape:?}"));
    }
    if !alike(next.dtype, next.shape) {
        return Err(format!("it and its next value `{}` differ in type or shape", next.name));
    }
    if is_state(state.next) {
        return Err(format!("its next value `{}` is a state: copy it", next.name));
    }
    if written.contains(&state.next) { Ok(()) } else { Err(format!("`{}` is never written", next.name)) }
}
