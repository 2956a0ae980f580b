//! Loop nests as text: what they mean, and which ones are refused.

#![allow(clippy::unwrap_used)]

use nablac_index::lexer::Lexer;
use nablac_index::{Array, Binary, DType, Expr, TensorId, Value};
use nablac_loops::{Program, parse, parse_library, run, verify};

fn check(text: &str) -> Program {
    let program = parse(text).unwrap();
    verify(&program).unwrap();
    assert_eq!(parse(&program.to_string()).unwrap(), program, "{program}");
    program
}

#[test]
fn a_padded_convolution_in_registers() {
    let program = check(
        "loops conv in 44 bytes {
           input  x: f32[1, 5] in arena at 0
           const  w: f32[3, 2] = [1.0, 10.0, 2.0, 20.0, -1.0, -10.0]
           output y: f32[3, 2] in arena at 20
           kernel conv {
             law \"y[i, k] += x[0, 2i + u - 1] * w[u, k]\"
             register acc: f32[2]
             for i in 0..3 {
               for k in 0..2 unroll { acc[k] = 0.0 }
               for u in max(0, -2i + 1)..min(3, -2i + 6) {
                 for k in 0..2 unroll { acc[k] += x[0, 2i + u - 1] * w[u, k] }
               }
               for k in 0..2 unroll { y[i, k] = acc[k] }
             }
           }
         }",
    );
    let y = run(&program, &[Array::from_f32(&[1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0])]).unwrap();
    assert_eq!(y[0].to_f64(), [0.0, 0.0, 4.0, 40.0, 14.0, 140.0]);
}

#[test]
fn steps_repeat_carry_and_branch() {
    let program = check(
        "loops steps {
           input  x: i32[3]
           input  double: bool[]
           const  zero: i32[] = [0]
           local  sum: i32[]
           local  next: i32[]
           output y: i32[3]
           repeat t:3 carrying sum = zero then next {
             kernel add { next[] = sum[] + x[t] y[t] = next[] }
           }
           if double {
             kernel twice { for i in 0..3 { if index(i) != 1i64 { y[i] *= 2 } } }
           } else {
           }
         }",
    );
    let x = Array::from_values(DType::I32, &[3], [1, 2, 3].map(Value::Int));
    let doubled = |truth| {
        let double = Array::from_values(DType::Bool, &[], [Value::Int(truth)]);
        run(&program, &[x.clone(), double]).unwrap()[0].to_i64()
    };
    assert_eq!(doubled(0), [1, 3, 6]);
    assert_eq!(doubled(1), [2, 3, 12]);
}

#[test]
fn parts_of_a_loop_write_apart() {
    // Along a dimension that lies between others, in a stride of the position, and in a copy for each part.
    let bodies = [
        "for i in 0..6 parallel 4 { for j in 0..2 { y[j, i] = x[i] } }",
        "for i in 0..6 parallel 4 { for j in 0..2 { y[(6j + i) / 6, (6j + i) % 6] = x[i] } }",
        "for i in 0..6 step 2 parallel 2 { for l in 0..2 { for j in 0..2 { y[j, i + l] = x[i + l] } } }",
        "for i in 0..6 parallel 3 { t[i / 2] = x[i] for j in 0..2 { y[j, i] = t[i / 2] } }",
        "for j in 0..2 parallel 2 { for i in 0..6 { y[j, 0] = 1.0 y[j, i] = x[i] + 0.0 * y[j, 0] } y[j, 0] = x[0] }",
    ];
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    for body in bodies {
        let program = check(&format!(
            "loops p {{ input x: f32[6] local t: f32[3] output y: f32[2, 6] kernel k {{ {body} }} }}"
        ));
        assert!(program.threads() > 1, "{program}");
        let y = run(&program, &[Array::from_f32(&[6], &x.map(|x| x as f32))]).unwrap();
        assert_eq!(y[0].to_f64(), [x, x].concat(), "{program}");
    }
}

