//! Networks that the tests of this module share.

use nablac_graph::source::{Framework, SourceAttribute, SourceModel, SourceNode, SourceTensor};
use nablac_index::{Array, DType};

use super::affine::floats;
use super::network::Network;
use crate::samples::Port;

/// Numbers between -1 and 1 without a pattern.
pub fn noise(shape: &[usize], seed: usize) -> Array {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|n| ((n * 7919 + seed * 31) % 1009) as f32 / 504.5 - 1.0).collect();
    Array::from_f32(shape, &values)
}

/// A node of operator set 17 that writes one value and bears its name.
pub fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[(&str, SourceAttribute)],
) -> SourceNode {
    SourceNode {
        name: output.into(),
        framework: Framework::Onnx,
        operator: operator.into(),
        version: 17,
        inputs: inputs.iter().map(|name| name.to_string()).collect(),
        outputs: vec![output.into()],
        attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
    }
}

/// A convolution, a depthwise one, a transposed one in groups, and a product behind a Flatten; one channel is dead.
pub fn network() -> Network {
    let groups = |n| ("group", SourceAttribute::Int(n));
    let pads = ("pads", SourceAttribute::Ints(vec![1; 4]));
    let transposed = ("transB", SourceAttribute::Int(1));
    let mut first: Vec<f32> = floats(&noise(&[4, 2, 3, 3], 1)).collect();
    first.iter_mut().enumerate().for_each(|(at, w)| *w *= [100.0, 1.0, 0.01, 1e-14][at / 18]);
    let constants = [
        ("w1", Array::from_f32(&[4, 2, 3, 3], &first)),
        ("b1", Array::from_f32(&[4], &[3.0, -0.5, 0.25, 0.75])),
        ("wd", noise(&[4, 1, 3, 3], 2)),
        ("wt", noise(&[4, 3, 2, 2], 3)),
        ("bt", noise(&[6], 4)),
        ("v", noise(&[3, 6 * 36], 5)),
    ];
    let source = SourceModel {
        outputs: vec![SourceTensor { name: "y".into(), dtype: None, shape: None }],
        constants: constants.map(|(name, array)| (name.to_string(), array)).into(),
        nodes: vec![
            node("Conv", &["x", "w1", "b1"], "c1", std::slice::from_ref(&pads)),
            node("Relu", &["c1"], "r1", &[]),
            node("Conv", &["r1", "wd"], "c2", &[groups(4), pads]),
            node("Relu", &["c2"], "r2", &[]),
            node("ConvTranspose", &["r2", "wt", "bt"], "c3", &[groups(2)]),
            node("Relu", &["c3"], "r3", &[]),
            node("Flatten", &["r3"], "f", &[]),
            node("Gemm", &["f", "v"], "y", &[transposed]),
        ],
        ..SourceModel::default()
    };
    let port = Port { name: "x".into(), dtype: DType::F32, shape: vec![1, 2, 5, 5] };
    Network::new(&source, &[port]).unwrap()
}
