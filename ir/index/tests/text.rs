//! Programs as text: what is printed is read back as the same program, and means what it says.

#![allow(clippy::unwrap_used)]

use nablac_index::{Array, Program, parse, run, verify};

fn check(text: &str) -> Program {
    let program = parse(text).unwrap();
    verify(&program).unwrap();
    let printed = program.to_string();
    assert_eq!(parse(&printed).unwrap(), program, "{printed}");
    assert_eq!(parse(&printed).unwrap().to_string(), printed);
    program
}

#[test]
fn a_padded_convolution() {
    let program = check(
        "program conv {
           input  x: f32[1, 4]
           const  w: f32[3] = [1.0, 2.0, -1.0]
           output y: f32[1, 4]
           y[n, i] += x[n, i + u - 1 else 0.0] * w[u] for n:1 i:4 u:3
         }",
    );
    let y = run(&program, &[Array::from_f32(&[1, 4], &[1.0, 2.0, 3.0, 4.0])]).unwrap();
    assert_eq!(y[0].to_f64(), [0.0, 2.0, 4.0, 11.0]);
}

#[test]
fn every_form_of_the_language() {
    let program = check(
        "program forms {
           input  x: f32[6]
           input  at: i32[2]
           const  yes: bool[] = [true]
           const  zero: f32[] = [0.0]
           local  sum: f32[]
           local  next: f32[]
           local  chosen: f32[2]
           output running: f32[6]
           output best: i64[]
           output parts: f64[4]
           output flags: bool[3]
           time: repeat t:6 carrying sum = zero then next {
             next[] = sum[] + x[t]
             running[t] = next[]
           }
           best[] argmax= x[i] for i:6
           \"a choice\": if yes {
             chosen[i] = x[at[i] else 0.0] for i:2
           } else {
             chosen[i] = -(x[3i] + 1.0) for i:2
           }
           parts[i] = f64(chosen[i]) for i:2
           parts[i + 2] = f64(index(i % 2 + 2(i / 2))) * 0.5f64 for i:2
           flags[i] |= x[2i + j] > max(0.5, inf) or x[i] == nan for i:3 j:2
         }"
        .replace("x[2i + j] > max(0.5, inf) or x[i] == nan", "or(x[2i + j] > 2.5, x[i] == nan)")
        .as_str(),
    );
    let inputs = [
        Array::from_f32(&[6], &[1.0, 5.0, 2.0, 5.0, 0.0, 1.0]),
        Array::from_values(nablac_index::DType::I32, &[2], [5, 9].map(nablac_index::Value::Int)),
    ];
    let y = run(&program, &inputs).unwrap();
    assert_eq!(y[0].to_f64(), [1.0, 6.0, 8.0, 13.0, 13.0, 14.0]);
    assert_eq!(y[1].to_i64(), [1]);
    assert_eq!(y[2].to_f64(), [1.0, 0.0, 0.0, 0.5]);
    assert_eq!(y[3].to_i64(), [1, 1, 0]);
}

#[test]
fn channels_in_groups_are_written_once_each() {
    let grouped = |extents: &str| {
        let text =
            format!("program p {{ output y: f32[3000000, 6] y[i, 3g + m] = 1.0 for i:3000000 {extents} }}");
        verify(&parse(&text).unwrap())
    };
    assert_eq!(grouped("g:2 m:3"), Ok(()));
    assert!(grouped("g:2 m:2").unwrap_err().to_string().contains("12000000 of 18000000"));
    assert!(grouped("g:1 m:6 l:1").is_ok());
    assert!(grouped("g:2 m:4").is_err());
}

#[test]
fn long_dimensions_are_proven_without_counting() {
    let check = |steps: &str| {
        let text = format!("program p {{ output y: f32[2, 2000000000] {steps} }}");
        verify(&parse(&text).unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(check("y[i, j] = 1.0 for i:2 j:2000000000"), Ok(()));
    assert_eq!(check("y[i, 1999999999 - 2j - k] = 1.0 for i:2 j:1000000000 k:2"), Ok(()));
    assert_eq!(check("y[0, j] = 1.0 for j:2000000000 y[1, 4j + k] = 1.0 for j:500000000 k:4"), Ok(()));
    assert!(check("y[i, j] = 1.0 for i:2 j:1999999999").unwrap_err().contains("3999999998 of 4000000000"));
    let twice = check("y[i, j] = 1.0 for i:2 j:1000000001 y[i, j + 1000000000] = 1.0 for i:2 j:1000000000");
    assert!(twice.unwrap_err().contains("two statements write the same element"));
}

#[test]
fn broken_rules_are_named() {
    let cases = [
        ("y[i] = x[i + 1] for i:3", "index 0 of `x` runs over 1..=3, outside 0..3"),
        ("y[i] = x[i] for i:2", "2 of 3 elements are written"),
        ("y[i] = x[i] for i:3 y[0] = 1.0", "two statements write the same element"),
        ("y[i] = 1 for i:3", "the body is i32, but `y` is f32"),
        ("y[i] = x[j] for i:3", "a loop of this statement"),
        ("x[i] = 1.0 for i:3", "`x` is given and can't be written"),
        ("y[i] = y[i] for i:3", "`y` is read before it is written"),
    ];
    for (steps, problem) in cases {
        let text = format!("program p {{ input x: f32[3] output y: f32[3] {steps} }}");
        let error = parse(&text).and_then(|p| verify(&p)).unwrap_err().to_string();
        assert!(error.contains(problem), "{steps}: {error}");
    }
}

#[test]
fn layouts_follow_into_indices_that_are_read() {
    let program = check(
        "program pick {
           input  x: f32[1, 2, 3, 3]
           const  w: f32[2, 2] = [1.0, 0.0, 0.0, 1.0]
           local  best: i32[1, 2, 2, 2]
           output y: f32[1, 2, 2, 2]
           best[n, c, i, j] argmax= x[n, c, i + u, j + v] * w[u, v] for n:1 c:2 i:2 j:2 u:2 v:2
           y[n, c, i, j] = x[n, c, best[n, c, i, j] / 2, j else 0.0] for n:1 c:2 i:2 j:2
         }",
    );
    let x = Array::from_f32(
        &[1, 2, 3, 3],
        &[1.0, 5.0, 2.0, 0.0, 3.0, 9.0, 4.0, 8.0, 7.0, 6.0, 1.0, 0.0, 2.0, 5.0, 3.0, 8.0, 4.0, 1.0],
    );
    let views = nablac_index::assign_layouts(program.clone());
    verify(&views).unwrap();
    assert_ne!(views, program);
    assert_eq!(run(&views, std::slice::from_ref(&x)).unwrap(), run(&program, &[x]).unwrap());
}
