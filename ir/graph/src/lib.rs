//! Operator graphs: WHICH operators a network applies.
//!
//! Owns graphs and their text, verifier, interpreter and rewrites, one file per operator, and the step from a framework's
//! node list to a graph and from a graph to index notation. Knows nothing of file formats or of machines.

pub mod define;
mod error;
mod fold;
mod graph;
pub mod half;
pub mod import;
mod interpret;
pub mod limits;
pub mod names;
pub mod operator;
pub mod ops;
mod parse;
mod print;
pub mod quantization;
mod rewrite;
pub mod source;
mod verify;

pub use define::define;
pub use error::Error;
pub use fold::fold_constants;
pub use graph::{Graph, Node, Quantized, Value, ValueId};
pub use import::import;
pub use interpret::run;
pub use operator::Operator;
pub use parse::{parse, parse_graph, parse_with};
pub use print::KEYWORDS;
pub use quantization::{Quantization, Requantization};
pub use rewrite::{fold_batch_normalization, fuse_quantization, remove_unread, resolve_branches};
pub use verify::verify;
