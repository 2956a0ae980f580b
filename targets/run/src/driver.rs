//! Writes the driver: the C program around a library that feeds it samples. The rest of the harness is fixed text.

use crate::Artifact;
use std::fmt::Write as _;

const TEMPLATE: &str = include_str!("../harness/nablac_driver.c");

const START_POOL: &str = "    if (@NAME@_pool_start(&pool, @NAME_UPPER@_THREADS) != @NAME_UPPER@_OK) {
        nablac_print(\"cannot start threads\\n\");
        return 1;
    }
";

/// The driver's C for an artifact.
pub(crate) fn source(artifact: &Artifact) -> String {
    let name = &artifact.name;
    let mut reads = String::new();
    for (index, bytes) in artifact.input_bytes.iter().enumerate() {
        line(&mut reads, &format!("failed |= nablac_read(file, {name}_input{index}(&context), {bytes}u);"));
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
    TEMPLATE
        .replace("@POOL_HEADER@\n", &pooled("#include \"@NAME@_pool.h\"\n"))
        .replace("@POOL@\n", &pooled("static @NAME@_pool_t pool;\n"))
        .replace(
            "@SET_POOL@\n",
            &pooled("    (void)@NAME@_set_pool(&context, &pool); /* it is initialized */\n"),
        )
        .replace("@START_POOL@\n", &pooled(START_POOL))
        .replace("@STOP_POOL@\n", &pooled("    @NAME@_pool_stop(&pool);\n"))
        .replace("@NAME@", name)
        .replace("@NAME_UPPER@", &name.to_ascii_uppercase())
        .replace("@READ_INPUTS@", reads.trim_end())
        .replace("@WRITE_OUTPUTS@", writes.trim_end())
}

fn line(text: &mut String, statement: &str) {
    let _ = writeln!(text, "    {statement}"); // a String takes any text
}
