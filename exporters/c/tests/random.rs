//! Random loop nests: the C computes what the interpreter does.

#![allow(clippy::unwrap_used)]

#[path = "../../../ir/loops/tests/random/mod.rs"]
mod random;
mod toolchain;

use nablac_c::{Options, Weights};

#[test]
fn random_nests_compute_the_same() {
    for seed in 0..8 {
        let program = random::program(seed);
        let inputs = vec![random::inputs(&program, seed), random::inputs(&program, seed + 1000)];
        let options = toolchain::options(&program, inputs);
        let weights = if seed % 2 == 0 { Weights::Code } else { Weights::Blob };
        toolchain::check_with(&format!("random{seed}"), &program, &Options { weights, ..options });
    }
}
