//! Whole libraries: what the text looks like, that it compiles everywhere, and that it computes what the interpreter does.

#![allow(clippy::unwrap_used)]

mod toolchain;

use nablac_c::{Error, Folder, Options, Weights, export};
use nablac_index::{Array, DType, Value};
use nablac_loops::{Program, Session, parse, verify};
use toolchain::{Work, check, compile_everywhere, counting, file, selftest};

fn program(text: &str) -> Program {
    let program = parse(text).unwrap();
    verify(&program).unwrap();
    program
}

const CONVOLUTION: &str = "loops Conv in 76 bytes {
  input  x: f32[1, 5, 2] in arena at 0
  const  w: f32[3, 2, 2] = [1.0, 10.0, 2.0, 20.0, -1.0, -10.0, 0.5, 0.25, 0.1, -0.2, 0.3, 1e-07]
  const  b: f32[2] = [0.5, -inf]
  output y: f32[3, 2] in arena at 40
  kernel \"conv/1\" {
    law \"y[i, k] = max(b[k] + x[0, 2i + u - 1, c else 0.0] * w[u, c, k], 0.0)\"
    register acc: f32[2]
    for i in 0..3 {
      for k in 0..2 unroll { acc[k] = b[k] }
      for u in max(0, -2i + 1)..min(3, -2i + 6) {
        for c in 0..2 {
          for k in 0..2 unroll { acc[k] += x[0, 2i + u - 1, c] * w[u, c, k] }
        }
      }
      for k in 0..2 unroll { y[i, k] = max(acc[k], 0.0) }
    }
  }
}";

#[test]
fn a_convolution_reads_as_if_written_by_hand() {
    let program = program(CONVOLUTION);
    let folder = check(
        "convolution",
        &program,
        vec![vec![counting(DType::F32, &[1, 5, 2], 0)], vec![counting(DType::F32, &[1, 5, 2], 1)]],
    );
    let source = file(&folder, "src/conv.c");
    let expected = "\
/* y[i, k] = max(b[k] + x[0, 2i + u - 1, c else 0.0] * w[u, c, k], 0.0) */
CONV_KERNEL static void conv_conv_1(const float *CONV_RESTRICT x, float *CONV_RESTRICT y)
{
    for (int32_t i = 0; i < 3; i++) {
        float acc_0 = conv_weights_b[0];
        float acc_1 = conv_weights_b[1];
        const int32_t u_begin = max_i32(0, 1 - 2 * i);
        const int32_t u_end = min_i32(3, 6 - 2 * i);
        for (int32_t u = u_begin; u < u_end; u++) {
            for (int32_t c = 0; c < 2; c++) {
                acc_0 += x[4 * i + 2 * u + c - 2] * conv_weights_w[4 * u + 2 * c];
                acc_1 += x[4 * i + 2 * u + c - 2] * conv_weights_w[4 * u + 2 * c + 1];
            }
        }
        y[2 * i] = max_f32(acc_0, 0.0f);
        y[2 * i + 1] = max_f32(acc_1, 0.0f);
    }
}
";
    assert!(source.contains(expected), "{source}");
    let run = "\
    uint8_t *const arena = ctx->arena;
    float *const x = (float *)(void *)arena;
    float *const y = (float *)(void *)(arena + 40);

    CONV_STEP(0U);
    conv_conv_1(x, y);
    CONV_STEP(1U);
    return CONV_OK;
";
    assert!(source.contains(run), "{source}");
    let header = file(&folder, "include/conv.h");
    for line in [
        "#define CONV_ARENA_SIZE 76U",
        "#define CONV_INPUT0_SHAPE {1, 5, 2}",
        "const float *conv_output0(const conv_ctx_t *ctx);",
    ] {
        assert!(header.contains(line), "{header}");
    }
    assert!(file(&folder, "src/conv_weights.c").contains("    0.5f, -INFINITY,\n"));
}

#[test]
fn metadata_names_everything() {
    let folder =
        export(&program(CONVOLUTION), &Options { name: "my net".into(), ..Options::default() }).unwrap();
    let json: serde_json::Value = serde_json::from_str(file(&folder, "metadata.json")).unwrap();
    assert_eq!(json["name"], "my_net");
    assert_eq!((&json["arena_bytes"], &json["weight_bytes"]), (&76.into(), &56.into()));
    assert_eq!(json["outputs"][0]["offset"], 40);
    assert_eq!(json["kernels"][0]["identifier"], "my_net_conv_1");
    assert!(folder.files.iter().all(|(path, _)| !path.starts_with("test")), "no vectors, no self-test");
}

