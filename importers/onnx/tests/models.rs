//! Real models, from the folder that `NABLAC_MODELS` names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nablac_graph::limits::{Fault, Limits};
use nablac_graph::source::{SourceAttribute, SourceDim, SourceModel};
use nablac_index::DType;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("NABLAC_MODELS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: NABLAC_MODELS is not set; real ONNX models are not read");
    }
    folder
}

fn read(folder: &Path, name: &str) -> SourceModel {
    nablac_onnx::read(&folder.join(name), &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn operators(model: &SourceModel) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    model.nodes.iter().for_each(|node| *counts.entry(node.operator.as_str()).or_default() += 1);
    counts
}

/// File, nodes, constants.
const INVENTORY: &[(&str, usize, usize)] = &[
    ("ad/fp32.onnx", 29, 20),
    ("ad/int8_qdq.onnx", 69, 56),
    ("kws/fp32.onnx", 24, 22),
    ("kws/int8_qdq.onnx", 68, 61),
    ("resnet8/fp32.onnx", 25, 21),
    ("resnet8/int8_qdq.onnx", 75, 69),
    ("vww/fp32.onnx", 60, 57),
    ("vww/int8_qdq.onnx", 176, 159),
];

#[test]
fn all_files_are_read() {
    let Some(folder) = folder() else { return };
    for &(name, nodes, constants) in INVENTORY {
        let model = read(&folder, name);
        assert_eq!((model.nodes.len(), model.constants.len()), (nodes, constants), "{name}");
        assert_eq!((model.inputs.len(), model.outputs.len()), (1, 1), "{name}");
        assert!(model.nodes.iter().all(|node| node.version == 17), "{name}");
    }
}

#[test]
fn the_residual_network_has_its_operators() {
    let Some(folder) = folder() else { return };
    let model = read(&folder, "resnet8/fp32.onnx");
    let expected = [
        ("Add", 4),
        ("AveragePool", 1),
        ("Conv", 9),
        ("MatMul", 1),
        ("Relu", 7),
        ("Reshape", 1),
        ("Softmax", 1),
        ("Transpose", 1),
    ];
    assert_eq!(operators(&model), BTreeMap::from(expected));
    assert_eq!(model.inputs[0].name, "input_1");
    assert_eq!(model.inputs[0].dtype, Some(DType::F32));
    assert_eq!(model.inputs[0].shape, Some([1, 32, 32, 3].map(SourceDim::Fixed).to_vec()));
    assert_eq!(model.outputs[0].name, "Identity");
    let transpose = &model.nodes[0].attributes["perm"];
    assert!(matches!(transpose, SourceAttribute::Ints(perm) if perm == &[0, 3, 1, 2]), "{transpose:?}");
}

#[test]
fn the_quantized_network_has_its_scales() {
    let Some(folder) = folder() else { return };
    let model = read(&folder, "vww/int8_qdq.onnx");
    assert_eq!(model.inputs[0].name, "input_1_int8");
    assert_eq!(model.inputs[0].dtype, Some(DType::I8));
    assert_eq!(operators(&model)["DequantizeLinear"], 86);
    assert_eq!(operators(&model)["QuantizeLinear"], 30);
    let weights = model.constants.values().filter(|a| a.dtype() == DType::I8 && a.shape().len() == 4);
    assert_eq!(weights.count(), 27);
}

#[test]
fn a_real_file_that_breaks_off_is_malformed() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(folder.join("kws/fp32.onnx")).unwrap();
    for length in (0..bytes.len()).step_by(997) {
        let error = nablac_onnx::parse(&bytes[..length], None, &Limits::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Malformed, "{length}: {error}");
    }
}
