//! Weights in a file of their own: the same outputs, one file for every code that differs in weights alone, and a status for every other.

#![allow(clippy::unwrap_used)]

mod toolchain;

use nablac_c::{Folder, Options, Weights, export};
use nablac_index::DType;
use nablac_loops::{Program, parse, verify};
use toolchain::{Work, check_with, counting, file, options, program_around};

fn program(text: &str) -> Program {
    let program = parse(text).unwrap();
    verify(&program).unwrap();
    program
}

/// Constants of several types, two kernels that are one function, one of them a constant that both read, and two states, of which one has an
/// initial value that is no repeated byte.
const NET: &str = "loops net in 104 bytes {
  input  x: f32[4] in arena at 0
  const  a: f32[4] = [1.0, 2.0, 3.0, 4.0]
  const  b: f32[4] = [0.5, 0.25, -1.0, 2.0]
  const  both: f32[4] = [1.0, -1.0, 1.0, -1.0]
  const  bytes: i8[3] = [1, -2, 3]
  const  wide: i64[1] = [5000000000]
  local  t: f32[4] in arena at 16
  state  line: i16[2] = [7, -9] then moved in arena at 32
  state  sum: f32[4] = [0.0, 0.0, 0.0, 0.0] then y in arena at 40
  local  moved: i16[2] in arena at 56
  output y: f32[4] in arena at 64
  output z: i64[3] in arena at 80
  kernel one { for i in 0..4 { t[i] = x[i] * a[i] + both[i] } }
  kernel two { for i in 0..4 { y[i] = t[i] * b[i] + both[i] } }
  kernel three { for i in 0..4 { y[i] = y[i] + sum[i] } }
  kernel four { for i in 0..3 { z[i] = i64(bytes[i]) * wide[0] + i64(line[1]) } moved[0] = line[1] moved[1] = line[0] }
}";

fn made(text: &str, change: impl Fn(&mut Options)) -> Folder {
    let program = program(text);
    let mut options = Options { weights: Weights::Blob, ..Options::default() };
    change(&mut options);
    export(&program, &options).unwrap()
}

fn layout(folder: &Folder) -> String {
    let json: serde_json::Value = serde_json::from_str(file(folder, "metadata.json")).unwrap();
    json["weights"]["layout"].as_str().unwrap().to_string()
}

#[test]
fn weights_apart_give_the_same_outputs() {
    let program = program(NET);
    let vectors = options(&program, vec![vec![counting(DType::F32, &[4], 0)]]);
    for optimize in nablac_loops::Optimize::ALL {
        let options = Options { weights: Weights::Blob, optimize: *optimize, ..vectors.clone() };
        let folder = check_with("apart", &program, &options);
        assert!(
            folder.sources.iter().all(|path| !path.ends_with("net_weights.c")),
            "the library is code alone"
        );
        assert!(!file(&folder, "src/net.c").contains("net_weights.h"));
    }
}

#[test]
fn every_constant_has_its_place() {
    let folder = made(NET, |_| {});
    let blob = folder.blob.as_ref().unwrap();
    let (bytes, source) = (&blob.bytes, file(&folder, "src/net.c"));
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((&bytes[..4], word(4), word(8) as usize), (&b"NABW"[..], 1, bytes.len()));
    assert_eq!(word(12), crc32fast::hash(&bytes[16..]));
    let digits: String = bytes[16..32].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, layout(&folder));
    let header = file(&folder, "include/net.h");
    assert!(header.contains(&format!("#define NET_WEIGHTS_SIZE {}U\n", bytes.len())), "{header}");
    let place = |declaration: &str| -> usize {
        let (_, behind) =
            source.split_once(&format!("{declaration})(const void *)(ctx->weights + ")).unwrap();
        behind.split_once(')').unwrap().0.parse().unwrap()
    };
    let at = place("net_weights_bytes = (const int8_t *");
    assert_eq!((at % 4, &bytes[at..at + 3]), (0, &[1, 254, 3][..]));
    let at = place("net_weights_wide = (const int64_t *");
    assert_eq!((at % 8, &bytes[at..at + 8]), (0, &5_000_000_000i64.to_le_bytes()[..]));
    let at = place("net_weights_b = (const float *");
    assert_eq!((at % 4, &bytes[at + 8..at + 12]), (0, &(-1f32).to_le_bytes()[..]));
    assert!(source.contains("    memcpy((ctx->arena + 32), (ctx->weights + "), "{source}");
}

