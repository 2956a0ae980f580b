//! Integer expressions of a space: over its choices, the extents of loops and the machine's registers.

use super::Name;
use crate::error::Error;

/// An integer expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Amount {
    /// An integer.
    Integer(i64),
    /// A choice, a loop (its extent), `regs.general`, `regs.float` or `threads`.
    Name(Name),
    /// Two of them.
    Binary(Operation, Box<(Amount, Amount)>),
}

/// An operation on integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`, rounded towards zero
    Div,
    /// `%`
    Rem,
}

impl From<usize> for Amount {
    fn from(value: usize) -> Amount {
        Amount::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl Operation {
    /// Every operation with its sign.
    pub(super) const ALL: &[(Operation, &str)] = &[
        (Operation::Add, "+"),
        (Operation::Sub, "-"),
        (Operation::Mul, "*"),
        (Operation::Div, "/"),
        (Operation::Rem, "%"),
    ];

    /// Whether it binds tighter than a sum.
    pub(super) fn is_product(self) -> bool {
        !matches!(self, Operation::Add | Operation::Sub)
    }

    fn apply(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Operation::Add => a.checked_add(b),
            Operation::Sub => a.checked_sub(b),
            Operation::Mul => a.checked_mul(b),
            Operation::Div => a.checked_div(b),
            Operation::Rem => a.checked_rem(b),
        }
    }
}

/// What the number of threads is called.
pub(super) const THREADS: &str = "threads";

impl Amount {
    /// The number of threads.
    pub fn threads() -> Amount {
        Amount::Name(THREADS.into())
    }

    /// The integer, where it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Amount::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// Its value where `of` gives those of names; `Ok(None)` where it has none, as `1 / 0`.
    pub(super) fn value(&self, of: &dyn Fn(&Name) -> Result<i64, Error>) -> Result<Option<i64>, Error> {
        Ok(match self {
            Amount::Integer(value) => Some(*value),
            Amount::Name(name) => Some(of(name)?),
            Amount::Binary(operation, sides) => match (sides.0.value(of)?, sides.1.value(of)?) {
                (Some(a), Some(b)) => operation.apply(a, b),
                _ => None,
            },
        })
    }
}
