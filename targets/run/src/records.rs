//! What a program on a bare computer sends through its one port: text, files, what was counted, how it ended. The same kinds of records
//! stand in `nablac_harness_computer.c`.

use crate::Error;
use crate::command::write;
use crate::counts::{Count, Counts};
use std::path::Path;

/// The file in which the emulator collects them.
pub(crate) const RECORDS: &str = "records.bin";

const EXITED: u8 = 0;
const TEXT: u8 = 1;
const OPENED: u8 = 2;
const CALL: u8 = 3;
const COUNT: u8 = 4;
const FILES: u8 = 5;

/// All that a program sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// The status that it ended with; nothing if it did not.
    pub status: Option<u32>,
    /// What it printed.
    pub text: String,
    /// What it counted.
    pub counts: Counts,
    /// The files that it wrote, with their names, in the order in which they were opened.
    files: Vec<(String, Vec<u8>)>,
}

impl Records {
    /// Reads them; the last one may be cut off where the emulator was ended.
    pub fn parse(mut bytes: &[u8]) -> Result<Records, Error> {
        let mut records = Records::default();
        while let Some((header, rest)) = bytes.split_first_chunk::<5>() {
            let count = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
            let Some((content, rest)) = rest.split_at_checked(count) else { break };
            records.add(header[0], content).ok_or_else(|| Error::Malformed {
                file: RECORDS.to_owned(),
                reason: format!("a record of kind {} with {count} bytes is not understood", header[0]),
            })?;
            bytes = rest;
        }
        Ok(records)
    }

    fn add(&mut self, kind: u8, content: &[u8]) -> Option<()> {
        let number = |at: usize| Some(u64::from_le_bytes(content.get(at..at + 8)?.try_into().ok()?));
        match kind {
            EXITED => self.status = Some(u32::from_le_bytes(content.try_into().ok()?)),
            TEXT => self.text.push_str(&String::from_utf8_lossy(content)),
            OPENED => {
                let name = String::from_utf8(content.to_owned()).ok()?;
                let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
                self.files.push((is_plain.then_some(name)?, Vec::new()));
            }
            CALL => self.counts.calls.push(number(0)?),
            COUNT => {
                let count = Count { executed: number(8)?, ..Count::default() };
                self.counts.by_address.insert(number(0)?, count);
            }
            _ => self.files.get_mut(usize::from(kind - FILES))?.1.extend_from_slice(content),
        }
        Some(())
    }

    /// Puts the files that the program wrote into a folder.
    pub fn write_files(&self, folder: &Path) -> Result<(), Error> {
        self.files.iter().try_for_each(|(name, bytes)| write(&folder.join(name), bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::Records;

    #[test]
    fn what_is_sent_is_understood_or_refused() {
        let record =
            |kind: u8, content: &[u8]| [&[kind][..], &(content.len() as u32).to_le_bytes(), content].concat();
        let count = [16u64.to_le_bytes(), 2u64.to_le_bytes()].concat();
        let all = [
            record(2, b"a.bin"),
            record(1, b"so "),
            record(5, b"12"),
            record(1, b"far"),
            record(5, b"3"),
            record(3, &2u64.to_le_bytes()),
            record(4, &count),
            record(0, &7u32.to_le_bytes()),
        ];
        let records = Records::parse(&all.concat()).unwrap();
        assert_eq!((records.status, records.text.as_str()), (Some(7), "so far"));
        assert_eq!(records.files, [("a.bin".to_owned(), b"123".to_vec())]);
        assert_eq!((&records.counts.calls[..], records.counts.by_address[&16].executed), (&[2][..], 2));
        let cut = all.concat();
        assert_eq!(Records::parse(&cut[..cut.len() - 1]).unwrap().status, None);
        for wrong in [record(0, b""), record(2, b"../a"), record(5, b"1"), record(4, b"1"), record(99, b"")] {
            assert!(Records::parse(&wrong).is_err(), "{wrong:?}");
        }
    }
}
