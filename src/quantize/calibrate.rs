//! What the values of the float network are on the calibration data.
//!
//! Owns running the network over samples for their histograms, and the check that all of them are numbers.

use std::collections::{BTreeMap, BTreeSet};

use nablac_index::DType;

use super::affine::floats;
use super::network::Network;
use super::range::Histogram;
use crate::engine::parallel;
use crate::failure::{Code, Failure, Result};
use crate::samples::Sample;

/// The histograms of the values `watched`.
pub fn calibrate(
    network: &Network,
    watched: &BTreeSet<String>,
    samples: &[Sample],
) -> Result<BTreeMap<String, Histogram>> {
    check(network, samples)?;
    // Counts do not depend on the order of samples: each thread counts its share.
    let share = samples.len().div_ceil(std::thread::available_parallelism().map_or(1, |n| n.get()));
    let shares: Vec<(usize, &[Sample])> = samples.chunks(share.max(1)).enumerate().collect();
    let counted = parallel(shares.len(), |at| {
        let (number, samples) = shares[at];
        count(network, watched, samples, number * share)
    });
    let mut merged: BTreeMap<String, Histogram> = BTreeMap::new();
    for histograms in counted {
        for (name, histogram) in histograms? {
            merged.entry(name).or_default().merge(histogram);
        }
    }
    Ok(merged)
}

/// All samples must hold numbers.
fn check(network: &Network, samples: &[Sample]) -> Result<()> {
    for (number, sample) in samples.iter().enumerate() {
        for (port, array) in network.inputs.iter().zip(sample) {
            let bad = array.dtype() == DType::F32 && floats(array).any(|x| !x.is_finite());
            if bad {
                let message =
                    format!("sample {number} of input `{}` holds what is not a finite number", port.name);
                return Err(Failure::new(Code::Samples, message));
            }
        }
    }
    Ok(())
}

fn count(
    network: &Network,
    watched: &BTreeSet<String>,
    samples: &[Sample],
    first: usize,
) -> Result<BTreeMap<String, Histogram>> {
    let mut histograms: BTreeMap<String, Histogram> = BTreeMap::new();
    let dead = network.last_reads();
    for (number, sample) in samples.iter().enumerate() {
        let mut values = network.start(sample);
        let mut watch = |name: &String, values: &super::network::Values| {
            if let Some(array) =
                values.get(name).filter(|array| watched.contains(name) && array.dtype() == DType::F32)
            {
                if let Some(x) = floats(array).find(|x| !x.is_finite()) {
                    let message =
                        format!("value `{name}` is {x} on sample {} of the float network", first + number);
                    return Err(Failure::new(Code::Quantization, message).help(
                        "the network does not compute numbers there: check its weights, or the sample",
                    ));
                }
                histograms.entry(name.clone()).or_default().add(floats(array));
            }
            Ok(())
        };
        for port in &network.inputs {
            watch(&port.name, &values)?;
        }
        for (step, dead) in network.steps.iter().zip(&dead) {
            let results = step.run(&step.program, &step.gather(&values))?;
            values.extend(step.results.iter().cloned().zip(results));
            for name in &step.results {
                watch(name, &values)?;
            }
            dead.iter().for_each(|name| drop(values.remove(name)));
        }
    }
    Ok(histograms)
}