#[test]
fn the_layout_is_that_of_the_code_and_nothing_else() {
    let own = made(NET, |_| {});
    let same = [
        NET.replace("[1.0, 2.0, 3.0, 4.0]", "[9.0, 8.0, 7.0, 6.5]"),
        NET.replace("[7, -9]", "[1, 2]"),
        NET.replace("const  both", "const  conv_3_bias").replace("both[i]", "conv_3_bias[i]"),
        NET.replace("kernel three", "kernel sequential_1").replace("loops net", "loops net2"),
    ];
    for text in same {
        let other = made(&text, |options| {
            (options.name, options.version, options.model_sha256) =
                ("net".into(), "9.9".into(), "ab".repeat(32));
        });
        assert_eq!(layout(&other), layout(&own), "{text}");
        assert_ne!(other.blob, own.blob);
    }
    let scale = nablac_c::Scale { scale: 0.5, zero_point: 3 };
    let others = [
        made(&NET.replace("x[i] * a[i] + both[i]", "x[i] * a[i] + 2.0"), |_| {}),
        made(&NET.replace("const  bytes: i8[3] = [1, -2, 3]", "const  bytes: i16[3] = [1, -2, 3]"), |_| {}),
        made(&NET.replace("[0.0, 0.0, 0.0, 0.0]", "[1.0, 0.0, 0.0, 0.0]"), |_| {}),
        made(&NET.replace("input  x", "input  q").replace("x[i]", "q[i]"), |_| {}),
        made(NET, |options| options.scales = [("x".to_string(), scale)].into()),
        made(NET, |options| options.optimize = nablac_loops::Optimize::Size),
    ];
    let mut layouts: Vec<String> = others.iter().map(layout).collect();
    layouts.push(layout(&own));
    layouts.sort();
    layouts.dedup();
    assert_eq!(layouts.len(), others.len() + 1);
}

/// Says which status each change of the file has, then runs with the file as it is.
const STATUSES: &str = r#"
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
static uint64_t arena[NET_ARENA_SIZE / 8U + 1U];
static unsigned char memory[4096];
static size_t read_file(const char *path, unsigned char *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) { exit(1); }
    const size_t size = fread(bytes, 1, 2048, file);
    (void)fclose(file);
    return size;
}
int main(int count, char **paths)
{
    net_ctx_t ctx;
    unsigned char *const bytes = memory + (64U - (uintptr_t)memory % 64U);
    if (count != 3 || net_init(&ctx, arena, sizeof arena) != NET_OK) { return 1; }
    printf("unset %d\n", (int)net_run(&ctx));
    const size_t size = read_file(paths[1], bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(bytes[i] ^ 4U);
        const net_status_t status = net_set_weights(&ctx, bytes, size);
        bytes[i] = (unsigned char)(bytes[i] ^ 4U);
        printf("byte %d\n", (int)status);
        if (net_run(&ctx) == NET_OK) { return 2; }
    }
    for (size_t shorter = 0; shorter < size; shorter++) {
        /* what is behind is not to be read */
        unsigned char *const part = (unsigned char *)malloc(shorter + 1U);
        for (size_t i = 0; i < shorter; i++) { part[i] = bytes[i]; }
        printf("cut %d\n", (int)net_set_weights(&ctx, part, shorter));
        free(part);
    }
    printf("odd %d\n", (int)net_set_weights(&ctx, bytes + 1, size));
    printf("null %d %d\n", (int)net_set_weights(NULL, bytes, size), (int)net_set_weights(&ctx, NULL, size));
    printf("set %d\n", (int)net_set_weights(&ctx, bytes, size + 9U));
    for (size_t i = 0; i < NET_INPUT0_SIZE; i++) { net_input0(&ctx)[i] = (float)i; }
    const net_status_t status = net_run(&ctx);
    printf("run %d %g %g\n", (int)status, (double)net_output0(&ctx)[1], (double)net_output0(&ctx)[3]);
    printf("other %d\n", (int)net_set_weights(&ctx, bytes, read_file(paths[2], bytes)));
    for (size_t i = 0; i < NET_INPUT0_SIZE; i++) { net_input0(&ctx)[i] = (float)i; }
    printf("run %d\n", (int)net_run(&ctx));
    return 0;
}
"#;

