//! What can go wrong while a TFLite file is read, and whose fault it is.

use std::io;
use std::path::PathBuf;

use nablac_graph::limits::{Fault, FileError, LimitHit};

/// Why a TFLite file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not a flatbuffer of the shape that TFLite has.
    #[error("not a TFLite model: at byte {offset}, in {place}: {problem}")]
    Bytes {
        /// Where in the file.
        offset: usize,
        /// The table or field that is being read.
        place: String,
        /// What was expected and what is there.
        problem: String,
    },
    /// The tables contradict each other.
    #[error("malformed TFLite model: {place}: {problem}")]
    Model {
        /// The part of the model: ``tensor `w` ``.
        place: String,
        /// What was expected and what is there.
        problem: String,
    },
    /// A well-formed model asks for what is not supported. All that was found.
    #[error("unsupported: {}", .0.join("; "))]
    Unsupported(Vec<String>),
    /// A limit was hit.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Bytes { .. } | Error::Model { .. } => Fault::Malformed,
            Error::Unsupported(_) => Fault::Unsupported,
            Error::Limit(_) => Fault::Limit,
            Error::Io { .. } => Fault::Io,
        }
    }

    pub(crate) fn bytes(offset: usize, place: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Bytes { offset, place: place.into(), problem: problem.into() }
    }

    pub(crate) fn model(place: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Model { place: place.into(), problem: problem.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Error {
        Error::Unsupported(vec![what.into()])
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Error {
        match error {
            FileError::Io { path, source } => Error::Io { path, source },
            FileError::Limit(hit) => Error::Limit(hit),
        }
    }
}
