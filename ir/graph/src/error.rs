//! What can be wrong with a graph, or with a model's meaning.

/// An error of this crate. It names the node or value and says whose fault it is.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// The model is well-formed, but asks for something that is not supported.
    #[error("node `{node}` ({operator}): {reason}")]
    Unsupported {
        /// The node's name in the model.
        node: String,
        /// The operator as the framework spells it.
        operator: String,
        /// What is not supported, and what to do about it.
        reason: String,
    },
    /// The model contradicts its own format or operator specification.
    #[error("node `{node}` ({operator}): {problem}")]
    Malformed {
        /// The node's name in the model.
        node: String,
        /// The operator as the framework spells it.
        operator: String,
        /// The broken rule.
        problem: String,
    },
    /// A rule about the graph as a whole is broken: a name, an input, an output.
    #[error("{place}: {problem}")]
    Invalid {
        /// The value, input or output.
        place: String,
        /// The broken rule.
        problem: String,
    },
    /// An extent that the model leaves open.
    #[error("input `{input}` leaves its dimension `{dimension}` open: fix it with `--dim {dimension}=N`")]
    OpenDimension {
        /// The input's name.
        input: String,
        /// The dimension's name.
        dimension: String,
    },
    /// A node asks for more than a limit allows.
    #[error(transparent)]
    Limit(#[from] crate::limits::LimitHit),
    /// Several errors, all of them.
    #[error("{}", .0.iter().map(Error::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Error>),
    /// A program that an operator defines breaks a rule of index notation: a bug of that operator.
    #[error(transparent)]
    Index(#[from] nablac_index::Error),
}

impl Error {
    /// Whether all that is wrong is that something is not supported.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Error::Unsupported { .. } => true,
            Error::Several(errors) => errors.iter().all(Error::is_unsupported),
            _ => false,
        }
    }

    fn parts(self) -> Vec<Error> {
        match self {
            Error::Several(errors) => errors,
            error => vec![error],
        }
    }

    /// One error for many; a single one stays itself.
    pub fn several(mut errors: Vec<Error>) -> Error {
        match errors.len() {
            1 => errors.remove(0),
            _ => Error::Several(errors.into_iter().flat_map(Error::parts).collect()),
        }
    }
}
