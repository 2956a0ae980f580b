//! Constant arrays as C text.

use nablac_index::Array;

use crate::literal::number;

/// The widest line of numbers.
const WIDTH: usize = 108;

/// The elements between braces, on lines of their own behind `indent`; an empty array has one zero, as C asks for.
pub fn initializer(array: &Array, indent: &str, needs_math: &mut bool) -> String {
    let mut text = String::from("{\n");
    let mut line = String::from(indent);
    for value in array.values() {
        let next = number(array.dtype(), value, needs_math);
        if line.len() + next.len() + 2 > WIDTH {
            text += &line;
            text.push('\n');
            line = indent.into();
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line += &next;
        line.push(',');
    }
    if array.is_empty() {
        line += "0,";
    }
    text += &line;
    text += "\n";
    text + &indent[4..] + "}"
}
