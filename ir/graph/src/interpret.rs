//! Running a graph: what its definition in index notation computes.

use nablac_index::Array;

use crate::define::define;
use crate::error::Error;
use crate::graph::Graph;

/// Runs a verified graph on `inputs`, in the graph's order; gives the outputs.
pub fn run(graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Error> {
    let program = define(graph)?;
    nablac_index::verify(&program)?;
    Ok(nablac_index::run(&program, inputs)?)
}
