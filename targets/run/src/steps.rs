//! The time that each function of a library takes on this computer. The library is built a second time, with a clock where it tells its
//! port that a step begins, so that nothing of it is in the figures of the first build.

use crate::build::{Build, PROGRAM};
use crate::command::{Tool, describe, read, write};
use crate::{Artifact, Error, FunctionCost, Options, Sample, exchange, host};
use nablac_machine::Machine;
use std::collections::BTreeMap;
use std::path::Path;

const HEADER: (&str, &str) = ("nablac_steps.h", include_str!("../harness/nablac_steps.h"));
const CLOCK: (&str, &str) = ("nablac_steps.c", include_str!("../harness/nablac_steps.c"));
const TIMES: &str = "steps.bin";

/// The shortest time of each function, the longest first. Nothing if the library has no steps, or is not to be timed.
pub(crate) fn measure(
    machine: &Machine,
    artifact: &Artifact,
    sample: &Sample,
    work: &Path,
    options: &Options,
) -> Result<Vec<FunctionCost>, Error> {
    let steps = artifact.steps.len();
    if options.timing.is_zero() || steps == 0 {
        return Ok(Vec::new());
    }
    let mut build = Build::new(machine, artifact, work, options)?;
    write(&build.folder().join(HEADER.0), HEADER.1.as_bytes())?;
    let told = format!("-D{}_STEP=nablac_step", artifact.name.to_ascii_uppercase());
    build.library_with(artifact, &["-include".to_owned(), HEADER.0.to_owned(), told])?;
    build.harness(artifact, &[host::FILE, CLOCK], &[format!("-DNABLAC_STEPS={steps}u")])?;
    build.link(&[])?;
    let samples = std::slice::from_ref(sample);
    exchange::write_samples(build.folder(), samples, options.timing, options.keep_state)?;
    let program = build.folder().join(PROGRAM).display().to_string();
    let tool = Tool { command: &program, package: "", purpose: "to time the model" };
    let ended = tool.run(&[], build.folder(), "run.log", options.timeout)?;
    if !ended.status.success() {
        let machine = machine.name.clone();
        return Err(Error::Program { machine, status: describe(ended.status), output: ended.output });
    }
    let times = exchange::figures(&read(&build.folder().join(TIMES))?);
    if times.len() != steps {
        let reason = format!("it has {} times, {steps} were to come", times.len());
        return Err(Error::Malformed { file: TIMES.to_owned(), reason });
    }
    Ok(by_function(&artifact.steps, &times))
}

/// The sum of the times of each function's steps, in nanoseconds.
fn by_function(steps: &[String], times: &[u64]) -> Vec<FunctionCost> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, time) in steps.iter().zip(times) {
        *sums.entry(name).or_default() += time;
    }
    let mut sums: Vec<(&str, u64)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    let cost = |(name, time): (&str, u64)| FunctionCost {
        name: name.to_owned(),
        instructions: None,
        cycles: None,
        seconds: Some(time as f64 * 1e-9),
    };
    sums.into_iter().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::by_function;

    #[test]
    fn steps_of_one_function_are_added_and_the_longest_is_first() {
        let steps = ["short", "long", "short"].map(str::to_owned);
        let costs = by_function(&steps, &[1, 1000, 2]);
        let found: Vec<(&str, u64)> = costs
            .iter()
            .map(|cost| (cost.name.as_str(), (cost.seconds.unwrap() * 1e9).round() as u64))
            .collect();
        assert_eq!(found, [("long", 1000), ("short", 3)]);
    }
}
