//! What can go wrong while an ONNX file is read, and whose fault it is.

use std::io;
use std::path::PathBuf;

use nablac_graph::limits::{Fault, FileError, LimitHit};

/// Why an ONNX file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not protobuf of the shape that ONNX has.
    #[error("not an ONNX model: at byte {offset}, in {place}: {problem}")]
    Wire {
        /// Where in the file.
        offset: usize,
        /// The message or field that is being read.
        place: String,
        /// What was expected and what is there.
        problem: String,
    },
    /// A field has the wrong wire type, or a text is not UTF-8.
    #[error("not an ONNX model: {0}")]
    Message(String),
    /// The messages contradict each other or the ONNX specification.
    #[error("malformed ONNX model: {place}: {problem}")]
    Model {
        /// The part of the model: ``tensor `w` ``.
        place: String,
        /// What was expected and what is there.
        problem: String,
    },
    /// External data may not lie where the model says.
    #[error("malformed ONNX model: external data of tensor `{tensor}` at `{location}`: {problem}")]
    External {
        /// The tensor.
        tensor: String,
        /// The path, as the model says it.
        location: String,
        /// Which rule it breaks.
        problem: String,
    },
    /// A well-formed model asks for what is not supported. All that was found.
    #[error("unsupported: {}", .0.join("; "))]
    Unsupported(Vec<String>),
    /// A limit was hit.
    #[error(transparent)]
    Limit(#[from] LimitHit),
    /// A file could not be read.
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
            Error::Wire { .. } | Error::Message(_) | Error::Model { .. } | Error::External { .. } => {
                Fault::Malformed
            }
            Error::Unsupported(_) => Fault::Unsupported,
            Error::Limit(_) => Fault::Limit,
            Error::Io { .. } => Fault::Io,
        }
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
