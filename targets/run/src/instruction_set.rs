//! Holds a linked program, the libraries in it included, against the instructions that its machine has. That matters where the
//! emulated processor has more of them: it would run what the machine cannot.

use crate::Error;
use crate::disassembly::Instruction;
use crate::image::Program;
use nablac_machine::{InstructionSet, Machine};

/// An error that names every instruction of the program that the machine lacks.
pub(crate) fn check(machine: &Machine, program: &Program, instructions: &[Instruction]) -> Result<(), Error> {
    let Some(set) = &machine.instruction_set else { return Ok(()) };
    let foreign = instructions.iter().filter(|instruction| !has(set, instruction));
    let describe = |instruction: &Instruction| {
        let function = program.function_at(instruction.address);
        let text = match instruction.mnemonic.as_str() {
            "" => "an undefined instruction".to_owned(),
            mnemonic => format!("`{}`", format!("{mnemonic} {}", instruction.operands).trim_end()),
        };
        let name = function.map_or("(no symbol)", |function| &function.name);
        format!("{text} in `{name}` at {:#x}", instruction.address)
    };
    let found: Vec<String> = foreign.map(describe).collect();
    match found.is_empty() {
        true => Ok(()),
        false => Err(Error::ForeignInstructions { machine: machine.name.clone(), found }),
    }
}

fn has(set: &InstructionSet, instruction: &Instruction) -> bool {
    let plain = instruction.mnemonic.split('.').next().unwrap_or_default();
    let is_in = |names: &[String]| names.iter().any(|name| name == plain);
    instruction.is_data()
        || match instruction.bytes {
            2 => !plain.is_empty() && !is_in(&set.narrow_except),
            _ => is_in(&set.wide_only),
        }
}

#[cfg(test)]
mod tests {
    use super::has;
    use crate::disassembly::Instruction;
    use nablac_machine::Machine;

    #[test]
    fn armv6_m_has_what_its_manual_says() {
        let set = Machine::load("cortex-m0plus").unwrap().instruction_set.unwrap();
        let rows = [
            (2, "ldr", true),
            (2, "bne.n", true),
            (2, "muls", true),
            (2, "cbz", false),
            (2, "cbnz", false),
            (2, "it", false),
            (2, "itete", false),
            (2, "", false),
            (4, "bl", true),
            (4, "dmb", true),
            (4, "udf.w", true),
            (4, "mrs", true),
            (4, "ldr.w", false),
            (4, "udiv", false),
            (4, "movw", false),
            (4, "b.w", false),
            (4, "umull", false),
            (4, "vadd.f32", false),
            (4, "nop.w", false),
            (4, ".word", true),
            (2, ".short", true),
        ];
        for (bytes, mnemonic, expected) in rows {
            let instruction =
                Instruction { address: 0, bytes, mnemonic: mnemonic.to_owned(), operands: String::new() };
            assert_eq!(has(&set, &instruction), expected, "{bytes} bytes: `{mnemonic}`");
        }
    }
}
