//! Parallel loops: the C of their parts, the pool that runs them, and that threads never meet in memory.

#![allow(clippy::unwrap_used)]

mod toolchain;

use nablac_c::{Folder, Options, export};
use nablac_index::{Array, DType};
use nablac_loops::{Program, parse, verify};
use toolchain::{Work, check, counting, file, options, threads_selftest};

fn program(text: &str) -> Program {
    let program = parse(text).unwrap();
    verify(&program).unwrap();
    program
}

/// Everything that a loop takes with it: a buffer for each part, a counter, a loop around, a register, and buffers that are passed.
const NESTS: &str = "loops nests in 480 bytes {
  input  x: f32[5, 8] in arena at 0
  const  w: f32[2] = [0.5, 0.25]
  local  row: f32[3, 8] in arena at 160
  local  t: f32[5, 8] in arena at 256
  output y: f32[2, 8] in arena at 416
  kernel rows {
    law \"t[i, j] = x[i, j] * w[0] + x[i, 7 - j] * w[1]\"
    register acc: f32[]
    for i in 0..5 parallel 3 {
      for j in 0..8 { row[i / 2, j] = x[i, -j + 7] }
      for j in 0..8 {
        acc[] = x[i, j] * w[0]
        acc[] += row[i / 2, j] * w[1]
        t[i, j] = acc[]
      }
    }
  }
  repeat n:2 {
    kernel columns {
      for j in 1..8 step 3 parallel 2 { for k in j..min(j + 3, 8) { y[n, k] = t[n, k] + t[4, k] } }
      for g in 0..1 { for l in 0..1 { y[n, g + l] = t[n, 0] } }
      for g in 0..2 { for l in 0..4 parallel 2 { y[n, 4g + l] = y[n, 4g + l] * 2.0 + f32(index(g)) } }
    }
  }
}";

fn inputs() -> Vec<Vec<Array>> {
    (0..4).map(|seed| vec![counting(DType::F32, &[5, 8], seed)]).collect()
}

#[test]
fn a_parallel_loop_is_a_function_of_its_bounds() {
    let folder = check("threads", &program(NESTS), inputs());
    let source = file(&folder, "src/nests.c");
    let expected = "\
/* t[i, j] = x[i, j] * w[0] + x[i, 7 - j] * w[1] */
NESTS_KERNEL static void nests_rows_part(int32_t i_begin, int32_t i_end, const float *NESTS_RESTRICT x, float *NESTS_RESTRICT row, float *NESTS_RESTRICT t)
{
    for (int32_t i = i_begin; i < i_end; i++) {
";
    assert!(source.contains(expected), "{source}");
    let call = "\
typedef struct {
    const float *x;
    float *row;
    float *t;
} nests_rows_part_t;

static void nests_rows_part_run(const void *arguments, int32_t part)
{
    const nests_rows_part_t *const all = (const nests_rows_part_t *)arguments;
    const int32_t begin = 2 * part;
    nests_rows_part(begin, part < 2 ? begin + 2 : 5, all->x, all->row, all->t);
}

NESTS_KERNEL static void nests_rows(nests_pool_t *pool, const float *NESTS_RESTRICT x, float *NESTS_RESTRICT row, float *NESTS_RESTRICT t)
{
    const nests_rows_part_t work = {x, row, t};
    nests_pool_run(pool, nests_rows_part_run, &work, 3);
}
";
    assert!(source.contains(call), "{source}");
    assert!(file(&folder, "include/nests.h").contains("#define NESTS_THREADS 3\n"));
    let json: serde_json::Value = serde_json::from_str(file(&folder, "metadata.json")).unwrap();
    assert_eq!((&json["threads"], folder.threads), (&3.into(), 3));
    assert!(file(&folder, "CMakeLists.txt").contains("find_package(Threads REQUIRED)"));
}

#[test]
fn threads_never_meet_in_memory() {
    let program = program(NESTS);
    let folder = export(&program, &options(&program, inputs())).unwrap();
    for looks in [0, 2000] {
        let (passed, report) = threads_selftest(&Work::new("threads-watched"), &folder, looks);
        assert!(passed, "{looks}: {report}");
    }
    // The watch itself is awake: without the copy of each part they do meet.
    let racing = |(path, text): &(std::path::PathBuf, String)| {
        (path.clone(), text.replace("8 * (i / 2)", "8 * (i / 8)"))
    };
    let broken = Folder { files: folder.files.iter().map(racing).collect(), ..folder.clone() };
    assert!(broken != folder);
    let (passed, report) = threads_selftest(&Work::new("threads-racing"), &broken, 2000);
    assert!(!passed, "{report}");
}

#[test]
fn without_a_parallel_loop_there_is_no_pool() {
    let serial = NESTS.replace(" parallel 3", "").replace(" parallel 2", "");
    let folder = export(&program(&serial), &Options::default()).unwrap();
    let speaks = |(path, text): &(std::path::PathBuf, String)| {
        ["pool", "thread", "Thread", "THREAD"]
            .iter()
            .any(|word| text.contains(word) || path.to_string_lossy().contains(word))
    };
    assert!(!folder.files.iter().any(speaks));
    // A loop of one part is a loop like any other.
    let one = NESTS.replace("parallel 3", "parallel 1").replace("parallel 2", "parallel 1");
    assert_eq!(export(&program(&one), &Options::default()).unwrap(), folder);
}
