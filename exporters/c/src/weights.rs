//! The constants: `NAME_weights.h` and `NAME_weights.c`.

use nablac_index::{Array, TensorId};
use nablac_loops::{Buffer, Program, Role};

use crate::array::initializer;
use crate::identifiers::Identifiers;
use crate::literal::{c_type, comment_text};

/// The constants, and initial values of states that are no repeated byte, with their buffers and C names.
fn constants<'a>(
    program: &'a Program,
    identifiers: &'a Identifiers,
) -> impl Iterator<Item = (&'a Buffer, &'a Array, &'a str)> {
    program.buffers().filter_map(|(id, buffer)| match &buffer.role {
        Role::Constant(array) => Some((buffer, array, identifiers.buffers[id.0 as usize].as_str())),
        Role::State(state) if is_stored(&state.initial) => {
            Some((buffer, &state.initial, identifiers.initials[&id].as_str()))
        }
        _ => None,
    })
}

/// The constants and initial values by their buffers.
pub fn arrays(program: &Program) -> impl Iterator<Item = (TensorId, &Array)> {
    program.buffers().filter_map(|(id, buffer)| match &buffer.role {
        Role::Constant(array) => Some((id, array)),
        Role::State(state) if is_stored(&state.initial) => Some((id, &state.initial)),
        _ => None,
    })
}

/// Whether an initial value has a place in flash: one that is the same byte all over needs none.
pub fn is_stored(initial: &Array) -> bool {
    initial.bytes().windows(2).any(|pair| pair[0] != pair[1])
}

fn is_weight(buffer: &Buffer) -> bool {
    match &buffer.role {
        Role::Constant(_) => true,
        Role::State(state) => is_stored(&state.initial),
        _ => false,
    }
}

/// Whether there are any.
pub fn exist(program: &Program) -> bool {
    program.buffers.iter().any(is_weight)
}

/// The bytes of all constants.
pub fn bytes(program: &Program) -> usize {
    program.buffers.iter().filter(|b| is_weight(b)).map(Buffer::bytes).sum()
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
