//! A model file, read into the framework-neutral node list.
//!
//! Owns which format a file has: found by its content first, by its name only to word the error. The formats themselves
//! are the importers'.

use std::fmt;
use std::path::{Path, PathBuf};

use nablac_graph::limits::{Limits, read_file};
use nablac_graph::source::SourceModel;
use sha2::{Digest, Sha256};

use crate::failure::{Code, Failure, Result};

/// A file format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Open Neural Network Exchange: protobuf.
    Onnx,
    /// TensorFlow Lite: flatbuffers.
    Tflite,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Format::Onnx => "ONNX",
            Format::Tflite => "TFLite",
        })
    }
}

/// A model as its file says it.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// What it holds.
    pub source: SourceModel,
}

/// Reads a model within `limits`.
pub fn read(path: &Path, limits: &Limits) -> Result<Model> {
    let bytes = read_file(path, limits)?;
    let format = format_of(path, &bytes)?;
    let source = match format {
        Format::Tflite => nablac_tflite::parse(&bytes, limits)?,
        Format::Onnx => nablac_onnx::parse(&bytes, Some(folder_of(path)), limits)?,
    };
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Model { path: path.to_path_buf(), format, sha256, source })
}

/// TFLite marks its files. ONNX does not, so that whatever else is not called `.tflite` counts as ONNX.
fn format_of(path: &Path, bytes: &[u8]) -> Result<Format> {
    if bytes.is_empty() {
        return Err(Failure::new(Code::Format, format!("{} is empty", path.display())));
    }
    let called_tflite = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tflite"));
    Ok(if nablac_tflite::recognizes(bytes) || called_tflite { Format::Tflite } else { Format::Onnx })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Model {
    /// The file's name without its extension: what the model is called when nobody says otherwise.
    pub fn stem(&self) -> String {
        self.path.file_stem().map_or("model".into(), |stem| stem.to_string_lossy().into_owned())
    }

    /// The number of elements of all constants.
    pub fn parameters(&self) -> usize {
        self.source.constants.values().map(nablac_index::Array::len).sum()
    }

    /// `ONNX opset 17, 9 nodes, 3842 parameters`.
    pub fn summary(&self) -> String {
        let version = self.source.nodes.iter().map(|node| node.version).max();
        let version = match (self.format, version) {
            (Format::Onnx, Some(version)) => format!(" opset {version}"),
            _ => String::new(),
        };
        let [nodes, parameters] = [self.source.nodes.len(), self.parameters()];
        format!("{}{version}, {nodes} nodes, {parameters} parameters", self.format)
    }
}
