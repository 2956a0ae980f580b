//! Real models, from the folder that `NABLAC_MODELS` names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nablac_graph::limits::{Fault, Limits};
use nablac_graph::source::{SourceAttribute, SourceDim, SourceModel, SourceNode};
use nablac_index::DType;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("NABLAC_MODELS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: NABLAC_MODELS is not set; real TFLite models are not read");
    }
    folder
}

fn read(folder: &Path, name: &str) -> SourceModel {
    nablac_tflite::read(&folder.join(name), &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn operators(model: &SourceModel) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    model.nodes.iter().for_each(|node| *counts.entry(node.operator.as_str()).or_default() += 1);
    counts
}

#[track_caller]
fn assert_ints(node: &SourceNode, expected: &[(&str, i64)]) {
    let ints = node.attributes.iter().map(|(name, value)| match value {
        SourceAttribute::Int(value) => (name.as_str(), *value),
        other => panic!("{name}: {other:?}"),
    });
    assert_eq!(ints.collect::<BTreeMap<_, _>>(), expected.iter().copied().collect());
}

/// File, operators, constants, tensors with a scale.
const INVENTORY: &[(&str, usize, usize, usize)] = &[
    ("ad/fp32.tflite", 10, 20, 0),
    ("ad/int8.tflite", 10, 20, 31),
    ("kws/fp32.tflite", 13, 21, 5),
    ("kws/int8.tflite", 13, 21, 34),
    ("resnet8/fp32.tflite", 16, 21, 0),
    ("resnet8/int8.tflite", 16, 21, 37),
    ("vww/fp32.tflite", 31, 57, 0),
    ("vww/int8.tflite", 31, 57, 88),
];

#[test]
fn all_files_are_read() {
    let Some(folder) = folder() else { return };
    for &(name, nodes, constants, quantized) in INVENTORY {
        let model = read(&folder, name);
        let counts = (model.nodes.len(), model.constants.len(), model.quantization.len());
        assert_eq!(counts, (nodes, constants, quantized), "{name}");
        assert_eq!((model.inputs.len(), model.outputs.len()), (1, 1), "{name}");
        let values = model.nodes.iter().flat_map(|node| &node.outputs);
        assert!(values.clone().all(|name| model.dtypes.contains_key(name)), "{name}");
    }
}

#[test]
fn the_keyword_network_has_its_operators() {
    let Some(folder) = folder() else { return };
    let model = read(&folder, "kws/fp32.tflite");
    let expected = [
        ("AVERAGE_POOL_2D", 1),
        ("CONV_2D", 5),
        ("DEPTHWISE_CONV_2D", 4),
        ("FULLY_CONNECTED", 1),
        ("RESHAPE", 1),
        ("SOFTMAX", 1),
    ];
    assert_eq!(operators(&model), BTreeMap::from(expected));
    assert_eq!((model.inputs[0].name.as_str(), model.outputs[0].name.as_str()), ("input_1", "Identity"));
    assert_eq!(model.inputs[0].shape, Some([1, 49, 10, 1].map(SourceDim::Fixed).to_vec()));
    let [conv, depthwise, ..] = &model.nodes[..] else { panic!("nodes") };
    let shared = [
        ("padding", 0),
        ("fused_activation_function", 1),
        ("dilation_w_factor", 1),
        ("dilation_h_factor", 1),
    ];
    assert_ints(
        conv,
        &[&shared[..], &[("stride_w", 2), ("stride_h", 2), ("quantized_bias_type", 0)]].concat(),
    );
    assert_ints(
        depthwise,
        &[&shared[..], &[("stride_w", 1), ("stride_h", 1), ("depth_multiplier", 1)]].concat(),
    );
    assert_eq!((conv.name.as_str(), conv.version), ("CONV_2D_0", 2));
    let softmax = model.nodes.last().unwrap();
    assert!(matches!(softmax.attributes["beta"], SourceAttribute::Float(1.0)));
}

#[test]
fn a_dynamic_range_file_keeps_its_integers_and_their_scales() {
    let Some(folder) = folder() else { return };
    let model = read(&folder, "kws/fp32.tflite");
    let weights = "functional_1/conv2d/Conv2D";
    assert_eq!(
        (model.constants[weights].dtype(), model.constants[weights].shape()),
        (DType::I8, &[64, 10, 4, 1][..])
    );
    let quantization = &model.quantization[weights];
    assert_eq!((&quantization.scales, &quantization.zero_points), (&vec![0.0020227544], &vec![0]));
    assert_eq!(model.inputs[0].dtype, Some(DType::F32));
    assert!(model.dtypes.values().all(|&dtype| dtype == DType::F32));
}

#[test]
fn a_quantized_network_has_scales_along_an_axis() {
    let Some(folder) = folder() else { return };
    let model = read(&folder, "kws/int8.tflite");
    let input = &model.quantization["input_1"];
    assert_eq!((&input.scales, &input.zero_points), (&vec![0.5847029], &vec![83]));
    let weights = &model.nodes[1].inputs[1];
    let depthwise = &model.quantization[weights];
    assert_eq!(
        (depthwise.scales.len(), depthwise.axis, model.constants[weights].shape()),
        (64, 3, &[1, 3, 3, 64][..])
    );
    assert_eq!(model.dtypes["Identity"], DType::I8);
}

#[test]
fn a_real_file_that_breaks_off_is_malformed() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(folder.join("kws/int8.tflite")).unwrap();
    for length in (0..bytes.len()).step_by(97) {
        let error = nablac_tflite::parse(&bytes[..length], &Limits::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Malformed, "{length}: {error}");
    }
}
