//! The counting plugin's file: instructions of every call, and of the first call per address.

use crate::Error;
use crate::plugin::COUNTS;
use std::collections::BTreeMap;

/// What the plugin counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The instructions of each call.
    pub calls: Vec<u64>,
    /// The instructions of the first call, by address.
    pub by_address: BTreeMap<u64, Count>,
}

/// How often one instruction ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub executed: u64,
    /// How often it was reached by a jump, rather than from the instruction before it.
    pub jumped_to: u64,
    /// How often it jumped.
    pub jumped_from: u64,
}

impl Counts {
    /// Reads the plugin's text.
    pub fn parse(text: &str) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        for line in text.lines() {
            counts.parse_line(line).ok_or_else(|| malformed(format!("`{line}` is not understood")))?;
        }
        counts.checked()
    }

    /// The same, if it is complete.
    pub fn checked(self) -> Result<Counts, Error> {
        let total: u64 = self.by_address.values().map(|count| count.executed).sum();
        match self.calls.first() {
            None => Err(malformed("the function was never called".to_owned())),
            Some(first) if *first != total => {
                Err(malformed(format!("the first call has {first} instructions, its addresses {total}")))
            }
            Some(_) => Ok(self),
        }
    }

    fn parse_line(&mut self, line: &str) -> Option<()> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["call", instructions] => self.calls.push(instructions.parse().ok()?),
            ["at", address, executed, jumped_to, jumped_from] => {
                let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
                let count = Count {
                    executed: executed.parse().ok()?,
                    jumped_to: jumped_to.parse().ok()?,
                    jumped_from: jumped_from.parse().ok()?,
                };
                self.by_address.insert(address, count);
            }
            _ => return None,
        }
        Some(())
    }
}

fn malformed(reason: String) -> Error {
    Error::Malformed { file: COUNTS.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::{Count, Counts};

    #[test]
    fn counts_are_read_and_must_add_up() {
        let counts = Counts::parse("call 7\nat 0x10 5 1 0\nat 0x12 2 0 1\ncall 9\n").unwrap();
        assert_eq!(counts.calls, [7, 9]);
        assert_eq!(counts.by_address[&0x12], Count { executed: 2, jumped_to: 0, jumped_from: 1 });
        for wrong in ["", "call 8\nat 0x10 7 1 1\n", "call x\n", "at 0x10 1\n"] {
            assert!(Counts::parse(wrong).is_err(), "{wrong}");
        }
    }
}
