//! What an expression gives at one point of its loops.
//!
//! Owns the tree that an expression is compiled to, with its tensors' strides filled in, and its evaluation. Where elements
//! are stored is the interpreters' matter; what operations do is `arithmetic`'s.

use crate::arithmetic;
use crate::dtype::{DType, Value};
use crate::expression::{Access, Binary, Expr, Rounding, Unary};
use crate::index::{Atom, Index};
use crate::program::TensorId;
use crate::scope::Scope;

/// Where an evaluation reads the elements of tensors: typed arrays in index notation, bytes of an arena in loop nests.
pub trait Elements {
    /// The element at position `offset` of a dense row-major tensor; nothing beyond its ends.
    fn get(&self, tensor: TensorId, offset: i64) -> Option<Value>;
}

/// A read beyond the ends of a tensor: what the verifier excludes.
#[derive(Clone, Copy, Debug)]
pub struct OutOfRange {
    /// The tensor.
    pub tensor: TensorId,
    /// The position.
    pub offset: i64,
}

/// An expression with its tensors' strides filled in.
#[derive(Debug)]
pub enum Code {
    /// A number.
    Literal(Value),
    /// An index as a value.
    Index(Affine),
    /// An element, or the value beyond the edges.
    Read(TensorId, Place, Option<Value>),
    /// One operand of the given type.
    Unary(Unary, DType, Box<Code>),
    /// Two operands of the given type.
    Binary(Binary, DType, Box<[Code; 2]>),
    /// The second or the third, as the first says.
    Select(Box<[Code; 3]>),
    /// From one type to another.
    Cast(DType, DType, Box<Code>),
    /// Three operands of the given type.
    MultiplyAdd(DType, Box<[Code; 3]>),
    /// An accumulator at another scale.
    Requantize(Rounding, Box<[Code; 3]>),
}

/// Where in a tensor an access lands.
#[derive(Debug)]
pub enum Place {
    /// Always inside: one affine function of the loops.
    Inside(Affine),
    /// May be outside: each dimension is tested. Index, extent and stride of each.
    Tested(Vec<(Affine, i64, i64)>),
}

/// An index with its loops' positions, and what is not affine in it.
#[derive(Debug)]
pub struct Affine {
    loops: Vec<(usize, i64)>,
    constant: i64,
    others: Vec<(Deep, i64)>,
}

#[derive(Debug)]
enum Deep {
    Div(Affine, i64),
    Mod(Affine, i64),
    Read(TensorId, Place),
}

/// Compiles the expressions of one scope.
#[derive(Debug)]
pub struct Compiler<'a> {
    /// Types and shapes of what is read.
    pub scope: &'a Scope<'a>,
}

impl Compiler<'_> {
    /// Compiles an expression.
    pub fn code(&self, expression: &Expr) -> Code {
        let boxed = |e: &Expr| Box::new(self.code(e));
        let three = |e: &[Expr; 3]| Box::new([self.code(&e[0]), self.code(&e[1]), self.code(&e[2])]);
        match expression {
            Expr::Literal(_, value) => Code::Literal(*value),
            Expr::Index(index) => Code::Index(self.affine(index)),
            Expr::Read(Access { tensor, at, outside }) => {
                Code::Read(*tensor, self.place(*tensor, at, *outside), *outside)
            }
            Expr::Unary(operation, a) => Code::Unary(*operation, self.scope.type_of(a), boxed(a)),
            Expr::Binary(operation, a, b) => {
                Code::Binary(*operation, self.scope.type_of(a), Box::new([self.code(a), self.code(b)]))
            }
            Expr::Select(abc) => Code::Select(three(abc)),
            Expr::Cast(to, a) => Code::Cast(self.scope.type_of(a), *to, boxed(a)),
            Expr::MultiplyAdd(abc) => Code::MultiplyAdd(self.scope.type_of(&abc[0]), three(abc)),
            Expr::Requantize(rounding, abc) => Code::Requantize(*rounding, three(abc)),
            Expr::Stop(a) => self.code(a),
        }
    }

    /// Where a read lands. Without an `outside` it is inside, as the verifier has shown.
    pub fn place(&self, tensor: TensorId, at: &[Index], outside: Option<Value>) -> Place {
        if outside.is_some() {
            return self.tested(tensor, at);
        }
        let strides = row_major_strides(self.scope.tensor(tensor).shape);
        Place::Inside(
            self.affine(&at.iter().zip(&strides).fold(Index::default(), |sum, (i, s)| sum + i.clone() * *s)),
        )
    }

    /// A place that may be outside of the tensor.
    pub fn tested(&self, tensor: TensorId, at: &[Index]) -> Place {
        let shape = self.scope.tensor(tensor).shape;
        let strides = row_major_strides(shape);
        Place::Tested(
            at.iter().zip(shape).zip(strides).map(|((i, &n), s)| (self.affine(i), n as i64, s)).collect(),
        )
    }

    /// Compiles an index.
    pub fn affine(&self, index: &Index) -> Affine {
        let mut affine = Affine { loops: vec![], constant: index.offset(), others: vec![] };
        for (atom, factor) in index.terms() {
            let deep = match atom {
                Atom::Loop(id) => {
                    affine.loops.push((id.0 as usize, *factor));
                    continue;
                }
                Atom::Div(inner, n) => Deep::Div(self.affine(inner), *n),
                Atom::Mod(inner, n) => Deep::Mod(self.affine(inner), *n),
                Atom::Read(tensor, at) => Deep::Read(*tensor, self.place(*tensor, at, None)),
            };
            affine.others.push((deep, *factor));
        }
        affine
    }
}