#[test]
fn scales_of_what_the_caller_sees_are_told() {
    let text = "loops q in 4 bytes {
      input  x: i8[2] in arena at 0
      output y: i8[2] in arena at 2
      kernel k { for i in 0..2 { y[i] = x[i] } }
    }";
    let scale = nablac_c::Scale { scale: 1e-5, zero_point: -128 };
    let scales = [("x".to_string(), scale)].into();
    let folder = export(&program(text), &Options { scales, ..Options::default() }).unwrap();
    let header = file(&folder, "include/q.h");
    assert!(
        header.contains("#define Q_INPUT0_SCALE 1e-5f\n#define Q_INPUT0_ZERO_POINT (-128)\n"),
        "{header}"
    );
    assert!(!header.contains("Q_OUTPUT0_SCALE"), "{header}");
    let json: serde_json::Value = serde_json::from_str(file(&folder, "metadata.json")).unwrap();
    assert_eq!(json["inputs"][0]["quantization"]["zero_point"], -128);
    assert!(json["outputs"][0].get("quantization").is_none());
    compile_everywhere(&Work::new("scales"), &folder, false);
}

#[test]
fn steps_repeat_carry_and_branch() {
    let program = program(
        "loops steps in 37 bytes {
           input  x: i32[3] in arena at 0
           input  double: bool[] in arena at 36
           const  zero: i32[] = [0]
           local  sum: i32[] in arena at 12
           local  next: i32[] in arena at 16
           output y: i32[3] in arena at 20
           output z: i32[] in arena at 32
           repeat t:3 carrying sum = zero then next {
             kernel add { next[] = sum[] + x[t] y[t] = next[] * 1000000007 }
             repeat s:2 { kernel nested { y[t] += -i32(index(s + 10t)) } }
           }
           kernel last { z[] = sum[] }
           if double {
             kernel twice { for i in 0..3 { if index(i) != 1i64 { y[i] *= 2 } } }
           } else {
           }
         }",
    );
    let input = |truth| {
        vec![counting(DType::I32, &[3], 2), Array::from_values(DType::Bool, &[], [Value::Int(truth)])]
    };
    let folder = check("steps", &program, vec![input(0), input(1)]);
    let source = file(&folder, "src/steps.c");
    assert!(
        source.contains("    memcpy(sum, steps_weights_zero, 4U);\n    for (int32_t t = 0; t < 3; t++) {\n"),
        "{source}"
    );
    assert!(source.contains("        memcpy(sum, next, 4U);\n"), "{source}");
}

const COUNTING: &str = "loops count in 40 bytes {
   input  x: i32[2] in arena at 0
   state  sum: i32[2] = [0, 0] then y in arena at 8
   state  line: i16[2] = [7, -9] then moved in arena at 16
   state  none: f32[0] = [] then nothing in arena at 20
   local  moved: i16[2] in arena at 20
   local  nothing: f32[0] in arena at 24
   output y: i32[2] in arena at 24
   output z: i16[2] in arena at 32
   kernel add { for i in 0..2 { y[i] = sum[i] + x[i] } }
   kernel move { moved[0] = line[1] moved[1] = i16(x[0]) }
   kernel show { for i in 0..2 { z[i] = line[i] } }
   kernel fill { for i in 0..0 { nothing[i] = 0.0 } }
 }";

#[test]
fn states_begin_anew_after_a_reset() {
    let program = program(COUNTING);
    let inputs = |n| vec![counting(DType::I32, &[2], n)];
    // The self-test resets before each vector, which the interpreter computed by itself.
    let options = toolchain::options(&program, vec![inputs(1), inputs(2), inputs(3)]);
    let folder = export(&program, &options).unwrap();
    let work = Work::new("count");
    compile_everywhere(&work, &folder, true);
    let (passed, report) = selftest(&work, &folder);
    assert!(passed, "{report}");
    // Without that, they go on: what comes out is what a session of the interpreter gives.
    let mut session = Session::new(&program);
    let found = toolchain::outputs(&work, &program, &folder, &options);
    for (vector, found) in options.vectors.iter().zip(&found) {
        assert_eq!(&session.run(&vector.inputs).unwrap(), found);
    }
    assert_ne!(options.vectors[2].outputs, found[2]);
    session.reset();
    assert_eq!(session.run(&options.vectors[2].inputs).unwrap(), options.vectors[2].outputs);
    let source = file(&folder, "src/count.c");
    assert!(source.contains("    memset((ctx->arena + 8), 0, 8U);\n"), "{source}");
    assert!(source.contains("count_weights_line_initial, 4U);\n"), "{source}");
    assert!(file(&folder, "include/count.h").contains("void count_reset(count_ctx_t *ctx);\n"));
    let stateless = export(&self::program(CONVOLUTION), &Options::default()).unwrap();
    assert!(stateless.files.iter().all(|(_, text)| !text.contains("reset")));
}

