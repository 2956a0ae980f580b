//! What can be wrong with a program of index notation, or with its text.

use crate::array::Array;

/// An error of this crate. It names the tensor, statement or place in the text.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// The text does not follow the grammar.
    #[error("line {line}, column {column}: expected {expected}, found {found}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the grammar asks for here.
        expected: String,
        /// What stands here.
        found: String,
    },
    /// A rule of the language is broken.
    #[error("{place}: {problem}")]
    Invalid {
        /// The statement, tensor or repetition.
        place: String,
        /// The broken rule.
        problem: String,
    },
    /// An array given to the interpreter does not match the program.
    #[error("input `{name}` is {expected}, but was given {given:?}")]
    Input {
        /// The input's name.
        name: String,
        /// Its type and shape.
        expected: String,
        /// What came.
        given: Option<Array>,
    },
}

impl Error {
    pub(crate) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Invalid { place: place.into(), problem: problem.into() }
    }
}
