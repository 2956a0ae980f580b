//! The names of everything in the generated files.
//!
//! Owns which model name becomes which C name, once for all files.

use std::collections::BTreeMap;

use nablac_loops::{Program, Role};

use crate::name::{Names, identifier};

/// The C names of a program.
#[derive(Clone, Debug)]
pub struct Identifiers {
    /// In front of everything that is seen outside: `kws`.
    pub prefix: String,
    /// In front of macros: `KWS`.
    pub upper: String,
    /// The name of each buffer's pointer, or of each constant's array.
    pub buffers: Vec<String>,
    /// The function of each kernel.
    pub kernels: BTreeMap<String, String>,
    /// What names inside of functions must not hide.
    pub file: Names,
}

impl Identifiers {
    /// Chooses the names of `program`; `name` is what the whole is called.
    pub fn new(program: &Program, name: &str) -> Identifiers {
        let prefix = identifier(name, "model");
        let mut file = Names::default();
        let own = ["init", "run", "reset", "selftest", "ctx_t", "status_t"];
        own.into_iter().for_each(|name| _ = file.claim(&format!("{prefix}_{name}")));
        (0..program.inputs().len()).for_each(|k| _ = file.claim(&format!("{prefix}_input{k}")));
        (0..program.outputs().len()).for_each(|k| _ = file.claim(&format!("{prefix}_output{k}")));
        let mut kernels = BTreeMap::new();
        for kernel in program.kernels() {
            let wanted = format!("{prefix}_{}", identifier(&kernel.name, "kernel"));
            kernels.insert(kernel.name.clone(), file.claim(&wanted));
        }
        let mut buffers = vec![];
        let mut pointers = file.clone();
        for buffer in &program.buffers {
            let stem = identifier(&buffer.name, "t");
            buffers.push(match buffer.role {
                Role::Constant(_) => {
                    let name = file.claim(&format!("{prefix}_weights_{stem}"));
                    pointers.claim(&name)
                }
                _ => pointers.claim(&stem),
            });
        }
        Identifiers { upper: prefix.to_ascii_uppercase(), prefix, buffers, kernels, file }
    }
}
