//! Whether a compiled model fits a memory.
//!
//! Owns what is known of its size without a C compiler: the arena, exactly, and the weights. Code, stack and the context
//! come on top; `nablac bench` measures them.

use nablac_loops::{Program, Role};
use nablac_machine::{Machine, Role as Place};
use serde::Serialize;

use crate::failure::{Code, Failure, Result};

/// What a compiled model takes of each kind of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Footprint {
    /// RAM: inputs, outputs and what lives between kernels.
    pub arena_bytes: usize,
    /// Flash: constants.
    pub weight_bytes: usize,
}

/// How much a model may take. `None` is no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    /// Bytes of RAM.
    pub ram: Option<u64>,
    /// Bytes of flash.
    pub flash: Option<u64>,
}

impl Footprint {
    /// The footprint of planned loop nests.
    pub fn of(nests: &Program) -> Footprint {
        let constants = nests.buffers.iter().filter(|buffer| matches!(buffer.role, Role::Constant(_)));
        Footprint {
            arena_bytes: nests.arena_bytes,
            weight_bytes: constants.map(|buffer| buffer.bytes()).sum(),
        }
    }
}

impl Budget {
    /// The bounds that a machine's memories set.
    pub fn of(machine: &Machine) -> Budget {
        let size = |place| machine.memory_for(place).map(|memory| memory.size);
        Budget { ram: size(Place::Data), flash: size(Place::Constants) }
    }

    /// Fails where the footprint exceeds the budget.
    pub fn check(self, footprint: Footprint) -> Result<()> {
        let over = |bytes: usize, bound: Option<u64>| bound.filter(|&bound| bytes as u64 > bound);
        let mut failures = vec![];
        if let Some(bound) = over(footprint.arena_bytes, self.ram) {
            let message =
                format!("the arena takes {} bytes of RAM, {bound} are allowed", footprint.arena_bytes);
            let help = "a smaller input or narrower layers need less; \
                        `nablac show MODEL --after plan` says which buffers live at once";
            failures.push(*Failure::new(Code::Ram, message).help(help));
        }
        if let Some(bound) = over(footprint.weight_bytes, self.flash) {
            let message =
                format!("the weights take {} bytes of flash, {bound} are allowed", footprint.weight_bytes);
            failures
                .push(*Failure::new(Code::Flash, message).help("weights of 8 bits take a quarter of this"));
        }
        if failures.is_empty() { Ok(()) } else { Err(Failure::several(failures)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_budget_is_checked_and_a_bound_is_allowed_to_be_met() {
        let footprint = Footprint { arena_bytes: 100, weight_bytes: 1000 };
        let check = |ram, flash| Budget { ram, flash }.check(footprint);
        assert!(check(None, None).is_ok());
        assert!(check(Some(100), Some(1000)).is_ok());
        assert_eq!(check(Some(99), None).unwrap_err().code, Code::Ram);
        assert_eq!(check(None, Some(999)).unwrap_err().code, Code::Flash);
        let both = check(Some(1), Some(1)).unwrap_err();
        assert_eq!((both.parts.len(), both.exit_code()), (2, 4));
    }
}
