//! Reads ONNX files into the framework-neutral node list, and writes edited ones.
//!
//! Owns the file format: protobuf messages, typed tensor data, external data, opset imports, local functions and
//! nested graphs. It does not know what any operator means. It reads IR versions 3 to 14 and the default domain's
//! opsets 7 to 28.
//!
//! The messages are Rust structs with `prost`'s derive, and only the fields that matter here: there is no
//! generated code, `protoc` or build script. The `onnx-protobuf` crate ends at IR version 10 and the element type
//! `INT4`, decodes every field whether it is read or not, is under another licence and brings a second protobuf
//! runtime. Before `prost` allocates anything, a scan of the bytes ([`Error::Wire`]) checks that every length lies
//! within its message, and counts nodes and nesting, so that a small file cannot ask for a large memory and an
//! error can say at which byte the file breaks.
//!
//! - `FLOAT16` and `BFLOAT16` constants become `F32`, which is exact.
//! - An initializer is a constant even when it is also listed among the graph's inputs.
//! - Calls of local functions are replaced by the function's nodes.
//! - `Constant` stays a node; its value is one of its attributes.

#![forbid(unsafe_code)]

mod document;
mod error;
mod external;
mod function;
mod model;
mod node;
mod proto;
mod tensor;
mod wire;

#[cfg(test)]
mod tests;

use std::path::Path;

use nablac_graph::limits::{Limits, read_file};
use nablac_graph::source::SourceModel;
use prost::Message;

pub use document::{Document, DocumentNode, Element};
pub use error::Error;

/// The model in a file. Its external data is looked for in the file's own folder.
pub fn read(path: &Path, limits: &Limits) -> Result<SourceModel, Error> {
    let bytes = read_file(path, limits)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    parse(&bytes, Some(folder), limits)
}

/// The model in `bytes`. `folder` is where its external data lies; without it, external data is unsupported.
pub fn parse(bytes: &[u8], folder: Option<&Path>, limits: &Limits) -> Result<SourceModel, Error> {
    limits.check(nablac_graph::limits::Limit::FileBytes, bytes.len() as u64, || "the model".into())?;
    wire::scan(bytes, limits)?;
    let model = proto::Model::decode(bytes).map_err(|error| Error::Message(error.to_string()))?;
    model::import(model, folder, limits, bytes.len() as u64)
}
