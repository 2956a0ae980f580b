//! What can keep a program from becoming C.

/// An error of this crate. It names the buffer, kernel or option.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// The program breaks a rule of loop nests.
    #[error(transparent)]
    Loops(#[from] nablac_loops::Error),
    /// A buffer has no place in the arena: the memory plan has not run.
    #[error("buffer `{buffer}` has no place in the arena")]
    Unplanned {
        /// The buffer.
        buffer: String,
    },
    /// A buffer's place does not suit its element type.
    #[error("buffer `{buffer}` of {dtype} lies at {offset}, which is no multiple of its element's size")]
    Misaligned {
        /// The buffer.
        buffer: String,
        /// Its element type.
        dtype: nablac_index::DType,
        /// Its place.
        offset: usize,
    },
    /// Two buffers that a kernel uses share memory under types that C keeps apart.
    #[error(
        "kernel `{kernel}` reaches the same bytes as `{first}` and as `{second}`, whose types C takes to be distinct"
    )]
    Overlap {
        /// The kernel.
        kernel: String,
        /// One buffer.
        first: String,
        /// The other.
        second: String,
    },
    /// An index may leave the 32 bits in which the generated code computes it.
    #[error("kernel `{kernel}`: the index `{index}` may leave 32 bits")]
    TooLarge {
        /// The kernel.
        kernel: String,
        /// The index.
        index: String,
    },
    /// An option can't be written into C text.
    #[error("{option} can't be `{value}`: {rule}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What was given.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The constants do not fit into a file of their own.
    #[error("the weights take {bytes} bytes, and a file of them has less than 4 GiB")]
    Weights {
        /// What the file would have.
        bytes: usize,
    },
    /// A golden vector does not have the program's inputs and outputs.
    #[error("golden vector {position} does not have the program's inputs and outputs")]
    Vector {
        /// Which one, from 0.
        position: usize,
    },
}
