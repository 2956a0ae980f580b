//! Numbers and tables as people read them.

/// A table whose columns are as wide as their widest cell; the first row is the head. Columns of numbers are right-aligned.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
    let is_number = |text: &String| text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let numeric = |column| rows.iter().skip(1).all(|row| is_number(&cell(row, column)));
    let layout: Vec<(usize, bool)> = (0..columns).map(|column| (width(column), numeric(column))).collect();
    let mut text = String::new();
    for row in rows {
        let cells = layout.iter().enumerate().map(|(column, &(width, numeric))| match numeric {
            true => format!("{:>width$}", cell(row, column)),
            false => format!("{:<width$}", cell(row, column)),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// `23.4 KiB`; below 1 KiB `812 B`.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.2} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// `1 234 567`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 sample`, `2 samples`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// What stands in a table where nothing is known.
pub const UNKNOWN: &str = "-";

/// `number`, or a dash where there is none.
pub fn optional(value: Option<u64>) -> String {
    value.map_or(UNKNOWN.into(), number)
}

/// `2.95`, or a dash where there is none.
pub fn decimal(value: Option<f64>) -> String {
    value.map_or(UNKNOWN.into(), |value| format!("{value:.2}"))
}

/// `14.2 %` of a part from 0 to 1, or a dash where there is none.
pub fn percent(part: Option<f64>) -> String {
    part.map_or(UNKNOWN.into(), |part| format!("{:.1} %", 100.0 * part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_sizes_have_units() {
        assert_eq!(
            [number(0), number(999), number(1000), number(1234567)],
            ["0", "999", "1 000", "1 234 567"]
        );
        assert_eq!([bytes(1023), bytes(1024), bytes(3 << 20)], ["1023 B", "1.0 KiB", "3.00 MiB"]);
    }

    #[test]
    fn tables_align_text_left_and_numbers_right() {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        let text = table(&[row(["name", "bytes"]), row(["a", "1 000"]), row(["longer", "7"])]);
        assert_eq!(text, "name    bytes\na       1 000\nlonger      7\n");
    }
}
