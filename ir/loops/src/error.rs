//! What can be wrong with loop nests, their text, or the way to them.

use crate::schedule::Place;

/// An error of this crate. It names the buffer, kernel or place in the text.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// The text does not follow the grammar, or an expression breaks a rule of index notation.
    #[error(transparent)]
    Index(#[from] nablac_index::Error),
    /// A rule of loop nests is broken.
    #[error("{place}: {problem}")]
    Invalid {
        /// The buffer, kernel or step.
        place: String,
        /// The broken rule.
        problem: String,
    },
    /// A schedule's text does not follow the grammar, or asks for what its kernel cannot have.
    #[error("{message}")]
    Schedule {
        /// Where in which text.
        place: Place,
        /// What is wrong with it.
        message: String,
    },
    /// An input cannot reach the program in the way that is asked for.
    #[error("{message}")]
    Delivery {
        /// Which input, and why.
        message: String,
    },
    /// The interpreter was given other inputs than the program has.
    #[error("the inputs are {expected}, but the interpreter was given {given}")]
    Inputs {
        /// Type and shape of each input.
        expected: String,
        /// Type and shape of what came.
        given: String,
    },
    /// A kernel reads or writes beyond the ends of a buffer.
    #[error("kernel `{kernel}` reaches element {offset} of `{buffer}`, which has {length}")]
    OutOfRange {
        /// The kernel.
        kernel: String,
        /// The buffer or register.
        buffer: String,
        /// The row-major position.
        offset: i64,
        /// The number of elements there are.
        length: usize,
    },
}

impl Error {
    pub(crate) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Invalid { place: place.into(), problem: problem.into() }
    }

    pub(crate) fn schedule(place: Place, message: impl Into<String>) -> Error {
        Error::Schedule { place, message: message.into() }
    }
}
