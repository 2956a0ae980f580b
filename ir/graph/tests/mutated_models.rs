//! A model may say anything: it is imported, or refused with an error that says why. Nothing panics.
//!
//! The models are those of `cases`, each with one of its numbers, names, types or lists changed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nablac_graph::Quantization;
use nablac_graph::import::Options;
use nablac_graph::limits::Limits;
use nablac_graph::source::{Framework, SourceAttribute, SourceDim, SourceModel, SourceNode, SourceTensor};
use nablac_graph::{Error, define, fold_constants, import, verify};
use nablac_index::{Array, DType, Value};
use serde_json::{Value as Json, json};

#[path = "support/model.rs"]
mod model;
#[path = "support/random.rs"]
mod random;

use random::Random;

const FILES: [&str; 3] = [
    include_str!("cases/elementwise.json"),
    include_str!("cases/shape.json"),
    include_str!("cases/control_flow.json"),
];

const NUMBERS: [i64; 12] =
    [0, 1, -1, 2, 3, -3, 7, 1 << 20, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN];

/// Changes one number, word or list somewhere within `json`; those that say what a value is are left alone.
fn mutate(random: &mut Random, json: &mut Json) {
    match json {
        Json::Number(_) => *json = json!(*random.pick(&NUMBERS)),
        Json::String(name) => {
            *name = random.pick(&["", "x", "y", "a", "kn", "Relu", "Pad", "Loop", "edge", "i64"]).to_string()
        }
        Json::Array(items) if items.is_empty() || random.below(8) == 0 => {
            if random.below(2) == 0 {
                items.pop()
            } else {
                items.first().cloned().inspect(|i| items.push(i.clone()))
            };
        }
        Json::Array(items) => {
            let place = random.below(items.len());
            mutate(random, &mut items[place]);
        }
        Json::Object(fields) if !fields.is_empty() => {
            let place = random.below(fields.len());
            let (name, field) = fields.iter_mut().nth(place).unwrap();
            if !["type", "framework", "float", "text", "operator"].contains(&name.as_str())
                || random.below(8) == 0
            {
                mutate(random, field);
            }
        }
        _ => {}
    }
}

/// Whether the array's values are as many as its shape asks for, everywhere in `json`.
fn is_readable(json: &Json) -> bool {
    let own = match (&json["values"], &json["shape"]) {
        (Json::Array(values), Json::Array(shape)) => {
            let extents: Option<Vec<u64>> = shape.iter().map(Json::as_u64).collect();
            let product = extents.and_then(|e| e.iter().try_fold(1u64, |n, &d| n.checked_mul(d)));
            product == Some(values.len() as u64)
        }
        _ => true,
    };
    own && match json {
        Json::Array(items) => items.iter().all(is_readable),
        Json::Object(fields) => fields.values().all(is_readable),
        _ => true,
    }
}

/// Imports, checks and folds a model as far as it goes.
fn compile(model: &Json, options: &Options) -> Result<(), Error> {
    let graph = import(&model::model(model), options)?;
    verify(&graph)?;
    nablac_index::verify(&define(&graph)?)?;
    let folded = fold_constants(graph);
    verify(&folded)?;
    nablac_index::verify(&define(&folded)?)?;
    Ok(())
}

#[test]
fn mutated_models_are_imported_or_refused() {
    let options = Options { limits: Limits { elements: 4096, ..Limits::default() }, ..Options::default() };
    let (mut accepted, mut refused) = (0, 0);
    for file in FILES {
        let cases: Vec<Json> = serde_json::from_str(file).unwrap();
        for (case, seed) in cases.iter().flat_map(|case| (0..20).map(move |seed| (case, seed))) {
            let mut model = case["model"].clone();
            mutate(&mut Random(seed), &mut model);
            // What the test's own reader can't read is no model.
            if !is_readable(&model) || catch_unwind(|| model::model(&model)).is_err() {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| compile(&model, &options))) {
                Ok(Ok(())) => accepted += 1,
                Ok(Err(Error::Index(error))) => panic!("{error}\n{model}"),
                Ok(Err(_)) => refused += 1,
                Err(_) => panic!("{model}"),
            }
        }
    }
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
}

/// A TFLite model with an input of four elements of type `dtype`, and the nodes given by operator, inputs and output.
fn tflite(dtype: DType, nodes: &[(&str, &[&str], &str)]) -> SourceModel {
    let shape = [1, 2, 2, 1].map(SourceDim::Fixed).to_vec();
    let node = |(operator, inputs, output): &(&str, &[&str], &str)| SourceNode {
        name: format!("{operator}_{output}"),
        framework: Framework::Tflite,
        operator: operator.to_string(),
        version: 1,
        inputs: inputs.iter().map(|name| name.to_string()).collect(),
        outputs: vec![output.to_string()],
        attributes: BTreeMap::from_iter(
            ["filter_height", "filter_width", "stride_h", "stride_w"]
                .map(|name| (name.to_string(), SourceAttribute::Int(1))),
        ),
    };
    let nodes: Vec<SourceNode> = nodes.iter().map(node).collect();
    let tensor =
        |name: &str| SourceTensor { name: name.into(), dtype: Some(dtype), shape: Some(shape.clone()) };
    SourceModel {
        inputs: vec![tensor("x")],
        outputs: nodes.last().map(|node| tensor(&node.outputs[0])).into_iter().collect(),
        nodes,
        ..SourceModel::default()
    }
}

