//! Checks that an artifact and its samples are what they are said to be, before any tool sees them.

use crate::{Artifact, Error, Sample};

/// Nothing, if the artifact's files are there and every sample has the inputs that it takes.
pub(crate) fn check(artifact: &Artifact, samples: &[Sample]) -> Result<(), Error> {
    let wrong = |reason: String| Err(Error::Artifact { name: artifact.name.clone(), reason });
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_identifier = artifact.name.starts_with(is_start)
        && artifact.name.chars().all(|c| is_start(c) || c.is_ascii_digit());
    if !is_identifier {
        return wrong("its name is no C identifier".to_owned());
    }
    if artifact.sources.is_empty() {
        return wrong("it has no source file".to_owned());
    }
    for source in &artifact.sources {
        if !artifact.folder.join(source).is_file() {
            return wrong(format!("`{}` is not in `{}`", source.display(), artifact.folder.display()));
        }
    }
    if samples.is_empty() {
        return Err(Error::Sample {
            sample: 0,
            reason: "there is none; at least one must be run".to_owned(),
        });
    }
    samples.iter().enumerate().try_for_each(|(index, sample)| check_sample(artifact, index, sample))
}

fn check_sample(artifact: &Artifact, index: usize, sample: &Sample) -> Result<(), Error> {
    let wrong = |reason: String| Err(Error::Sample { sample: index, reason });
    if sample.len() != artifact.input_bytes.len() {
        return wrong(format!(
            "it has {} inputs, the model takes {}",
            sample.len(),
            artifact.input_bytes.len()
        ));
    }
    for (input, (bytes, expected)) in sample.iter().zip(&artifact.input_bytes).enumerate() {
        if bytes.len() != *expected {
            return wrong(format!("input {input} has {} bytes, the model takes {expected}", bytes.len()));
        }
    }
    Ok(())
}
