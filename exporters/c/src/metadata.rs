//! What programs may want to know of the generated code: `metadata.json`.
//!
//! Owns its schema, which has a version of its own.

use nablac_loops::{Program, Role, arena_alignment};
use serde::Serialize;

use crate::blob::{self, Places};
use crate::identifiers::Identifiers;
use crate::weights;
use crate::{Options, Scale};

/// Who writes the folder; a folder with another name in this place is not replaced.
const GENERATOR: &str = "nablac";

/// Counts changes that a reader of the file must know of.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Metadata<'a> {
    generator: &'static str,
    format: u32,
    name: &'a str,
    version: &'a str,
    model_sha256: &'a str,
    optimize: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<usize>,
    arena_bytes: usize,
    arena_alignment: usize,
    weight_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<Apart<'a>>,
    inputs: Vec<Place<'a>>,
    outputs: Vec<Place<'a>>,
    kernels: Vec<Function<'a>>,
    buffers: Vec<Place<'a>>,
}

/// Weights that are a file of their own.
#[derive(Serialize)]
struct Apart<'a> {
    file: String,
    bytes: usize,
    alignment: usize,
    layout: &'a str,
}

#[derive(Serialize)]
struct Place<'a> {
    name: &'a str,
    identifier: &'a str,
    role: &'static str,
    dtype: &'static str,
    shape: &'a [usize],
    bytes: usize,
    offset: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantization: Option<Scale>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    identifier: &'a str,
    laws: &'a [String],
    macs: u64,
}

/// The text of `metadata.json`.
pub fn metadata(
    program: &Program,
    identifiers: &Identifiers,
    options: &Options,
    blob: Option<&Places>,
) -> String {
    let places = |wanted: &dyn Fn(&Role) -> bool| -> Vec<Place> {
        let all = program.buffers.iter().zip(&identifiers.buffers);
        all.filter(|(buffer, _)| wanted(&buffer.role))
            .map(|(buffer, identifier)| Place {
                name: &buffer.name,
                identifier,
                role: role_name(&buffer.role),
                dtype: buffer.dtype.name(),
                shape: &buffer.shape,
                bytes: buffer.bytes(),
                offset: buffer.offset,
                quantization: options.scales.get(&buffer.name).copied(),
            })
            .collect()
    };
    let kernels = program.kernels();
    let metadata = Metadata {
        generator: GENERATOR,
        format: FORMAT,
        name: &identifiers.prefix,
        version: &options.version,
        model_sha256: &options.model_sha256,
        optimize: options.optimize.name(),
        threads: Some(program.threads()).filter(|threads| *threads > 1),
        arena_bytes: program.arena_bytes,
        arena_alignment: arena_alignment(program),
        weight_bytes: weights::bytes(program),
        weights: blob.map(|own| Apart {
            file: format!("{}/{}_weights.bin", blob::FOLDER, identifiers.prefix),
            bytes: own.bytes,
            alignment: own.alignment,
            layout: &own.layout,
        }),
        inputs: places(&|role| matches!(role, Role::Input(_))),
        outputs: places(&|role| *role == Role::Output),
        kernels: kernels
            .into_iter()
            .map(|kernel| Function {
                name: &kernel.name,
                identifier: &identifiers.kernels[&kernel.name],
                laws: &kernel.laws,
                macs: kernel.macs,
            })
            .collect(),
        buffers: places(&|_| true),
    };
    serde_json::to_string_pretty(&metadata).unwrap_or_default() + "\n" // strings and numbers always have a text
}

fn role_name(role: &Role) -> &'static str {
    match role {
        Role::Input(_) => "input",
        Role::Output => "output",
        Role::Constant(_) => "constant",
        Role::Local => "local",
        Role::State(_) => "state",
    }
}
