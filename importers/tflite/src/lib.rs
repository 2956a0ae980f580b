//! Reads TFLite files into the framework-neutral node list.
//!
//! Owns the file format: flatbuffer tables, buffers, quantization parameters, operator codes and options, and
//! subgraphs. It does not know what any operator means.
//!
//! The tables are read by a small checked reader of this crate's own, field by field, with the schema's slots
//! beside each name. Code generated from the schema would be some 20 000 lines of which few are needed, and the
//! `flatbuffers` runtime that it calls reads through `unsafe`, trusting a verifier that ran before.
//!
//! - Attributes have the schema's field names; enumerators are integers. A field that is left out has the schema's
//!   default; an operator without options has no attributes; a list that is left out is absent.
//! - `FLOAT16` and `BFLOAT16` constants become `F32`, which is exact.
//! - A constant of integers that stand for real numbers stays what it is, beside its quantization.
//! - Subgraphs that control flow names become attributes (`then_subgraph_index` is the graph itself). Each may be
//!   named once.
//! - Value names are the tensors' names, made unique where the file has two equal ones or none. Operators have no
//!   names in the file; they are `CONV_2D_3`, counted within their subgraph.

#![forbid(unsafe_code)]

mod error;
mod flatbuffer;
mod graph;
mod model;
mod operators;
mod options;
mod tensor;

#[cfg(test)]
mod tests;

use std::path::Path;

use nablac_graph::limits::{Limit, Limits, read_file};
use nablac_graph::source::SourceModel;

pub use error::Error;

/// The mark of the format, behind the first offset.
const IDENTIFIER: &[u8] = b"TFL3";

/// Whether `bytes` bear the mark of the format.
pub fn recognizes(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(IDENTIFIER)
}

/// The model in a file.
pub fn read(path: &Path, limits: &Limits) -> Result<SourceModel, Error> {
    parse(&read_file(path, limits)?, limits)
}

/// The model in `bytes`.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<SourceModel, Error> {
    limits.check(Limit::FileBytes, bytes.len() as u64, || "the model".into())?;
    if !recognizes(bytes) {
        let problem = match bytes.len() {
            0 => "the file is empty".into(),
            length @ 1..8 => format!("the file ends after {length} bytes, before the mark `TFL3`"),
            _ => "the mark `TFL3` is expected".into(),
        };
        return Err(Error::bytes(bytes.len().min(4), "the file's head", problem));
    }
    model::import(bytes, limits)
}