#[test]
fn an_output_of_a_parallel_kernel_shares_no_byte_with_its_dying_input() {
    let text = |how: &str, place: usize| {
        format!(
            "loops p in 32 bytes {{
               input  x: f32[4] in arena at {place}
               output y: f32[4] in arena at 0
               kernel k {{ for i in 0..4 {how} {{ y[i] = x[i] + 1.0 }} }}
             }}"
        )
    };
    let overlapping = parse(&text("parallel 2", 4)).unwrap();
    let error = verify(&overlapping).unwrap_err().to_string();
    assert!(error.contains("parts of it use `y` and `x`, which share bytes"), "{error}");
    let planned = |how: &str| nablac_loops::plan(parse(&text(how, 16)).unwrap()).arena_bytes;
    assert_eq!((planned(""), planned("parallel 2")), (16, 32));
}

#[test]
fn the_interpreter_shows_what_a_part_needs_of_another_one() {
    let sum = |parts: usize| {
        let text = format!(
            "loops p {{ input x: i32[4] output y: i32[4] kernel k {{
               y[0] = x[0]
               for i in 1..4 parallel {parts} {{ y[i] = x[i] + y[i - 1] }}
             }} }}"
        );
        let x = Array::from_values(DType::I32, &[4], [1, 2, 3, 4].map(Value::Int));
        run(&parse(&text).unwrap(), &[x]).unwrap()[0].to_i64()
    };
    assert_eq!(sum(1), [1, 3, 6, 10]);
    assert_ne!(sum(2), [1, 3, 6, 10]);
}

#[test]
fn a_wrong_memory_plan_gives_a_wrong_result() {
    let text = |place: usize| {
        format!(
            "loops plan in 32 bytes {{
               input  x: i32[2] in arena at 0
               local  t: i32[2] in arena at {place}
               output y: i32[2] in arena at 16
               kernel a {{ for i in 0..2 {{ t[i] = x[-i + 1] + 1 }} }}
               kernel b {{ for i in 0..2 {{ y[i] = t[i] + x[i] }} }}
             }}"
        )
    };
    let x = [Array::from_values(DType::I32, &[2], [10, 20].map(Value::Int))];
    assert_eq!(run(&check(&text(8)), &x).unwrap()[0].to_i64(), [31, 31]);
    assert_ne!(run(&check(&text(0)), &x).unwrap()[0].to_i64(), [31, 31]);
}

#[test]
fn names_that_are_words_of_the_language_stand_in_quotes() {
    let program = check(
        "loops \"for\" {
           input  \"i8\": f32[2]
           output \"a \\\"b\\\"\": f32[2]
           kernel \"law\" { law \"if\" macs 2 for step in 0..2 step 1 { \"a \\\"b\\\"\"[step] = 1.0 \"a \\\"b\\\"\"[step] = \"i8\"[step] } }
         }",
    );
    assert_eq!(run(&program, &[Array::from_f32(&[2], &[3.0, 4.0])]).unwrap()[0].to_f64(), [3.0, 4.0]);
}

#[test]
fn an_access_beyond_the_ends_is_an_error() {
    let text = "loops p { input x: f32[2] output y: f32[2] kernel k { for i in 0..3 { y[i] = x[i] } } }";
    let program = parse(text).unwrap();
    assert!(verify(&program).is_err());
    let error = run(&program, &[Array::from_f32(&[2], &[0.0, 0.0])]).unwrap_err().to_string();
    assert_eq!(error, "kernel `k` reaches element 2 of `x`, which has 2");
    assert!(run(&program, &[]).unwrap_err().to_string().contains("the inputs are f32[2]"));
}

