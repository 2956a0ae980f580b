//! What is known of smaller arenas.

use crate::program::Program;

/// Lower bounds of the arena, in bytes, for the kernels, buffers and alignments that a program has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// No plan for the order in which the steps stand takes less.
    pub this_order: usize,
    /// No plan for any order takes less.
    pub any_order: usize,
}

impl Program {
    /// Whether it is proved that no plan for the order of its steps takes less than its arena.
    pub fn is_plan_optimal(&self) -> bool {
        self.proof.is_some_and(|proof| proof.this_order == self.arena_bytes)
    }

    /// Whether it is proved that no plan takes less than its arena, in whatever order its steps run.
    pub fn is_order_optimal(&self) -> bool {
        self.proof.is_some_and(|proof| proof.any_order == self.arena_bytes)
    }
}
