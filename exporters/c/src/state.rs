//! States in the public interface: `NAME_reset`, and what the header says of it.

use nablac_loops::Program;

use crate::blob::Places;
use crate::helper::Helpers;
use crate::identifiers::Identifiers;
use crate::source::address;
use crate::weights::is_stored;

/// Whether anything outlives a run.
pub fn exists(program: &Program) -> bool {
    program.states().next().is_some()
}

/// `NAME_reset`, where there are states.
pub fn reset(
    program: &Program,
    identifiers: &Identifiers,
    blob: Option<&Places>,
    helpers: &mut Helpers,
) -> String {
    if !exists(program) {
        return String::new();
    }
    let mut lines = String::new();
    for (id, state) in program.states() {
        let buffer = program.buffer(id);
        let (place, bytes) = (address("ctx->arena", buffer.offset.unwrap_or(0)), buffer.bytes());
        let Some(byte) = state.initial.bytes().first() else { continue };
        helpers.string = true;
        lines += &match is_stored(&state.initial) {
            true => {
                let initial = blob.map_or(identifiers.initials[&id].clone(), |blob| blob.address(id));
                format!("    memcpy({place}, {initial}, {bytes}U);\n")
            }
            false => format!("    memset({place}, {byte}, {bytes}U);\n"),
        };
    }
    let text = include_str!("../templates/reset.c").replace("@LINES@\n", &lines);
    text.replace("@UNSET@", blob.map_or("", |_| " || ctx->weights == NULL"))
}

/// The declaration of `NAME_reset` with what its caller must know, where there are states.
pub fn declaration(program: &Program) -> &'static str {
    if exists(program) { include_str!("../templates/reset.h") } else { "" }
}