/// Two sums and a rectifier on quantized values.
fn quantized_sums(scale: &Quantization) -> SourceModel {
    let nodes: [(&str, &[&str], &str); 3] =
        [("ADD", &["x", "x"], "y"), ("ADD", &["y", "w"], "z"), ("RELU", &["z"], "r")];
    let mut model = tflite(DType::I8, &nodes);
    let weights = Array::from_values(DType::I8, &[1, 2, 2, 1], [1, 2, 3, 4].map(Value::Int));
    model.constants.insert("w".into(), weights);
    for name in ["x", "y", "z", "r", "w"] {
        model.dtypes.insert(name.into(), DType::I8);
        model.quantization.insert(name.into(), scale.clone());
    }
    model
}

#[test]
fn scales_that_make_no_sense_are_named() {
    let good = Quantization { scales: vec![0.5], zero_points: vec![3], axis: 0 };
    import(&quantized_sums(&good), &Options::default()).unwrap();
    for (bad, problem) in [
        (Quantization { scales: vec![0.0], ..good.clone() }, "a scale of 0"),
        (Quantization { scales: vec![f32::NAN], ..good.clone() }, "a scale of NaN"),
        (Quantization { scales: vec![-1.0], ..good.clone() }, "a scale of -1"),
        (Quantization { zero_points: vec![128], ..good.clone() }, "a zero point of 128, which is no i8"),
        (Quantization { scales: vec![1.0; 2], zero_points: vec![0; 2], axis: 4 }, "scales along axis 4"),
        (Quantization { scales: vec![1.0; 3], zero_points: vec![0; 3], axis: 1 }, "3 scales along axis 1"),
        (Quantization { scales: vec![1.0; 2], zero_points: vec![0], axis: 1 }, "2 scales and 1 zero points"),
    ] {
        for place in ["x", "w", "z"] {
            let mut model = quantized_sums(&good);
            model.quantization.insert(place.into(), bad.clone());
            let error = import(&model, &Options::default()).unwrap_err().to_string();
            assert!(error.contains(problem) || error.contains("activations have one"), "{place}: {error}");
            assert!(error.contains(&format!("`{place}`")) || error.contains("ADD_"), "{place}: {error}");
        }
    }
    let mut model = quantized_sums(&good);
    model.quantization.remove("r");
    let error = import(&model, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("`RELU_r` (RELU)") && error.contains("its output has no scale"), "{error}");
}

#[test]
fn quantized_weights_beside_real_activations_are_dequantized() {
    let nodes: [(&str, &[&str], &str); 1] = [("ADD", &["x", "w"], "y")];
    let mut model = tflite(DType::F32, &nodes);
    let weights = Array::from_values(DType::I8, &[1, 2, 2, 1], [1, 2, 3, 4].map(Value::Int));
    model.constants.insert("w".into(), weights);
    model.quantization.insert("w".into(), Quantization { scales: vec![0.5], zero_points: vec![3], axis: 0 });
    let graph = import(&model, &Options::default()).unwrap();
    assert!(graph.to_string().contains("= dequantize($w, "), "{graph}");
}

#[test]
fn unpacking_makes_as_many_values_as_the_node_names() {
    let mut model = tflite(DType::F32, &[("UNPACK", &["x"], "y")]);
    let unpacked =
        |model: &SourceModel| import(model, &Options::default()).map_err(|error| error.to_string());
    assert!(unpacked(&model).is_ok()); // the first axis has one element
    model.inputs[0].shape = Some(vec![SourceDim::Fixed(1 << 30), SourceDim::Fixed(2)]);
    assert!(unpacked(&model).unwrap_err().contains("1 outputs, but axis 0 has 1073741824"));
}

#[test]
fn windows_over_booleans_are_refused() {
    let error =
        import(&tflite(DType::Bool, &[("MAX_POOL_2D", &["x"], "y")]), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}

#[test]
fn means_of_booleans_are_refused() {
    let error =
        import(&tflite(DType::Bool, &[("AVERAGE_POOL_2D", &["x"], "y")]), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    let mut model = tflite(DType::Bool, &[("MEAN", &["x", "axes"], "y")]);
    model.constants.insert("axes".into(), Array::from_values(DType::I32, &[1], [Value::Int(1)]));
    let error = import(&model, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}

#[test]
fn a_bias_at_another_scale_than_its_sum_is_refused() {
    let mut model = tflite(DType::I8, &[("FULLY_CONNECTED", &["x", "w", "b"], "y")]);
    let scale = |scales: &[f32]| {
        let zero_points = vec![0; scales.len()];
        Quantization { scales: scales.to_vec(), zero_points, axis: 0 }
    };
    let size = 8;
    let inner: usize = 4;
    model.constants.insert("w".into(), Array::from_values(DType::I8, &[2, inner], (0..size).map(Value::Int)));
    model.constants.insert("b".into(), Array::from_values(DType::I32, &[2], [7, -7].map(Value::Int)));
    for (name, q) in [("x", scale(&[0.5])), ("w", scale(&[0.25, 0.5])), ("y", scale(&[1.0]))] {
        model.quantization.insert(name.into(), q);
        model.dtypes.insert(name.into(), DType::I8);
    }
    let of = |bias: Quantization| {
        let mut model = model.clone();
        model.quantization.insert("b".into(), bias);
        import(&model, &Options::default()).map_err(|error| error.to_string())
    };
    of(scale(&[0.125, 0.25])).unwrap();
    let error = of(scale(&[0.125, 0.5])).unwrap_err();
    assert!(error.contains("`FULLY_CONNECTED_y` (FULLY_CONNECTED)"), "{error}");
    assert!(
        error.contains("the bias has scale 5e-1 in channel 1, but input and weights give 2.5e-1"),
        "{error}"
    );
    let shifted = Quantization { zero_points: vec![0, 1], ..scale(&[0.125, 0.25]) };
    assert!(of(shifted).unwrap_err().contains("the bias has a zero point other than 0"));
}
