//! Default schedules: the model's predictions beside what emulation counts, and the choice that rests on them.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use nablac::pipeline::{self, Form, Options, Stage};
use nablac::schedules::Schedules;
use nablac::{defaults, model};
use nablac_graph::limits::Limits;
use nablac_index::Program;
use nablac_loops::Optimize;
use nablac_machine::Machine;
use support::nablac;

const DIGITS: &str = "examples/digits.onnx";

fn views(machine: &Machine) -> Program {
    let limits = Limits::default();
    let model = model::read(DIGITS.as_ref(), &limits).unwrap();
    let options = Options {
        stream: None,
        dimensions: BTreeMap::new(),
        limits,
        requantization: None,
        machine: machine.clone(),
        schedules: Schedules::default(),
        c: nablac_c::Options::default(),
        after: Stage::Views,
    };
    match pipeline::compile(&model.source, &options, &mut |_| {}).unwrap() {
        Form::Index(program) => program,
        _ => panic!("views are index notation"),
    }
}

/// All that a program's nests are predicted to take.
fn predicted(program: &Program, machine: &Machine, schedules: &nablac_loops::schedule::Schedules) -> f64 {
    let capacity = pipeline::capacity(machine, Optimize::Time, 1).unwrap();
    let nests = nablac_loops::lower(program, &capacity, schedules).unwrap();
    nablac_predictor::predictions(&nests, machine).unwrap().values().map(|own| own.cycles).sum()
}

#[test]
fn no_default_is_predicted_to_be_slower_than_the_rules_own() {
    for name in ["cortex-m4", "x86-64-v3"] {
        let machine = Machine::load(name).unwrap();
        let program = views(&machine);
        let capacity = pipeline::capacity(&machine, Optimize::Time, 1).unwrap();
        let parsed = defaults::choose(&program, &machine, &capacity, &Default::default()).unwrap();
        let own = predicted(&program, &machine, &parsed);
        let rule = predicted(&program, &machine, &Default::default());
        assert!(own <= rule, "{name}: {own} {rule}");
    }
}

#[test]
fn what_is_asked_for_stays() {
    let machine = Machine::load("cortex-m4").unwrap();
    let mut asked_for = Schedules::default();
    let pin = "pin conv1 { for i  for j  for f  for u  for v }";
    asked_for.add("slow.sched", pin.into()).unwrap();
    let program = views(&machine);
    let capacity = pipeline::capacity(&machine, Optimize::Time, 1).unwrap();
    let chosen = defaults::choose(&program, &machine, &capacity, &asked_for.parsed).unwrap();
    let of_conv1 = chosen.pins().filter(|pin| pin.kernels[0].text == "conv1");
    assert_eq!(of_conv1.collect::<Vec<_>>(), asked_for.parsed.pins().collect::<Vec<_>>());
}

#[test]
fn predictions_are_near_the_cycles_that_emulation_estimates() {
    let outcome = nablac(&["bench", DIGITS, "--target", "cortex-m4", "--json"]);
    if outcome.code == 6 {
        support::skipped(&outcome.stderr);
        return;
    }
    let json = outcome.json();
    let figure = |layer: &serde_json::Value, name: &str| layer[name].as_f64();
    let layers = json["layers"].as_array().unwrap();
    let pairs: Vec<(f64, f64)> = layers
        .iter()
        .filter(|layer| layer["macs"].as_u64() > Some(1000))
        .filter_map(|layer| Some((figure(layer, "predicted_cycles")?, figure(layer, "estimated_cycles")?)))
        .collect();
    assert!(pairs.len() >= 3, "{layers:#?}");
    for (predicted, estimated) in &pairs {
        assert!((0.5..1.5).contains(&(predicted / estimated)), "{predicted} of {estimated}: {layers:#?}");
    }
    let (all, counted) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    assert!((0.7..1.3).contains(&(all / counted)), "{all} of {counted}");
}
