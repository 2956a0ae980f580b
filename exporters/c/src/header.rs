//! The public header: `NAME.h`.

use nablac_loops::{Buffer, Program, arena_alignment};

use crate::blob::{self, Places};
use crate::identifiers::Identifiers;
use crate::literal::{c_type, comment_text};
use crate::{Options, Scale};
use crate::{delivery, pool, state};

/// The text of `NAME.h`; `blob` has the places of constants that are not part of the code.
pub fn header(
    program: &Program,
    identifiers: &Identifiers,
    options: &Options,
    blob: Option<&Places>,
) -> String {
    let Identifiers { prefix, upper, .. } = identifiers;
    let mut shapes = String::new();
    let mut places = String::new();
    let mut setters = String::new();
    let inputs = program.inputs().into_iter().enumerate().map(|(k, id)| (k, "input", "", id));
    let outputs = program.outputs().into_iter().enumerate().map(|(k, id)| (k, "output", "const ", id));
    for (position, kind, constant, id) in inputs.chain(outputs) {
        let buffer = program.buffer(id);
        let macro_name = format!("{upper}_{}{position}", kind.to_ascii_uppercase());
        shapes += &shape(buffer, options.scales.get(&buffer.name), &macro_name, kind, position);
        if kind == "input"
            && let Some(declaration) = delivery::declaration(program, position, id)
        {
            setters += &declaration;
            continue;
        }
        let t = c_type(buffer.dtype);
        places += &format!("{constant}{t} *{prefix}_{kind}{position}({constant}{prefix}_ctx_t *ctx);\n");
    }
    let apart = |text: &'static str| blob.map_or("", |_| text);
    include_str!("../templates/header.h")
        .replace("@VERSION@", &options.version)
        .replace("@MODEL_SHA256@", &options.model_sha256)
        .replace("@ARENA_SIZE@", &program.arena_bytes.to_string())
        .replace("@ARENA_ALIGN@", &arena_alignment(program).to_string())
        .replace("@RESET@\n", state::declaration(program))
        .replace("@POOL_TYPE@\n", pool::only(program, pool::TYPE))
        .replace("@STATUSES@\n", &statuses(program, blob.is_some()))
        .replace("@ROW_TYPES@\n", &delivery::types(program))
        .replace("@INPUT_FIELDS@\n", &delivery::fields(program))
        .replace("@WEIGHTS_SIZE@\n", &blob.map_or(String::new(), Places::sizes))
        .replace("@WEIGHTS_FIELD@\n", apart(blob::FIELD))
        .replace("@SET_WEIGHTS@\n", apart(blob::DECLARATION))
        .replace("@POOL_FIELD@\n", pool::only(program, pool::FIELD))
        .replace("@SET_POOL@\n", pool::only(program, pool::DECLARATION))
        .replace("@THREADS@", &program.threads().to_string())
        .replace("@SHAPES@\n", &shapes)
        .replace("@PLACES@", &(places + &setters))
        .replace("@NAME@", prefix)
        .replace("@UPPER@", upper)
}

/// What calls return; whether the weights are `apart` from the code.
fn statuses(program: &Program, apart: bool) -> String {
    let always = [
        ("OK", 0, ""),
        ("ERROR_ARGUMENT", 1, "a pointer is null, or the context is not initialized"),
        ("ERROR_ARENA", 2, "the arena is smaller than @UPPER@_ARENA_SIZE"),
        ("ERROR_ALIGNMENT", 3, "the arena's address is no multiple of @UPPER@_ARENA_ALIGN"),
    ];
    let threads = pool::exists(program).then_some(pool::STATUS);
    let rows = delivery::can_fail(program).then_some(delivery::STATUS);
    let weights = blob::STATUSES.iter().copied().filter(|_| apart);
    let all: Vec<(&str, u32, &str)> = always.into_iter().chain(threads).chain(rows).chain(weights).collect();
    let line = |(position, (name, value, why)): (usize, &(&str, u32, &str))| {
        let comma = if position + 1 < all.len() { "," } else { "" };
        let comment = if why.is_empty() { String::new() } else { format!(" /* {why} */") };
        format!("    @UPPER@_{name} = {value}{comma}{comment}\n")
    };
    all.iter().enumerate().map(line).collect()
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