#[test]
fn positions_may_come_from_data() {
    let program = program(
        "loops gather in 184 bytes {
           input  at: i64[4] in arena at 0
           input  small: u8[4] in arena at 32
           input  signed: i32[4] in arena at 36
           const  table: f32[3, 5] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]
           output y: f32[4, 4] in arena at 56
           output z: i64[4] in arena at 120
           output d: i32[4, 2] in arena at 152
           kernel read {
             for i in 0..4 {
               for j in 0..4 {
                 y[i, j] = table[(at[i] - 1) / 2, small[j] + at[i] % 3 - 1 else -1.0] + f32(index(3i - small[j]))
               }
               z[i] = index(2at[i] - signed[i] / 3)
             }
           }
           kernel divide { for i in 0..4 { d[i, 0] = i32(index((2i - 5) / 3)) d[i, 1] = i32(index((-i) % 3)) } }
         }",
    );
    let integers = |dtype, values: [i64; 4]| Array::from_values(dtype, &[4], values.map(Value::Int));
    let inputs = |at| {
        vec![
            integers(DType::I64, at),
            integers(DType::U8, [0, 3, 200, 1]),
            integers(DType::I32, [-7, 8, i64::from(i32::MIN), -1]),
        ]
    };
    let vectors = vec![inputs([0, 1, 2, 3]), inputs([4, 5, 6, -9]), inputs([1 << 40, -(1 << 40), 7, 1])];
    let folder = check("gather", &program, vectors);
    assert!(file(&folder, "src/gather.c").contains("floor_div_i64"));
}

#[test]
fn a_program_may_be_empty() {
    let program = program("loops float { kernel k { register r: f32[] r[] = 1.0 } }");
    let options = toolchain::options(&program, vec![vec![]]);
    let folder = export(&program, &options).unwrap();
    toolchain::compile_everywhere(&toolchain::Work::new("empty"), &folder, true);
    assert_eq!(folder.name, "model_float");
}

#[test]
fn any_name_becomes_a_safe_one() {
    let program = program(
        "loops \"9 lives\" in 40 bytes {
           input  \"float\": f32[2] in arena at 0
           input  \"a*/b\": f32[2] in arena at 8
           input  \"a b\": f32[2] in arena at 16
           const  \"\\u{4e2d}\": f32[2] = [1.0, 2.0]
           const  \"\": u8[2, 0] = []
           output \"INFINITY\": f32[2] in arena at 24
           output i: f32[2] in arena at 32
           kernel \"run\" {
             law \"*/ #error ??/ /* \\\\\"
             law \"y = a very long law that goes on and on, over more than one line of text, because a great many operators were fused into it\"
             register \"float_\": f32[]
             register i: f32[]
             for \"i.\" in 0..2 {
               \"float_\"[] = \"float\"[\"i.\"] + \"a*/b\"[\"i.\"]
               \"INFINITY\"[\"i.\"] = \"float_\"[] * \"a b\"[\"i.\"] - \"\\u{4e2d}\"[\"i.\"]
               i[\"i.\"] = inf
             }
           }
           kernel \"Run\" { for i. in max(0, 1)..min(2, 3) { i[i.] = 1.0 } for i. in max(0, 0)..1 { i[i.] = -nan } }
         }"
        .replace("register i: f32[]", "register \"i_\": f32[]")
        .as_str(),
    );
    let inputs = (0..3).map(|seed| counting(DType::F32, &[2], seed)).collect();
    let folder = check("names", &program, vec![inputs]);
    assert_eq!(folder.name, "model_9_lives");
}

#[test]
fn outputs_run_into_their_inputs_without_restrict() {
    let program = program(
        "loops place in 20 bytes {
           input  x: f32[4] in arena at 4
           output y: f32[4] in arena at 0
           kernel shift { for i in 0..4 { y[i] = x[i] * 2.0 } }
         }",
    );
    let folder = check("place", &program, vec![vec![counting(DType::F32, &[4], 0)]]);
    assert!(file(&folder, "src/place.c").contains("static void place_shift(const float *x, float *y)"));
}

