//! Random loop nests: the C computes what the interpreter does.

#![allow(clippy::unwrap_used)]

#[path = "../../../ir/loops/tests/random/mod.rs"]
mod random;
mod toolchain;

#[test]
fn random_nests_compute_the_same() {
    for seed in 0..8 {
        let program = random::program(seed);
        let inputs = vec![random::inputs(&program, seed), random::inputs(&program, seed + 1000)];
        toolchain::check(&format!("random{seed}"), &program, inputs);
    }
}
