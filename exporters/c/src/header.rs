//! The public header: `NAME.h`.

use nablac_loops::{Buffer, Program, arena_alignment};

use crate::identifiers::Identifiers;
use crate::literal::{c_type, comment_text};
use crate::{Options, Scale};
use crate::{pool, state};

/// The text of `NAME.h`.
pub fn header(program: &Program, identifiers: &Identifiers, options: &Options) -> String {
    let Identifiers { prefix, upper, .. } = identifiers;
    let mut shapes = String::new();
    let mut places = String::new();
    let inputs = program.inputs().into_iter().enumerate().map(|(k, id)| (k, "input", "", id));
    let outputs = program.outputs().into_iter().enumerate().map(|(k, id)| (k, "output", "const ", id));
    for (position, kind, constant, id) in inputs.chain(outputs) {
        let buffer = program.buffer(id);
        let macro_name = format!("{upper}_{}{position}", kind.to_ascii_uppercase());
        shapes += &shape(buffer, options.scales.get(&buffer.name), &macro_name, kind, position);
        let t = c_type(buffer.dtype);
        places += &format!("{constant}{t} *{prefix}_{kind}{position}({constant}{prefix}_ctx_t *ctx);\n");
    }
    include_str!("../templates/header.h")
        .replace("@VERSION@", &options.version)
        .replace("@MODEL_SHA256@", &options.model_sha256)
        .replace("@ARENA_SIZE@", &program.arena_bytes.to_string())
        .replace("@ARENA_ALIGN@", &arena_alignment(program).to_string())
        .replace("@RESET@\n", state::declaration(program))
        .replace("@POOL_TYPE@\n", pool::only(program, pool::TYPE))
        .replace("@COMMA@", pool::only(program, ","))
        .replace("@POOL_STATUS@\n", pool::only(program, pool::STATUS))
        .replace("@POOL_FIELD@\n", pool::only(program, pool::FIELD))
        .replace("@SET_POOL@\n", pool::only(program, pool::DECLARATION))
        .replace("@THREADS@", &program.threads().to_string())
        .replace("@SHAPES@\n", &shapes)
        .replace("@PLACES@", &places)
        .replace("@NAME@", prefix)
        .replace("@UPPER@", upper)
}

fn shape(buffer: &Buffer, scale: Option<&Scale>, macro_name: &str, kind: &str, position: usize) -> String {
    let extents: Vec<String> = buffer.shape.iter().map(|extent| extent.to_string()).collect();
    let comment = comment_text(&format!("{}: {}[{}]", buffer.name, buffer.dtype, extents.join(", ")));
    let mut text = format!("/* {kind} {position}, {comment}. SIZE counts elements. */\n");
    let rows = [("SIZE", buffer.len()), ("BYTES", buffer.bytes()), ("RANK", buffer.shape.len())];
    rows.iter().for_each(|(what, value)| text += &format!("#define {macro_name}_{what} {value}U\n"));
    if !extents.is_empty() {
        text += &format!("#define {macro_name}_SHAPE {{{}}}\n", extents.join(", "));
    }
    if let Some(Scale { scale, zero_point }) = scale {
        text += "/* real = SCALE * (integer - ZERO_POINT) */\n";
        text += &format!(
            "#define {macro_name}_SCALE {scale:?}f\n#define {macro_name}_ZERO_POINT ({zero_point})\n"
        );
    }
    text + "\n"
}
