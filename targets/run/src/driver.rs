//! Writes the driver: the C program around a library that feeds it samples. The rest of the harness is fixed text.

use nablac_machine::measure::Feed;

use crate::Artifact;
use std::fmt::Write as _;

const TEMPLATE: &str = include_str!("../harness/nablac_driver.c");

const START_POOL: &str = "    if (@NAME@_pool_start(&pool, @NAME_UPPER@_THREADS) != @NAME_UPPER@_OK) {
        nablac_print(\"cannot start threads\\n\");
        return 1;
    }
";

const SET_WEIGHTS: &str = "    status = @NAME@_set_weights(&context, @NAME@_weights, sizeof @NAME@_weights);
    if (status != @NAME_UPPER@_OK) {
        complain(\"@NAME@_set_weights returned \", (uint32_t)status);
        return 1;
    }
";

/// The driver's C for an artifact.
pub(crate) fn source(artifact: &Artifact) -> String {
    let (name, upper) = (&artifact.name, artifact.name.to_ascii_uppercase());
    let mut reads = String::new();
    let mut kept = String::new();
    for (index, bytes) in artifact.input_bytes.iter().enumerate() {
        let feed = artifact.feeds.get(index).copied().unwrap_or_default();
        let place = match feed {
            Feed::Whole => format!("{name}_input{index}(&context)"),
            Feed::External | Feed::Rows { .. } => format!("input{index}"),
        };
        line(&mut reads, &format!("failed |= nablac_read(file, {place}, {bytes}u);"));
        kept += &kept_input(index, *bytes, feed);
        if let Some(given) = given(feed, index) {
            line(&mut reads, &format!("failed |= {name}_set_input{index}(&context, {given}) != {upper}_OK;"));
        }
    }
    let mut writes = String::new();
    for (index, bytes) in artifact.output_bytes.iter().enumerate() {
        line(
            &mut writes,
            &format!("failed |= nablac_write(file, {name}_output{index}(&context), {bytes}u);"),
        );
    }
    for (lines, transfers) in [(&mut reads, &artifact.input_bytes), (&mut writes, &artifact.output_bytes)] {
        if transfers.is_empty() {
            line(lines, "(void)file;");
        }
    }
    let pooled = |template: &str| if artifact.threads > 1 { template.to_owned() } else { String::new() };
    let apart = |template: &str| if artifact.blob { template.to_owned() } else { String::new() };
    TEMPLATE
        .replace("@POOL_HEADER@\n", &pooled("#include \"@NAME@_pool.h\"\n"))
        .replace("@WEIGHTS_HEADER@\n", &apart("#include \"@NAME@_weights.h\"\n"))
        .replace("@SET_WEIGHTS@\n", &apart(SET_WEIGHTS))
        .replace("@POOL@\n", &pooled("static @NAME@_pool_t pool;\n"))
        .replace(
            "@SET_POOL@\n",
            &pooled("    (void)@NAME@_set_pool(&context, &pool); /* it is initialized */\n"),
        )
        .replace("@START_POOL@\n", &pooled(START_POOL))
        .replace("@STOP_POOL@\n", &pooled("    @NAME@_pool_stop(&pool);\n"))
        .replace("@KEPT@\n", &kept)
        .replace("@NAME@", name)
        .replace("@NAME_UPPER@", &upper)
        .replace("@READ_INPUTS@", reads.trim_end())
        .replace("@WRITE_OUTPUTS@", writes.trim_end())
}

/// An input that stays with the caller, which is the driver: its memory, and the function that delivers its rows.
fn kept_input(index: usize, bytes: usize, feed: Feed) -> String {
    let array = format!("static unsigned char input{index}[{}] __attribute__((aligned(8)));\n", bytes.max(1));
    match feed {
        Feed::Whole => String::new(),
        Feed::External => array,
        Feed::Rows { pieces, rows, bytes } => format!(
            "{array}\nstatic int deliver_input{index}(void *user, int32_t row, void *into)\n{{\n    (void)user;\n    \
             for (size_t piece = 0; piece < {pieces}u; piece++) {{\n        const unsigned char *from = \
             &input{index}[(piece * {rows}u + (size_t)row) * {bytes}u];\n        \
             nablac_copy((unsigned char *)into + piece * {bytes}u, from, {bytes}u);\n    }}\n    return 0;\n}}\n"
        ),
    }
}

/// The driver's functions that `NAME_run` calls through pointers.
pub(crate) fn callbacks(artifact: &Artifact) -> Vec<String> {
    let feeds = artifact.feeds.iter().enumerate();
    let rows = feeds.filter(|(_, feed)| matches!(feed, Feed::Rows { .. }));
    rows.map(|(index, _)| format!("deliver_input{index}")).collect()
}

/// What `NAME_set_inputK` is passed.
fn given(feed: Feed, index: usize) -> Option<String> {
    match feed {
        Feed::Whole => None,
        Feed::External => Some(format!("(const void *)input{index}")),
        Feed::Rows { .. } => Some(format!("deliver_input{index}, NULL")),
    }
}

fn line(text: &mut String, statement: &str) {
    let _ = writeln!(text, "    {statement}"); // a String takes any text
}
