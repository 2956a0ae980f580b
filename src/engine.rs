//! Running a model on samples.
//!
//! Owns the choice of engine: the interpreters of the intermediate representations, on this computer's threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use nablac_index::Array;

use crate::failure::{Code, Failure, Result};
use crate::pipeline::Form;
use crate::samples::Sample;

/// The outputs of each sample, by the interpreter of the language that `form` is in.
pub fn interpret(form: &Form, samples: &[Sample]) -> Result<Vec<Sample>> {
    let run = |sample: &Sample| interpret_one(form, sample);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(samples.len());
    if threads <= 1 {
        return samples.iter().map(run).collect();
    }
    let next = AtomicUsize::new(0);
    let mut outputs = std::thread::scope(|scope| {
        let worker = || {
            let mut done = vec![];
            loop {
                let position = next.fetch_add(1, Ordering::Relaxed);
                match samples.get(position) {
                    Some(sample) => done.push((position, run(sample))),
                    None => return done,
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    outputs.sort_by_key(|(position, _)| *position);
    outputs.into_iter().map(|(_, output)| output).collect()
}

fn interpret_one(form: &Form, sample: &[Array]) -> Result<Sample> {
    let wrong =
        |error: &dyn std::fmt::Display| Failure::new(Code::BrokenStage, format!("interpreter: {error}"));
    match form {
        Form::Graph(graph) => {
            let program = nablac_graph::define(graph)?;
            nablac_index::run(&program, sample).map_err(|error| wrong(&error))
        }
        Form::Index(program) => nablac_index::run(program, sample).map_err(|error| wrong(&error)),
        Form::Loops(nests) => nablac_loops::run(nests, sample).map_err(|error| wrong(&error)),
    }
}
