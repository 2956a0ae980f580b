//! A model as its file says it: the framework-neutral node list that importers produce.
//!
//! Owns the meeting point of file formats and operators. An importer knows bytes and fills this in; the
//! operators' own files know what a framework's node means and turn it into graph nodes.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::{Array, DType};

use crate::quantization::Quantization;

/// The framework whose vocabulary a node list speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Framework {
    /// Open Neural Network Exchange.
    Onnx,
    /// TensorFlow Lite, now LiteRT.
    Tflite,
    /// PyTorch's ATen operators.
    Torch,
}

/// One graph as the file holds it. Names are unique within it and among the outer names that it can see.
#[derive(Clone, Debug, Default)]
pub struct SourceModel {
    /// The graph's name; may be empty.
    pub name: String,
    /// What the caller gives, in order.
    pub inputs: Vec<SourceTensor>,
    /// What the caller gets, in order. The shape may be absent: it follows from the nodes.
    pub outputs: Vec<SourceTensor>,
    /// Weights and other constants by value name.
    pub constants: BTreeMap<String, Array>,
    /// The constants of integers that have fewer bits in the file than their element type has here.
    pub packed: BTreeSet<String>,
    /// How integers of a tensor stand for reals, by value name, where the file says so.
    pub quantization: BTreeMap<String, Quantization>,
    /// The nodes, in the file's order (importers do not sort).
    pub nodes: Vec<SourceNode>,
    /// The element types of values that nodes compute, by value name, for those that the file says so of. TFLite
    /// states them all, and where its options are silent they alone say what a node converts to.
    pub dtypes: BTreeMap<String, DType>,
}

/// A named input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceTensor {
    /// The name in the file.
    pub name: String,
    /// The element type, where the file says it.
    pub dtype: Option<DType>,
    /// The extents, where the file says the rank.
    pub shape: Option<Vec<SourceDim>>,
}

/// One extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceDim {
    /// Known.
    Fixed(usize),
    /// Left open under a name (`batch`), empty when the file gives none; `--dim NAME=N` fixes it.
    Named(String),
}

/// One operator application.
#[derive(Clone, Debug)]
pub struct SourceNode {
    /// The node's name in the file; importers make one up (`Conv_3`) where it is empty.
    pub name: String,
    /// Whose vocabulary `operator` and `attributes` are of.
    pub framework: Framework,
    /// The operator's name in that vocabulary: `Conv`, `CONV_2D`; with a domain other than the default one, `domain::Name`.
    pub operator: String,
    /// The operator set version (ONNX) or operator version (TFLite).
    pub version: i64,
    /// Value names; an empty name is an omitted optional input.
    pub inputs: Vec<String>,
    /// Value names; an empty name is an output that nobody reads.
    pub outputs: Vec<String>,
    /// Attributes by the framework's own name.
    pub attributes: BTreeMap<String, SourceAttribute>,
}

/// An attribute's value.
#[derive(Clone, Debug)]
pub enum SourceAttribute {
    /// An integer, a boolean (0 or 1) or an enumerator.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Text(String),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of floats.
    Floats(Vec<f64>),
    /// A list of texts.
    Texts(Vec<String>),
    /// A tensor.
    Tensor(Array),
    /// A subgraph: a branch of If, the body of Loop or Scan. Its constants and nodes may refer to outer names.
    Graph(Box<SourceModel>),
}
