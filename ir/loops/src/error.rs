//! What can be wrong with loop nests, their text, or the way to them.

/// An error of this crate. It names the kernel, buffer or statement.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// A rule of the language is broken.
    #[error("{place}: {problem}")]
    Invalid {
        /// The kernel, buffer or statement.
        place: String,
        /// The broken rule.
        problem: String,
    },
    /// The text does not follow the grammar, or an input does not fit.
    #[error(transparent)]
    Index(#[from] nablac_index::Error),
}

impl Error {
    pub(crate) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Invalid { place: place.into(), problem: problem.into() }
    }
}
