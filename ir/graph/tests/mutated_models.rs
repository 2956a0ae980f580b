//! A model may say anything: it is imported, or refused with an error that says why. Nothing panics.
//!
//! The models are those of `cases`, each with one of its numbers, names, types or lists changed.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use nablac_graph::import::Options;
use nablac_graph::limits::Limits;
use nablac_graph::{Error, define, fold_constants, import, verify};
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
