//! How often kernels run.
//!
//! Owns counting them over repetitions, whose bounds enclosing counters may decide. Of a branch, both sides count.

use std::collections::BTreeMap;

use nablac_index::Index;

use crate::program::{Program, Repeat, Step};

/// How often each kernel runs in one run of the program, by its name.
pub fn runs(program: &Program) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    count(&program.steps, &mut vec![], 1, &mut found);
    found
}

fn count(steps: &[Step], counters: &mut Vec<i64>, times: u64, found: &mut BTreeMap<String, u64>) {
    for step in steps {
        match step {
            Step::Kernel(kernel) => *found.entry(kernel.name.clone()).or_default() += times,
            Step::Receive(_) => {}
            Step::Repeat(repeat) if !decides(&repeat.body) => {
                let (low, high) = repeat.range(counters);
                counters.push(low);
                count(&repeat.body, counters, times * (high - low).max(0) as u64, found);
                counters.pop();
            }
            Step::Repeat(repeat) => {
                let (low, high) = repeat.range(counters);
                for value in low..high {
                    counters.push(value);
                    count(&repeat.body, counters, times, found);
                    counters.pop();
                }
            }
            Step::Branch { then, otherwise, .. } => {
                count(then, counters, times, found);
                count(otherwise, counters, times, found);
            }
        }
    }
}

/// Whether a counter can decide how often something in these steps runs.
fn decides(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Kernel(_) | Step::Receive(_) => false,
        Step::Repeat(repeat) => repeat.within.is_some() || decides(&repeat.body),
        Step::Branch { then, otherwise, .. } => decides(then) || decides(otherwise),
    })
}

impl Repeat {
    /// The counter's first value and the one behind its last, where enclosing counters have these values.
    pub fn range(&self, counters: &[i64]) -> (i64, i64) {
        let value = |index: &Index| {
            index.substitute(&|id| counters.get(id.0 as usize).copied().unwrap_or(0).into()).offset()
        };
        let extent = self.extent as i64;
        match &self.within {
            None => (0, extent),
            Some((low, high)) => (value(low).max(0), value(high).min(extent)),
        }
    }
}