impl Place {
    /// The position of the element at the point `at`; nothing where a tested place is outside.
    pub fn offset(&self, elements: &impl Elements, at: &[i64]) -> Result<Option<i64>, OutOfRange> {
        match self {
            Place::Inside(affine) => affine.evaluate(elements, at).map(Some),
            Place::Tested(dimensions) => {
                let mut offset = 0;
                for (affine, extent, stride) in dimensions {
                    let i = affine.evaluate(elements, at)?;
                    if i < 0 || i >= *extent {
                        return Ok(None);
                    }
                    offset += i * stride;
                }
                Ok(Some(offset))
            }
        }
    }

    fn read(
        &self,
        tensor: TensorId,
        elements: &impl Elements,
        at: &[i64],
    ) -> Result<Option<Value>, OutOfRange> {
        match self.offset(elements, at)? {
            Some(offset) => elements.get(tensor, offset).map(Some).ok_or(OutOfRange { tensor, offset }),
            None => Ok(None),
        }
    }
}

impl Affine {
    /// The value at the point `at`.
    pub fn evaluate(&self, elements: &impl Elements, at: &[i64]) -> Result<i64, OutOfRange> {
        let affine = self.loops.iter().fold(self.constant, |sum, (l, factor)| sum + at[*l] * factor);
        self.others
            .iter()
            .try_fold(affine, |sum, (deep, factor)| Ok(sum + deep.evaluate(elements, at)? * factor))
    }
}

impl Deep {
    fn evaluate(&self, elements: &impl Elements, at: &[i64]) -> Result<i64, OutOfRange> {
        Ok(match self {
            Deep::Div(inner, n) => inner.evaluate(elements, at)?.div_euclid(*n),
            Deep::Mod(inner, n) => inner.evaluate(elements, at)?.rem_euclid(*n),
            Deep::Read(tensor, place) => place.read(*tensor, elements, at)?.map_or(0, Value::as_i64),
        })
    }
}

impl Code {
    /// The value at the point `at`: the values of all loops.
    pub fn evaluate(&self, elements: &impl Elements, at: &[i64]) -> Result<Value, OutOfRange> {
        Ok(match self {
            Code::Literal(value) => *value,
            Code::Index(affine) => Value::Int(affine.evaluate(elements, at)?),
            Code::Read(tensor, place, outside) => match (place.read(*tensor, elements, at)?, outside) {
                (Some(value), _) => value,
                (None, Some(value)) => *value,
                (None, None) => return Err(OutOfRange { tensor: *tensor, offset: -1 }),
            },
            Code::Unary(operation, dtype, a) => {
                arithmetic::unary(*operation, *dtype, a.evaluate(elements, at)?)
            }
            Code::Binary(operation, dtype, ab) => {
                let a = ab[0].evaluate(elements, at)?;
                arithmetic::binary(*operation, *dtype, a, ab[1].evaluate(elements, at)?)
            }
            Code::Select(abc) => match abc[0].evaluate(elements, at)? {
                Value::Int(0) => abc[2].evaluate(elements, at)?,
                _ => abc[1].evaluate(elements, at)?,
            },
            Code::Cast(from, to, a) => arithmetic::cast(a.evaluate(elements, at)?, *from, *to),
            Code::MultiplyAdd(dtype, abc) => {
                let [a, b, c] = [0, 1, 2].map(|i| abc[i].evaluate(elements, at));
                arithmetic::multiply_add(*dtype, a?, b?, c?)
            }
            Code::Requantize(rounding, abc) => {
                let [value, multiplier, exponent] = [0, 1, 2].map(|i| abc[i].evaluate(elements, at));
                arithmetic::requantize(*rounding, value?, multiplier?, exponent?)
            }
        })
    }
}

/// The distance between neighbours along each dimension of a dense row-major tensor, in elements.
pub fn row_major_strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d] as i64;
    }
    strides
}
