//! What can be wrong with a machine: its name, its file, or what the file says.

use std::path::PathBuf;

/// Why a machine could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a machine of that name nor a file of that path exists.
    #[error("no machine is named `{name}`, and no such file exists; {}", suggestion(near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names close to it, the closest first; every name if none is close.
        near: Vec<String>,
    },
    /// A machine file could not be read.
    #[error("cannot read the machine file `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A machine file is not TOML, or has an unknown, missing or ill-typed key.
    #[error("the machine file `{file}` is malformed: {message}")]
    Malformed {
        /// The file, or the built-in machine's name.
        file: String,
        /// What the parser said, with line and column.
        message: String,
    },
    /// A machine names a library of instructions that does not exist, or does not read.
    #[error("the instructions `{name}`: {message}")]
    Instructions {
        /// The library's name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A machine file reads well but describes no possible machine.
    #[error("the machine file `{file}` is inconsistent: {reason}")]
    Inconsistent {
        /// The file, or the built-in machine's name.
        file: String,
        /// What contradicts what.
        reason: String,
    },
}

fn suggestion(near: &[String]) -> String {
    format!("did you mean one of {}?", near.join(", "))
}
