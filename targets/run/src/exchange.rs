//! The files through which driver and measurement talk: samples in, outputs and a report out. Little-endian, as every
//! machine here is.

use crate::command::{read, write};
use crate::{Artifact, Error, Sample};
use std::path::Path;
use std::time::Duration;

const INPUT: &str = "input.bin";
const OUTPUT: &str = "output.bin";
const REPORT: &str = "report.bin";

/// What the driver reports besides the outputs.
pub(crate) struct Report {
    pub context_bytes: u64,
    pub stack_bytes: u64,
    pub nanoseconds: u64,
}

/// Writes the samples for the driver to read, and removes what an earlier run may have left.
pub(crate) fn write_samples(
    work: &Path,
    samples: &[Sample],
    timing: Duration,
    keep_state: bool,
) -> Result<(), Error> {
    let count = u32::try_from(samples.len())
        .map_err(|_| Error::Sample { sample: samples.len(), reason: "there are too many".to_owned() })?;
    let milliseconds = u32::try_from(timing.as_millis()).unwrap_or(u32::MAX);
    let mut bytes = [count, milliseconds, u32::from(keep_state)].map(u32::to_le_bytes).concat();
    samples.iter().flatten().for_each(|input| bytes.extend_from_slice(input));
    for stale in [OUTPUT, REPORT] {
        write(&work.join(stale), &[])?;
    }
    write(&work.join(INPUT), &bytes)
}

/// Reads the outputs of each sample.
pub(crate) fn read_outputs(work: &Path, artifact: &Artifact, samples: usize) -> Result<Vec<Sample>, Error> {
    let bytes = read(&work.join(OUTPUT))?;
    let per_sample: usize = artifact.output_bytes.iter().sum();
    if bytes.len() != per_sample * samples {
        let reason = format!("it has {} bytes, {} were to come", bytes.len(), per_sample * samples);
        return Err(Error::Malformed { file: OUTPUT.to_owned(), reason });
    }
    let mut rest = bytes.as_slice();
    let mut next = |count: usize| {
        let (taken, left) = rest.split_at(count);
        rest = left;
        taken.to_vec()
    };
    Ok((0..samples).map(|_| artifact.output_bytes.iter().map(|count| next(*count)).collect()).collect())
}

/// Reads the report, and checks that the artifact's arena is as large as it was said to be.
pub(crate) fn read_report(work: &Path, artifact: &Artifact) -> Result<Report, Error> {
    let bytes = read(&work.join(REPORT))?;
    let figures = figures(&bytes);
    let [context_bytes, arena_bytes, stack_bytes, nanoseconds] = figures[..] else {
        let reason = format!("it has {} figures, not 4", figures.len());
        return Err(Error::Malformed { file: REPORT.to_owned(), reason });
    };
    if arena_bytes != artifact.arena_bytes as u64 {
        let reason =
            format!("its arena is said to be {} bytes, its header says {arena_bytes}", artifact.arena_bytes);
        return Err(Error::Artifact { name: artifact.name.clone(), reason });
    }
    Ok(Report { context_bytes, stack_bytes, nanoseconds })
}

/// Unsigned numbers of 64 bits.
pub(crate) fn figures(bytes: &[u8]) -> Vec<u64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// What has been written for the driver to read.
pub(crate) fn read_samples(work: &Path) -> Result<Vec<u8>, Error> {
    read(&work.join(INPUT))
}
