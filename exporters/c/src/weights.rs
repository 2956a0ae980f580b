//! The constants: `NAME_weights.h` and `NAME_weights.c`.

use nablac_index::Array;
use nablac_loops::{Buffer, Program, Role};

use crate::array::initializer;
use crate::identifiers::Identifiers;
use crate::literal::{c_type, comment_text};

/// The constants with their buffers and C names.
fn constants<'a>(
    program: &'a Program,
    identifiers: &'a Identifiers,
) -> impl Iterator<Item = (&'a Buffer, &'a Array, &'a str)> {
    program.buffers.iter().zip(&identifiers.buffers).filter_map(|(buffer, name)| match &buffer.role {
        Role::Constant(array) => Some((buffer, array, name.as_str())),
        _ => None,
    })
}

/// The bytes of all constants.
pub fn bytes(program: &Program) -> usize {
    program.buffers.iter().filter(|b| matches!(b.role, Role::Constant(_))).map(Buffer::bytes).sum()
}

/// The header and the source, where there are constants.
pub fn files(program: &Program, identifiers: &Identifiers) -> Option<(String, String)> {
    constants(program, identifiers).next()?;
    let Identifiers { prefix, upper, .. } = identifiers;
    let mut header = format!("/* The weights of {prefix}: seen by {prefix}.c only. */\n");
    header += &format!("#ifndef {upper}_WEIGHTS_H\n#define {upper}_WEIGHTS_H\n\n#include <stdint.h>\n\n");
    header += "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    let mut arrays = String::new();
    let mut math = false;
    for (buffer, array, name) in constants(program, identifiers) {
        let (t, count) = (c_type(buffer.dtype), array.len().max(1));
        header += &format!("extern const {t} {name}[{count}];\n");
        let numbers = initializer(array, "    ", &mut math);
        let comment = comment_text(&format!("{}: {}{:?}", buffer.name, buffer.dtype, buffer.shape));
        arrays += &format!("\n/* {comment} */\n{upper}_WEIGHTS const {t} {name}[{count}] = {numbers};\n");
    }
    header += "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
    let include = if math { "\n#include <math.h>\n" } else { "" };
    let source = format!(
        "/* The weights of {prefix}. */\n#include \"{prefix}_weights.h\"\n\n#include \"{prefix}_port.h\"\n{include}{arrays}"
    );
    Some((header, source))
}
