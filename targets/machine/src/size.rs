//! Sizes in bytes as people write them: `512`, `64 KiB`, `4MiB`, `64K`. Powers of 1024 only, because memories are.

use serde::{Deserialize, Deserializer, de::Error as _};

const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
];

/// The bytes that `text` says, or nothing if it is no size (an unknown unit, a fraction, more than fits 64 bits).
///
/// ```
/// assert_eq!(nablac_machine::parse_size("64 KiB"), Some(65536));
/// assert_eq!(nablac_machine::parse_size("64 kB"), None);
/// ```
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_size(&text)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no size; write it like \"64 KiB\"")))
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_read_as_people_write_them() {
        assert_eq!(parse_size("0"), Some(0));
        assert_eq!(parse_size("512 B"), Some(512));
        assert_eq!(parse_size(" 3KiB "), Some(3072));
        assert_eq!(parse_size("1 GiB"), Some(1 << 30));
        assert_eq!([parse_size("64K"), parse_size("2M")], [Some(65536), Some(2 << 20)]);
        for wrong in ["", "KiB", "1.5 MiB", "-1", "3 kib", "99999999999999999999", "18446744073709551615 KiB"]
        {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