#[test]
fn what_can_not_be_printed_is_named() {
    let error = |text: &str, options: &Options| export(&parse(text).unwrap(), options).unwrap_err();
    let plain = Options::default();
    let unplanned = "loops p { output y: f32[1] kernel k { y[0] = 1.0 } }";
    assert_eq!(error(unplanned, &plain), Error::Unplanned { buffer: "y".into() });
    let misaligned = "loops p in 8 bytes { output y: f32[1] in arena at 2 kernel k { y[0] = 1.0 } }";
    assert!(error(misaligned, &plain).to_string().contains("no multiple"));
    let overlap = "loops p in 16 bytes { input x: i32[2] in arena at 0 output y: f32[2] in arena at 0
                   kernel k { for i in 0..2 { y[i] = f32(x[i]) } } }";
    assert!(error(overlap, &plain).to_string().contains("distinct"));
    let invalid = "loops p in 4 bytes { output y: f32[1] in arena at 0 kernel k { y[1] = 1.0 } }";
    assert!(matches!(error(invalid, &plain), Error::Loops(_)));
    let fine = "loops p in 4 bytes { output y: f32[1] in arena at 0 kernel k { y[0] = 1.0 } }";
    assert!(
        error(fine, &Options { version: "\"".into(), ..Options::default() }).to_string().contains("version")
    );
    let vectors = vec![nablac_c::Vector { inputs: vec![], outputs: vec![] }];
    assert_eq!(error(fine, &Options { vectors, ..Options::default() }), Error::Vector { position: 0 });
}

#[test]
fn a_wrong_element_fails_the_self_test() {
    let program = program(CONVOLUTION);
    let mut options = toolchain::options(&program, vec![vec![counting(DType::F32, &[1, 5, 2], 1)]]);
    let expected = &mut options.vectors[0].outputs[0];
    let largest = expected.to_f64().into_iter().fold(0.0, f64::max);
    let off = expected
        .values()
        .map(|v| if v.as_f64() == largest { Value::from_f64(DType::F32, largest * 1.01) } else { v });
    *expected = Array::from_values(DType::F32, &[3, 2], off.collect::<Vec<_>>());
    let work = toolchain::Work::new("wrong");
    let (passed, report) = toolchain::selftest(&work, &export(&program, &options).unwrap());
    assert!(!passed && report.contains("conv: vector 0, output 0: 1 of 6 elements differ"), "{report}");
}

#[test]
fn a_write_outside_of_the_arena_fails_the_self_test() {
    let program = program(CONVOLUTION);
    let options = toolchain::options(&program, vec![vec![counting(DType::F32, &[1, 5, 2], 1)]]);
    let folder = export(&program, &options).unwrap();
    let begin = "    uint8_t *const arena = ctx->arena;\n";
    for (wrong, failed, holds) in [
        ("arena[CONV_ARENA_SIZE] = 0U;", "behind", "in front of"),
        ("*(arena - 64) = 0U;", "in front of", "behind"),
        (
            "for (size_t i = 0; i < 4U; i++) { arena[CONV_ARENA_SIZE + i] = arena[i]; }",
            "behind",
            "in front of",
        ),
    ] {
        let mut folder = folder.clone();
        let source = folder.files.iter_mut().find(|(path, _)| path.ends_with("conv.c")).unwrap();
        source.1 = source.1.replace(begin, &format!("{begin}    {wrong}\n"));
        let (passed, report) = selftest(&Work::new("outside"), &folder);
        assert!(
            !passed && report.contains(&format!("nothing written {failed} the arena: FAILED")),
            "{report}"
        );
        assert!(report.contains(&format!("nothing written {holds} the arena: ok")), "{report}");
    }
}

#[test]
fn cmake_builds_and_runs_the_self_test() {
    let present =
        std::process::Command::new("cmake").arg("--version").output().is_ok_and(|o| o.status.success());
    if !present {
        eprintln!("SKIPPED: there is no `cmake` on this machine");
        return;
    }
    let program = program(CONVOLUTION);
    let options = toolchain::options(&program, vec![vec![counting(DType::F32, &[1, 5, 2], 0)]]);
    for weights in Weights::ALL {
        cmake_passes(&export(&program, &Options { weights: *weights, ..options.clone() }).unwrap());
    }
}

fn cmake_passes(folder: &Folder) {
    let work = toolchain::Work::new("cmake");
    let root = work.write(folder);
    let cmake = |arguments: &[&str]| {
        let output = std::process::Command::new("cmake").args(arguments).current_dir(&root).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    cmake(&["-S", ".", "-B", "build"]);
    cmake(&["--build", "build"]);
    let text = cmake(&["--build", "build", "--target", "test"]);
    assert!(text.contains("100% tests passed"), "{text}");
}