#[test]
fn broken_rules_are_named() {
    let cases = [
        ("kernel k { for i in 0..3 { y[i] = x[i + 1] } }", "index 0 of `x` runs over 1..=3, outside 0..3"),
        ("kernel k { for i in 0..3 { x[i] = 1.0 } }", "`x` is given and can't be written"),
        ("kernel k { for i in 0..3 { y[i] = 1 } }", "the body is i32, but `y` is f32"),
        ("kernel k { for i in 0..3 { y[i] = t[i] } }", "`t` is read before it is written"),
        ("kernel k { for i in 0..3 { t[i] = 0.0 } }", "output `y`: is never written"),
        ("kernel k { for i in 0..3 { for i in 0..3 { y[i] = 0.0 } } }", "has the same name"),
        ("kernel k { for i in 0..3 { } y[i] = 0.0 }", "expected a loop of this statement"),
        ("kernel k { for f32 in 0..3 { y[f32] = 0.0 } }", "can't have this name"),
        ("kernel k { for i in 0..3 step 0 { y[i] = 0.0 } }", "the step is 0"),
        ("kernel k { register y: f32[] for i in 0..3 { } }", "the name is taken"),
        ("kernel k { register r: f32[3] for i in 0..3 { r[i] = 0.0 y[i] = r[i] } }", "index varies"),
        ("kernel k { for i in 0..3 { for j in 0..i unroll { y[j] = 0.0 } } }", "its bounds vary"),
        ("kernel k { for i in 0..1000000 unroll { y[0] = 0.0 } }", "unrolls to more than"),
        ("kernel k { if index(1) { y[0] = 0.0 } }", "the condition is i64"),
        (
            "kernel k { for i in 0..3 parallel 2 { y[2] = x[i] } }",
            "parts of it may use the same elements of `y`",
        ),
        ("kernel k { for i in 0..3 parallel 2 { y[i] = 1.0 y[0] += x[i] } }", "the same elements of `y`"),
        (
            "kernel k { for i in 0..3 parallel 3 { y[i] = 1.0 if index(i) >= 1i64 { y[i] = y[i - 1] } } }",
            "the same elements of `y`",
        ),
        (
            "kernel k { register r: f32[] for i in 0..3 parallel 2 { r[] = x[i] y[i] = r[] } y[0] = r[] }",
            "register `r` is used inside and outside",
        ),
        ("kernel k { for i in 0..3 parallel 0 { y[i] = 0.0 } }", "it has from 1 to 256 parts"),
        ("kernel k { for i in 0..3 parallel 257 { y[i] = 0.0 } }", "it has from 1 to 256 parts"),
        (
            "kernel k { for i in 0..3 { for j in 0..i + 1 parallel 2 { y[j] = 0.0 } } }",
            "it is parallel, but its bounds vary",
        ),
        (
            "kernel k { for i in 0..3 parallel 2 { for j in 0..1 parallel 2 { y[i] = 0.0 } } }",
            "stands in no other one, nor in one that is written out",
        ),
        (
            "kernel k { for i in 0..3 unroll { for j in 0..1 parallel 2 { y[i] = 0.0 } } }",
            "stands in no other one, nor in one that is written out",
        ),
        ("kernel k { for i in 0..3 { y[i] = 0.0 } } kernel k { }", "the name is taken"),
        ("if x { } else { }", "not one boolean"),
        ("repeat n:2 carrying t = y then x { }", "`y` is read before it is written"),
        ("repeat n:2 carrying t = x then t { }", "state `t`"),
    ];
    for (steps, problem) in cases {
        let text = format!("loops p {{ input x: f32[3] local t: f32[3] output y: f32[3] {steps} }}");
        let error = parse(&text).and_then(|p| verify(&p)).unwrap_err().to_string();
        assert!(error.contains(problem), "{steps}: {error}");
    }
    let error = parse("loops p in 8 bytes { input x: f32[3] in arena at 0 }").and_then(|p| verify(&p));
    assert!(error.unwrap_err().to_string().contains("leave the arena"));
}

#[test]
fn functions_stand_for_what_they_mean_and_for_constants_within_their_range() {
    let text = "library \"0\" {
      vector i16[2] \"uint32_t\"
      function shift(x: i32, constant n: i32 in 1..32) \"result = x >> {n};\" = shr(x[], n[])
    }";
    let library = parse_library(&mut Lexer::new(text).unwrap()).unwrap();
    assert_eq!(parse_library(&mut Lexer::new(&library.to_string()).unwrap()).unwrap(), library);
    let x = Expr::read(TensorId(0), []);
    let bound = |amount: Expr| {
        let shift = x.clone().binary(Binary::Shr, amount);
        library.functions[0].bind(&shift, &|part| part.dtype(&|_| DType::I32))
    };
    let number = |n| Expr::integer(DType::I32, n);
    assert_eq!(bound(number(31)), Some(vec![x.clone(), number(31)]));
    assert_eq!([bound(number(0)), bound(number(32)), bound(x.clone())], [None, None, None]);
}
