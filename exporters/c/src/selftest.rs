//! The self-test and its golden vectors: the files of `test/`.

use nablac_index::{Array, DType, TensorId};
use nablac_loops::{Buffer, Program, arena_alignment};

use crate::Vector;
use crate::array::initializer;
use crate::identifiers::Identifiers;
use crate::literal::c_type;
use crate::{blob, delivery, pool, state};

/// The name behind `NAME_vectors_`, the buffer, and what it holds in each vector. Buffers without elements are left out.
fn tables<'a>(program: &'a Program, vectors: &'a [Vector]) -> Vec<(String, &'a Buffer, Vec<&'a Array>)> {
    let table = |kind: &str, position: usize, id: TensorId, of: fn(&Vector) -> &Vec<Array>| {
        let arrays = vectors.iter().map(|vector| &of(vector)[position]).collect();
        (format!("{kind}{position}"), program.buffer(id), arrays)
    };
    let inputs = program.inputs().into_iter().enumerate().map(|(k, id)| table("input", k, id, |v| &v.inputs));
    let outputs =
        program.outputs().into_iter().enumerate().map(|(k, id)| table("output", k, id, |v| &v.outputs));
    inputs.chain(outputs).filter(|(_, buffer, _)| !buffer.is_empty()).collect()
}

/// The files of `test/` with their paths; whether the weights are `apart` from the code.
pub fn files(
    program: &Program,
    identifiers: &Identifiers,
    golden: &[Vector],
    apart: bool,
) -> Vec<(String, String)> {
    let Identifiers { prefix, upper, .. } = identifiers;
    let fill = |template: &str| template.replace("@NAME@", prefix).replace("@UPPER@", upper);
    let (header, source) = vectors(program, identifiers, golden);
    let named = [
        ("selftest.h", fill(include_str!("../templates/selftest.h"))),
        ("selftest.c", selftest(program, identifiers, golden, apart)),
        ("selftest_main.c", fill(include_str!("../templates/selftest_main.c"))),
        ("vectors.h", header),
        ("vectors.c", source),
    ];
    named.into_iter().map(|(name, text)| (format!("test/{prefix}_{name}"), text)).collect()
}

/// `NAME_vectors.h` and `NAME_vectors.c`.
fn vectors(program: &Program, identifiers: &Identifiers, vectors: &[Vector]) -> (String, String) {
    let Identifiers { prefix, upper, .. } = identifiers;
    let mut header = format!(
        "/* Golden vectors of {prefix}. */\n#ifndef {upper}_VECTORS_H\n#define {upper}_VECTORS_H\n\n"
    );
    header += &format!("#include \"{prefix}.h\"\n\n#define {upper}_VECTORS {}U\n\n", vectors.len());
    header += "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    let mut math = false;
    let mut arrays = String::new();
    for (name, buffer, values) in tables(program, vectors) {
        let size = format!("[{upper}_VECTORS][{upper}_{}_SIZE]", name.to_ascii_uppercase());
        let declaration = format!("const {} {prefix}_vectors_{name}{size}", c_type(buffer.dtype));
        header += &format!("extern {declaration};\n");
        let rows: Vec<String> = values
            .iter()
            .map(|array| format!("    {},\n", initializer(array, "        ", &mut math)))
            .collect();
        arrays += &format!("\n{declaration} = {{\n{}}};\n", rows.concat());
    }
    header += "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
    let include = if math { "\n#include <math.h>\n" } else { "" };
    let source =
        format!("/* Golden vectors of {prefix}. */\n#include \"{prefix}_vectors.h\"\n{include}{arrays}");
    (header, source)
}

