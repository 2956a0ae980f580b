//! Instruction timings: a published table of cycles per class of instructions, as data. How often each instruction ran,
//! and what its operands are, is somebody else's to know.

use crate::Error;
use serde::{Deserialize, Serialize};

const BUILT_IN: &[(&str, &str)] = &[("cortex-m4", include_str!("../data/timings/cortex-m4.toml"))];

/// The condition codes that an assembler appends to the mnemonic of a conditional instruction.
const CONDITIONS: &[&str] =
    &["eq", "ne", "cs", "cc", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"];

/// How long a processor's instructions take. Every figure with a range is `[low, typical, high]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingTable {
    /// The processor.
    pub name: String,
    /// What refilling the pipeline adds to each jump that is taken.
    pub refill: [u64; 3],
    /// The cycles of an instruction that is in no class.
    pub other: u64,
    /// The published tables that the figures come from.
    pub sources: Vec<String>,
    /// The classes; the first that names a mnemonic has it.
    pub classes: Vec<InstructionClass>,
}

/// Instructions that take equally long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstructionClass {
    /// What they do.
    pub name: String,
    /// The assembler's names, without condition, width or type suffix.
    pub mnemonics: Vec<String>,
    /// The cycles of one of them.
    pub cycles: [u64; 3],
    /// More cycles for each 32-bit word in its register operands or register list.
    #[serde(default)]
    pub per_word: u64,
    /// More cycles if the address is the sum of two registers.
    #[serde(default)]
    pub register_offset: u64,
    /// All that it takes, if it is pipelined behind a single load.
    #[serde(default)]
    pub after_load: Option<u64>,
    /// Whether it is a single load, behind which the next access may be pipelined.
    #[serde(default)]
    pub is_load: bool,
}

impl TimingTable {
    /// The built-in table of that name.
    pub fn load(name: &str) -> Result<TimingTable, Error> {
        let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
            let near = BUILT_IN.iter().map(|(known, _)| (*known).to_owned()).collect();
            return Err(Error::Unknown { name: format!("timing table {name}"), near });
        };
        toml::from_str(text)
            .map_err(|error| Error::Malformed { file: name.to_owned(), message: error.to_string() })
    }

    /// The class of an instruction as a disassembler writes it, suffixes and all (`ldrne.w`, `vfma.f32`).
    pub fn class_of(&self, mnemonic: &str) -> Option<&InstructionClass> {
        let plain = mnemonic.split('.').next().unwrap_or(mnemonic);
        self.class_named(plain).or_else(|| {
            let unconditional = CONDITIONS.iter().find_map(|condition| plain.strip_suffix(condition))?;
            self.class_named(unconditional)
        })
    }

    fn class_named(&self, mnemonic: &str) -> Option<&InstructionClass> {
        self.classes.iter().find(|class| class.mnemonics.iter().any(|known| known == mnemonic))
    }
}

#[cfg(test)]
mod tests {
    use super::TimingTable;

    #[test]
    fn suffixes_do_not_hide_the_class() {
        let table = TimingTable::load("cortex-m4").unwrap();
        let rows = [
            ("ldr", Some("load")),
            ("ldr.w", Some("load")),
            ("ldrsbne.w", Some("load")),
            ("ldrd", Some("load or store of two words")),
            ("bls.n", Some("branch")),
            ("blt.n", Some("branch")),
            ("bl", Some("branch")),
            ("bxeq", Some("branch")),
            ("vmls.f32", Some("float multiply and add")),
            ("vfma.f32", Some("float multiply and add")),
            ("popne", Some("load or store of a register list")),
            ("bics", None),
            ("smlad", None),
            ("muls", None),
            ("vadd.f32", None),
        ];
        for (mnemonic, class) in rows {
            assert_eq!(table.class_of(mnemonic).map(|c| c.name.as_str()), class, "{mnemonic}");
        }
    }
}
