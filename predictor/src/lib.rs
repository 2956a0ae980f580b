//! What a loop nest takes on a machine, before anything is compiled.
//!
//! Owns an analytic model: what a nest's lines do is counted (`block`), times their iterations (`walk`); what the machine's file says of
//! its pipeline turns counts into cycles, and of its caches the bytes that do not stay in them (`traffic`). Nothing is fitted: where a
//! figure is far from a measurement, the model lacks a reason. How a nest comes about, and which one is taken, is others' matter.
//!
//! A straight line of instructions takes as long as the busiest part of the pipeline, or as the longest chain of results that wait for
//! each other (Hennessy and Patterson, Computer Architecture: A Quantitative Approach, chapter 3); a nest as long as its lines, or
//! as its traffic with a cache.

use std::collections::BTreeMap;

use nablac_loops::{Error, Kernel, Program};
use nablac_machine::Machine;

mod block;
mod traffic;
mod walk;

pub use block::Counts;

/// What a nest takes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Prediction {
    /// Cycles of one run.
    pub cycles: f64,
    /// What runs.
    pub counts: Counts,
    /// How long each part would take by itself.
    pub parts: Parts,
}

/// Cycles that each part of a processor is busy.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Parts {
    /// Starting instructions.
    pub issue: f64,
    /// Loading.
    pub loads: f64,
    /// Storing.
    pub stores: f64,
    /// Multiplying.
    pub multiplies: f64,
    /// Waiting for results.
    pub latency: f64,
    /// Refilling each cache, the first level first.
    pub refills: Vec<f64>,
}

impl Parts {
    fn times(&self, times: f64) -> Parts {
        let mut product = Parts::default();
        product.add(self, times);
        product
    }

    /// What takes longest, and how long.
    pub fn limit(&self) -> (&'static str, f64) {
        let plain = [
            ("issue", self.issue),
            ("loads", self.loads),
            ("stores", self.stores),
            ("multiplies", self.multiplies),
            ("latency", self.latency),
        ];
        let refills = ["refills of the first cache", "refills of the second cache", "refills of a cache"];
        let refills = self.refills.iter().enumerate().map(|(level, &cycles)| (refills[level.min(2)], cycles));
        plain
            .into_iter()
            .chain(refills)
            .fold(("issue", 0.0), |most, own| if own.1 > most.1 { own } else { most })
    }
}

/// What each kernel of a program takes on a machine in one run of the program, all repetitions together.
pub fn predictions(program: &Program, machine: &Machine) -> Result<BTreeMap<String, Prediction>, Error> {
    let runs = nablac_loops::runs(program);
    let all = program.kernels().into_iter().map(|kernel| {
        let times = runs.get(&kernel.name).copied().unwrap_or(0) as f64;
        let mut prediction = predict(program, kernel, machine)?;
        prediction.cycles *= times;
        prediction.counts = prediction.counts.times(times);
        prediction.parts = prediction.parts.times(times);
        Ok((kernel.name.clone(), prediction))
    });
    all.collect()
}

/// What a kernel of a program takes on a machine. The error is of a kernel that unrolls beyond all measure.
pub fn predict(program: &Program, kernel: &Kernel, machine: &Machine) -> Result<Prediction, Error> {
    let expanded = nablac_loops::expand(kernel)?;
    let mut prediction = walk::walk(program, &expanded, machine);
    let traffic = |bytes: u64| traffic::traffic(program, &expanded, bytes as f64);
    prediction.parts.refills =
        machine.caches.iter().map(|cache| traffic(cache.bytes) / f64::from(cache.refill.max(1))).collect();
    prediction.cycles = prediction.parts.refills.iter().copied().fold(prediction.cycles, f64::max);
    Ok(prediction)
}