/// `NAME_selftest.c`.
fn selftest(program: &Program, identifiers: &Identifiers, vectors: &[Vector], apart: bool) -> String {
    let Identifiers { prefix, upper, .. } = identifiers;
    let (mut copies, mut checks) = (String::new(), String::new());
    let mut compared: Vec<DType> = vec![];
    for (name, buffer, _) in tables(program, vectors) {
        let big = name.to_ascii_uppercase();
        let expected = format!("{prefix}_vectors_{name}[vector]");
        let input = name.strip_prefix("input").and_then(|k| k.parse::<usize>().ok());
        if let Some(given) = input.and_then(|k| delivery::test_gives(program, k, program.inputs()[k])) {
            copies += &given;
            continue;
        }
        if input.is_some() {
            copies += &format!("    memcpy({prefix}_{name}(ctx), {expected}, {upper}_{big}_BYTES);\n");
            continue;
        }
        compared.push(buffer.dtype);
        let count = format!("{upper}_{big}_SIZE");
        checks += &format!(
            "    report_differences(report, vector, \", output {}: \",\n                       \
             differing_{}({prefix}_{name}(ctx), {expected}, {count}), {count});\n",
            &name["output".len()..],
            buffer.dtype,
        );
    }
    let mut includes = String::new();
    includes += if compared.iter().any(|t| t.is_float()) { "#include <math.h>\n" } else { "" };
    includes += if copies.is_empty() && !apart { "" } else { "#include <string.h>\n" };
    let only = |text: &'static str| if apart { text } else { "" };
    // Each vector is a sequence by itself.
    let reset = if state::exists(program) { "    @NAME@_reset(ctx);\n" } else { "" };
    let text = include_str!("../templates/selftest.c");
    text.replace("@INCLUDES@\n\n", &if includes.is_empty() { includes } else { includes + "\n" })
        .replace("@COMPARISONS@", &comparisons(compared))
        .replace("@DELIVER@\n", &delivery::test_functions(program))
        .replace("@CHECK_ARENA@", &arena_checks(program))
        .replace(
            "@COPIES@",
            if copies.is_empty() && checks.is_empty() { "    (void)vector;\n" } else { &copies },
        )
        .replace("@RESET@", reset)
        .replace("@WEIGHTS_HEADER@\n", only("#include \"@NAME@_weights.h\"\n"))
        .replace("@CHECK_WEIGHTS@", only(blob::TEST))
        .replace("@SET_WEIGHTS@\n", only("    check_weights(&report, &ctx);\n"))
        .replace("@POOL@\n", pool::only(program, pool::TEST))
        .replace("@POOL_HEADER@\n", pool::only(program, "#include \"@NAME@_pool.h\"\n"))
        .replace("@CHECKS@", &checks)
        .replace("@NAME@", prefix)
        .replace("@UPPER@", upper)
}

/// One function per element type of an output.
fn comparisons(mut dtypes: Vec<DType>) -> String {
    dtypes.sort();
    dtypes.dedup();
    let mut text = String::new();
    for dtype in dtypes {
        let template = match dtype.is_float() {
            true => include_str!("../templates/compare_float.c"),
            false => include_str!("../templates/compare_integer.c"),
        };
        let suffix = if dtype == DType::F32 { "f" } else { "" };
        text += &template
            .replace("@DTYPE@", dtype.name())
            .replace("@TYPE@", c_type(dtype))
            .replace("@ZERO@", &format!("0.0{suffix}"))
            .replace("@ONE@", &format!("1.0{suffix}"))
            .replace("@SMALL@", &format!("1e-5{suffix}"))
            .replace("@FABS@", &format!("fabs{suffix}"));
    }
    text
}

/// What `NAME_init` says of an arena that is too small or at an odd address.
fn arena_checks(program: &Program) -> String {
    let check = |what: &str, arena: &str, size: &str, status: &str| {
        format!(
            "    report_check(report, \"{what}\",\n                 \
             @NAME@_init(ctx, {arena}, @UPPER@_ARENA_SIZE{size}) == @UPPER@_{status});\n"
        )
    };
    let mut text = String::new();
    if program.arena_bytes > 0 {
        text += &check("small arena", "arena", " - 1U", "ERROR_ARENA");
    }
    if arena_alignment(program) > 1 {
        text += &check("misaligned arena", "arena + 1", "", "ERROR_ALIGNMENT");
    }
    text
}