#[test]
fn what_is_wrong_with_weights_has_a_status() {
    let folder = made(NET, |_| {});
    let work = Work::new("statuses");
    let retrained = made(&NET.replace("[1.0, 2.0, 3.0, 4.0]", "[9.0, 8.0, 7.0, 6.5]"), |_| {});
    let foreign = made(&NET.replace("x[i] * a[i] + both[i]", "x[i] * a[i] + 2.0"), |_| {});
    std::fs::write(work.path().join("own.bin"), &folder.blob.as_ref().unwrap().bytes).unwrap();
    std::fs::write(work.path().join("retrained.bin"), &retrained.blob.unwrap().bytes).unwrap();
    std::fs::write(work.path().join("foreign.bin"), &foreign.blob.unwrap().bytes).unwrap();
    let own = &folder.blob.as_ref().unwrap().bytes;
    let report = program_around(&work, &folder, STATUSES, &["own.bin", "foreign.bin"]);
    let lines = |what: &str| -> Vec<String> {
        let rest = report.lines().filter_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
        rest.map(str::to_owned).collect()
    };
    assert_eq!(lines("unset"), ["6"]);
    // Magic, format, size, checksum, layout; and all that the checksum is of, the model's hash included.
    let of = |at: usize| match at {
        0..4 => "7",
        4..8 => "8",
        8..12 => "10",
        16..32 => "9",
        _ => "11",
    };
    assert_eq!(lines("byte"), (0..own.len()).map(of).collect::<Vec<_>>());
    assert_eq!(lines("cut"), vec!["10"; own.len()]);
    assert_eq!(
        (lines("odd"), lines("null"), lines("set")),
        (vec!["3".into()], vec!["1 1".into()], vec!["0".into()])
    );
    // (1 * 2 - 1) * 0.25 - 1, and (3 * 4 - 1) * 2 - 1; without weights it says so.
    assert_eq!((lines("run"), lines("other")), (vec!["0 -0.75 21".into(), "6".into()], vec!["9".into()]));
    let report = program_around(&work, &folder, STATUSES, &["own.bin", "retrained.bin"]);
    assert!(report.ends_with("other 0\nrun 0\n"), "{report}");
}

#[test]
fn parallel_loops_take_them_too_and_a_network_without_any_has_no_file() {
    let text = "loops net in 64 bytes {
      input  x: f32[8] in arena at 0
      const  w: f32[8] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
      output y: f32[8] in arena at 32
      kernel k { for i in 0..8 parallel 2 { y[i] = x[i] * w[i] } }
    }";
    let program = program(text);
    let vectors = options(&program, vec![vec![counting(DType::F32, &[8], 1)]]);
    check_with("apart-parallel", &program, &Options { weights: Weights::Blob, ..vectors });
    let without = "loops net in 8 bytes {
      input  x: i8[2] in arena at 0
      output y: i8[2] in arena at 2
      kernel k { for i in 0..2 { y[i] = x[i] } }
    }";
    let folder = made(without, |_| {});
    assert!(folder.blob.is_none() && !file(&folder, "include/net.h").contains("set_weights"));
}
