//! A linked program as the machine's disassembler lists it: each instruction with its address, its width and its operands. What an
//! instruction does or costs is somebody else's to know.

use crate::Error;
use crate::command::Tool;
use std::path::Path;
use std::time::Duration;

/// Why a disassembler must be installed.
pub(crate) const PURPOSE: &str = "to list a program's instructions";

/// One line of a disassembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub address: u64,
    pub bytes: usize,
    /// Empty, if the disassembler knows none.
    pub mnemonic: String,
    pub operands: String,
}

impl Instruction {
    /// Whether this is no instruction, but data between them.
    pub fn is_data(&self) -> bool {
        self.mnemonic.starts_with('.')
    }
}

/// The instructions of a program in `folder`.
pub(crate) fn disassemble(
    tool: &nablac_machine::Tool,
    folder: &Path,
    program: &str,
    timeout: Duration,
) -> Result<Vec<Instruction>, Error> {
    let tool = Tool { command: &tool.command, package: &tool.package, purpose: PURPOSE };
    let listing = tool.run(&["-d", program].map(str::to_owned), folder, "program.lst", timeout)?.success()?;
    let instructions = parse(&listing);
    match instructions.is_empty() {
        false => Ok(instructions),
        true => Err(Error::Malformed {
            file: "program.lst".to_owned(),
            reason: "it has no instruction".to_owned(),
        }),
    }
}

/// The instructions in what `objdump -d` prints: address, the bytes in hexadecimal, mnemonic, operands.
pub(crate) fn parse(text: &str) -> Vec<Instruction> {
    let parse = |line: &str| {
        let mut fields = line.split('\t');
        let address = u64::from_str_radix(fields.next()?.trim().strip_suffix(':')?, 16).ok()?;
        let digits = fields.next()?.chars().filter(char::is_ascii_hexdigit).count();
        let mnemonic = fields.next()?.trim().to_owned();
        let operands = fields.next().unwrap_or_default().split([';', '@']).next().unwrap_or_default();
        Some(Instruction { address, bytes: digits / 2, mnemonic, operands: operands.trim().to_owned() })
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_are_taken_apart() {
        let listing = "\n00000010 <f>:\n  10:\t4b02      \tldr\tr3, [pc, #8]\t@ (1c <f+0xc>)\n  12:\tfbb0 f0f1 \tudiv\tr0, r0, r1\n  \
            16:\tb6f0      \t\t\t@ <UNDEFINED> instruction: 0xb6f0\n  18:\t00000020 \t.word\t0x00000020\n";
        let rows = parse(listing);
        let row = |i: usize| (rows[i].address, rows[i].bytes, rows[i].mnemonic.as_str());
        assert_eq!([row(0), row(1)], [(0x10, 2, "ldr"), (0x12, 4, "udiv")]);
        assert_eq!([row(2), row(3)], [(0x16, 2, ""), (0x18, 4, ".word")]);
        assert_eq!((rows[0].operands.as_str(), rows.len()), ("r3, [pc, #8]", 4));
        assert_eq!(rows.iter().map(|row| row.is_data()).collect::<Vec<_>>(), [false, false, false, true]);
    }
}
