//! Running a model on samples.
//!
//! Owns the engines: the interpreters of the intermediate representations, on this computer's threads; and generated C, built
//! and run on a target in a temporary folder.

use std::sync::atomic::{AtomicUsize, Ordering};

use nablac_index::Array;
use nablac_machine::Machine;
use nablac_run::{Artifact, Measurement, Options};

use crate::failure::{Code, Failure, Result};
use crate::folder;
use crate::pipeline::Form;
use crate::samples::{Port, Sample};

/// The outputs of samples that follow each other in time, by the interpreter of the language that `form` is in: what a
/// network keeps goes from each to the next.
pub fn interpret_sequence(form: &Form, samples: &[Sample]) -> Result<Vec<Sample>> {
    match form {
        Form::Graph(graph) => {
            let program = nablac_graph::define(graph).map_err(|error| wrong(&error))?;
            nablac_index::verify(&program).map_err(|error| wrong(&error))?;
            interpret_sequence(&Form::Index(program), samples)
        }
        Form::Index(program) | Form::Schedule(program, _) => {
            let mut session = nablac_index::Session::new(program);
            samples.iter().map(|sample| session.run(sample).map_err(|error| wrong(&error))).collect()
        }
        Form::Loops(nests) => {
            let mut session = nablac_loops::Session::new(nests);
            samples.iter().map(|sample| session.run(sample).map_err(|error| wrong(&error))).collect()
        }
        Form::C(..) => Err(no_code()),
    }
}

fn wrong(error: &dyn std::fmt::Display) -> Box<Failure> {
    Failure::new(Code::BrokenStage, format!("interpreter: {error}"))
}

fn no_code() -> Box<Failure> {
    Failure::new(Code::Option, "the interpreter runs no C: name an earlier stage")
}

/// The outputs of each sample by itself, by the interpreter of the language that `form` is in: each begins with the initial
/// values of what the network keeps.
pub fn interpret(form: &Form, samples: &[Sample]) -> Result<Vec<Sample>> {
    parallel(samples.len(), |position| interpret_one(form, &samples[position])).into_iter().collect()
}

/// What `run` gives for 0, 1, … up to `count`, in that order, on this computer's threads.
pub fn parallel<T: Send>(count: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(count);
    if threads <= 1 {
        return (0..count).map(run).collect();
    }
    let next = AtomicUsize::new(0);
    let mut results = std::thread::scope(|scope| {
        let worker = || {
            let mut done = vec![];
            loop {
                let position = next.fetch_add(1, Ordering::Relaxed);
                if position >= count {
                    return done;
                }
                done.push((position, run(position)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

fn interpret_one(form: &Form, sample: &[Array]) -> Result<Sample> {
    match form {
        Form::Graph(graph) => nablac_graph::run(graph, sample).map_err(|error| wrong(&error)),
        Form::Index(program) | Form::Schedule(program, _) => {
            nablac_index::run(program, sample).map_err(|error| wrong(&error))
        }
        Form::Loops(nests) => nablac_loops::run(nests, sample).map_err(|error| wrong(&error)),
        Form::C(..) => Err(no_code()),
    }
}

/// Generated C, and what its caller knows of it.
pub struct Library<'a> {
    /// The files.
    pub folder: &'a nablac_c::Folder,
    /// The inputs.
    pub inputs: &'a [Port],
    /// The outputs.
    pub outputs: &'a [Port],
    /// The bytes of the arena.
    pub arena_bytes: usize,
}

/// The outputs of each sample by generated C on a machine, and what that cost.
pub fn execute(
    library: &Library,
    machine: &Machine,
    samples: &[Sample],
    options: &Options,
) -> Result<(Vec<Sample>, Measurement)> {
    let work = tempfile::tempdir().map_err(|error| Failure::write(&std::env::temp_dir(), error))?;
    let code = work.path().join("code");
    let files = folder::files_of(library.folder);
    folder::fill(&code, &files).map_err(|error| Failure::write(&code, error))?;
    let array = library.folder.blob.as_ref().map(|blob| &blob.source);
    let artifact = Artifact {
        folder: code,
        name: library.folder.name.clone(),
        sources: library.folder.sources.iter().chain(array).cloned().collect(),
        include: library.folder.include.clone(),
        input_bytes: library.inputs.iter().map(Port::bytes).collect(),
        feeds: library.folder.feeds.clone(),
        output_bytes: library.outputs.iter().map(Port::bytes).collect(),
        arena_bytes: library.arena_bytes,
        steps: library.folder.steps.clone(),
        threads: library.folder.threads,
        blob: library.folder.blob.is_some(),
    };
    let bytes = |sample: &Sample| sample.iter().map(|array| array.bytes().to_vec()).collect();
    let samples: Vec<nablac_run::Sample> = samples.iter().map(bytes).collect();
    let run = nablac_run::execute(machine, &artifact, &samples, &work.path().join("build"), options)?;
    let arrays = |sample: nablac_run::Sample| -> Result<Sample> {
        let wrong =
            || Failure::new(Code::GeneratedCode, "an output is not of the size that the model states");
        let array = |(bytes, port): (Vec<u8>, &Port)| Array::from_bytes(port.dtype, &port.shape, bytes);
        sample.into_iter().zip(library.outputs).map(|pair| array(pair).ok_or_else(wrong)).collect()
    };
    Ok((run.outputs.into_iter().map(arrays).collect::<Result<_>>()?, run.measurement))
}
