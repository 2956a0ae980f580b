//! What holds of every network that runs row by row: its nests verify, compute the same values as with whole tensors, also when
//! buffers share an arena, and its text reads back. The model's cuts can all be made.

#![allow(clippy::unwrap_used)]

#[path = "../../index/tests/windows/mod.rs"]
mod windows;

use std::collections::BTreeMap;

use nablac_index::{Array, Program as Network};
use nablac_loops::schedule::{Item, Name, Schedules};
use nablac_loops::{Capacity, Delivery, Program, cuts, fuse, lower, parse_with, plan, run, verify};
use windows::network;

const NETWORKS: u64 = 60;

fn fused(segments: &[Vec<String>]) -> Schedules {
    let item = |kernels: &Vec<String>| Item::Fused(kernels.iter().map(|k| Name::from(k.as_str())).collect());
    Schedules { items: segments.iter().map(item).collect() }
}

fn check(seed: u64, network: &Network, nests: &Program, inputs: &[Array], expected: &[Array]) {
    let planned = plan(nests.clone());
    for (stage, nests) in [("fuse", nests), ("plan", &planned)] {
        verify(nests).unwrap_or_else(|e| panic!("seed {seed} {stage}: {e}\n{network}\n{nests}"));
        let found =
            run(nests, inputs).unwrap_or_else(|e| panic!("seed {seed} {stage}: {e}\n{network}\n{nests}"));
        assert_eq!(found, expected, "seed {seed} {stage}\n{network}\n{nests}");
        assert_eq!(
            parse_with(&nests.to_string(), &nests.constants()).as_ref(),
            Ok(nests),
            "seed {seed} {stage}"
        );
    }
}

#[test]
fn kernels_that_run_row_by_row_compute_the_same() {
    let (mut together, mut smaller) = (0, 0);
    for seed in 0..NETWORKS {
        let (network, inputs) = network(seed);
        let capacity = Capacity { float_registers: 16, general_registers: 14, ..Capacity::default() };
        let expected = nablac_index::run(&network, &inputs).unwrap();
        let whole = lower(&network, &capacity, &Schedules::default()).unwrap();
        let names: Vec<String> = whole.kernels().iter().map(|kernel| kernel.name.clone()).collect();
        let streamed = lower(&network, &capacity, &fused(std::slice::from_ref(&names))).unwrap();
        let whole = plan(whole).arena_bytes;
        for delivery in [Delivery::Whole, Delivery::Rows, Delivery::External] {
            let deliveries: BTreeMap<String, Delivery> = [("x".to_string(), delivery)].into();
            let found = cuts(streamed.clone(), &deliveries).unwrap();
            // Those that the model finds can be made; any other run of kernels is refused or computes the same.
            let mut all: Vec<(Vec<Vec<String>>, bool)> =
                found.into_iter().map(|c| (c.segments, true)).collect();
            all.extend((1..names.len()).map(|end| (vec![names[seed as usize % end..=end].to_vec()], false)));
            for (segments, is_possible) in &all {
                let schedules = fused(segments);
                let nests = lower(&network, &capacity, &schedules).unwrap();
                let nests = match fuse(nests, &schedules, &deliveries) {
                    Ok(nests) => nests,
                    Err(error) if *is_possible => {
                        panic!("seed {seed} {delivery:?} {segments:?}: {error}\n{network}")
                    }
                    Err(_) => continue,
                };
                check(seed, &network, &nests, &inputs, &expected);
                together += segments.iter().filter(|segment| segment.len() > 1).count();
                smaller += usize::from(plan(nests).arena_bytes < whole);
            }
        }
    }
    // Otherwise this tests nothing.
    assert!(
        together > 80 && smaller > 80,
        "{together} segments of several kernels, {smaller} arenas are smaller"
    );
}
