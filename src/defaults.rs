//! The schedules of kernels that nobody asks others for.
//!
//! Owns the choice between what the rules have to offer: for each kernel it is the candidate that the model predicts to be the fastest, where
//! a machine's file says enough of its pipeline, and otherwise the one that the rule prefers.

use std::collections::BTreeMap;

use nablac_index::Program;
use nablac_loops::schedule::{Item, Pin, Schedules};
use nablac_loops::{Capacity, Optimize, RANKS};
use nablac_machine::Machine;

/// Another candidate than the rule's own must be predicted to save more than one cycle in so many.
const LEAST_GAIN: f64 = 50.0;

/// What is asked for, and pins for all kernels that another candidate than the rule's own is better for.
pub fn choose(
    program: &Program,
    machine: &Machine,
    capacity: &Capacity,
    asked_for: &Schedules,
) -> std::result::Result<Schedules, nablac_loops::Error> {
    let mut chosen = asked_for.clone();
    if machine.pipeline.is_none() || capacity.optimize == Optimize::Size {
        return Ok(chosen);
    }
    let mut best: BTreeMap<String, (f64, Option<Pin>)> = BTreeMap::new();
    for rank in 0..RANKS {
        let capacity = Capacity { rank, ..capacity.clone() };
        let (nests, pins) = nablac_loops::lower_with_schedules(program, &capacity, asked_for)?;
        let predicted = nablac_predictor::predictions(&nests, machine)?;
        for (_, pin) in pins {
            let kernel = pin.kernels[0].text.clone();
            let Some(cycles) = predicted.get(&kernel).map(|own| own.cycles) else { continue };
            match best.get_mut(&kernel) {
                None => _ = best.insert(kernel, (cycles, None)),
                Some((least, own)) if cycles * LEAST_GAIN < *least * (LEAST_GAIN - 1.0) => {
                    (*least, *own) = (cycles, Some(pin));
                }
                Some(_) => {}
            }
        }
    }
    chosen.items.extend(best.into_values().filter_map(|(_, pin)| pin.map(Item::Pin)));
    Ok(chosen)
}
