//! Whether a compiled model fits a memory.
//!
//! Owns what is known of its size without a C compiler: the arena, exactly, and the weights. Code, stack and the context come on
//! top; measured, they count too.

use nablac_loops::{Program, Role};
use nablac_machine::measure::Measurement;
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

    /// Fails where the footprint exceeds the budget; `help` says what fills the arena.
    pub fn check(self, footprint: Footprint, help: impl FnOnce() -> String) -> Result<()> {
        let too_much = self.ram.is_some_and(|bound| footprint.arena_bytes as u64 > bound);
        let help = if too_much { help() } else { String::new() };
        let ram = self.over_ram("the arena takes", footprint.arena_bytes as u64, &help);
        let flash = self.over_flash("the weights take", footprint.weight_bytes as u64);
        combined(ram.into_iter().chain(flash))
    }

    /// Fails where a measured program exceeds the budget.
    pub fn check_measured(self, machine: &str, measured: &Measurement) -> Result<()> {
        let help = "arena, context, data, bss and stack count";
        let ram = self.over_ram(&format!("on {machine} it takes"), measured.ram_bytes, help);
        let flash = self.over_flash(&format!("on {machine} it takes"), measured.flash_bytes);
        combined(ram.into_iter().chain(flash))
    }

    fn over_ram(self, what: &str, bytes: u64, help: &str) -> Option<Failure> {
        let bound = self.ram.filter(|&bound| bytes > bound)?;
        let message = format!("{what} {bytes} bytes of RAM, {bound} are allowed");
        Some(*Failure::new(Code::Ram, message).help(help))
    }

    fn over_flash(self, what: &str, bytes: u64) -> Option<Failure> {
        let bound = self.flash.filter(|&bound| bytes > bound)?;
        let message = format!("{what} {bytes} bytes of flash, {bound} are allowed");
        Some(*Failure::new(Code::Flash, message).help("weights of 8 bits take a quarter of those of 32"))
    }
}

fn combined(failures: impl Iterator<Item = Failure>) -> Result<()> {
    let failures: Vec<Failure> = failures.collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure::several(failures)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_budget_is_checked_and_a_bound_is_allowed_to_be_met() {
        let footprint = Footprint { arena_bytes: 100, weight_bytes: 1000 };
        let check = |ram, flash| Budget { ram, flash }.check(footprint, || "smaller".into());
        assert!(check(None, None).is_ok());
        assert!(check(Some(100), Some(1000)).is_ok());
        assert_eq!(check(Some(99), None).unwrap_err().code, Code::Ram);
        assert_eq!(check(None, Some(999)).unwrap_err().code, Code::Flash);
        let both = check(Some(1), Some(1)).unwrap_err();
        assert_eq!((both.parts.len(), both.exit_code()), (2, 4));
    }
}
