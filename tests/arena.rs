//! The size of the arena is one number: in the report of `compile`, in the header, in `metadata.json`, and in what the generated C touches
//! as it runs.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Place, nablac, text};

/// Runs the library in an arena, with all bytes closed from some way before its end; twice, full of one byte and then of another. It prints
/// one past the last byte that is not as it was in one of the two runs.
const HIGH_WATER: &str = r#"
#include <sanitizer/asan_interface.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "@NAME@.h"

#define ROOM (@UPPER@_ARENA_SIZE + 4096U)

static uint64_t storage[ROOM / 8U + 1U];

int main(int count, char **arguments)
{
    static const unsigned char patterns[2] = {0x5A, 0xC3};
    unsigned char *arena = (unsigned char *)storage;
    const size_t open = @UPPER@_ARENA_SIZE - (size_t)(count > 1 ? atoi(arguments[1]) : 0);
    size_t highest = 0;
    for (int k = 0; k < 2; k++) {
        @NAME@_ctx_t ctx;
        size_t end = ROOM;
        memset(arena, patterns[k], ROOM);
        __asan_poison_memory_region(arena + open, ROOM - open);
        if (@NAME@_init(&ctx, arena, @UPPER@_ARENA_SIZE) != @UPPER@_OK) {
            return 1;
        }
        memset(@NAME@_input0(&ctx), 3, @UPPER@_INPUT0_BYTES);
        if (@NAME@_run(&ctx) != @UPPER@_OK) {
            return 1;
        }
        __asan_unpoison_memory_region(arena, ROOM);
        while (end > 0U && arena[end - 1U] == patterns[k]) {
            end--;
        }
        highest = end > highest ? end : highest;
    }
    printf("%lu\n", (unsigned long)highest);
    return 0;
}
"#;

/// A run with so many of the arena's last bytes closed: one past the last byte that is written, or nothing where a closed one is touched.
fn high_water(folder: &Path, name: &str, closed: usize) -> Option<u64> {
    let ran = Command::new(folder.join("high_water")).arg(closed.to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() || said.contains("use-after-poison"), "{name}: {said}");
    ran.status.success().then(|| String::from_utf8(ran.stdout).unwrap().trim().parse().unwrap())
}

fn build(folder: &Path, name: &str) {
    let main = HIGH_WATER.replace("@NAME@", name).replace("@UPPER@", &name.to_ascii_uppercase());
    fs::write(folder.join("high_water.c"), main).unwrap();
    let sources = [format!("src/{name}.c"), format!("src/{name}_weights.c"), "high_water.c".into()];
    let built = Command::new("cc")
        .current_dir(folder)
        .args(["-std=c99", "-O1", "-fsanitize=address", "-Iinclude", "-Iport", "-Isrc", "-o", "high_water"])
        .args(sources)
        .arg("-lm")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

#[test]
fn the_size_of_the_arena_is_one_number() {
    ["host", "cortex-m4"].into_iter().for_each(|target| check(Path::new("examples/digits.onnx"), target));
}

#[test]
#[ignore = "compiles four networks with sanitizers"]
fn the_size_of_the_arena_is_one_number_for_the_reference_networks() {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        support::skipped("the reference networks' arenas: NABLAC_MODELS names no folder");
        return;
    };
    for name in ["kws", "resnet8", "vww", "ad"] {
        check(&Path::new(&folder).join(name).join("int8.tflite"), "cortex-m4");
    }
}

fn check(model: &Path, target: &str) {
    let place = Place::new();
    let out = place.path("out");
    let (path, folder) = (text(model), text(&out));
    let outcome =
        nablac(&["compile", &path, "--target", target, "--vectors", "0", "--out", &folder, "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let json = outcome.json();
    let (arena, name) = (json["arena_bytes"].as_u64().unwrap(), json["name"].as_str().unwrap());
    let header = fs::read_to_string(out.join(format!("include/{name}.h"))).unwrap();
    let said = format!("#define {}_ARENA_SIZE {arena}U\n", name.to_ascii_uppercase());
    assert!(header.contains(&said), "{said}{header}");
    let metadata: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(out.join("metadata.json")).unwrap()).unwrap();
    assert_eq!(metadata["arena_bytes"], json["arena_bytes"]);
    if Command::new("cc").arg("--version").output().is_err() {
        support::skipped("what the C touches: there is no `cc` on this machine");
        return;
    }
    build(&out, name);
    let written = high_water(&out, name, 0);
    assert!(written.is_some_and(|end| end <= arena), "{path} for {target}: {written:?} of {arena}");
    assert_eq!(high_water(&out, name, 1), None, "{path} for {target}: the last byte is not touched");
}
