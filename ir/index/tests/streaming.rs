//! What holds of every network that is given what is new: run by run it gives what the whole network gives for the window.

#![allow(clippy::unwrap_used)]

mod windows;

use nablac_index::{Array, DType, Session, Value, run, stream, verify};
use windows::network;

const NETWORKS: u64 = 600;

/// What is given run by run, as rows of one long sequence: row `t`, of so many elements.
fn row(seed: u64, t: usize, elements: usize) -> Vec<Value> {
    (0..elements).map(|n| Value::Int(((t * 31 + n * 7) as i64 + seed as i64) % 19 - 9)).collect()
}

#[test]
fn what_is_new_gives_what_the_window_gives() {
    let mut streamed = 0;
    for seed in 0..NETWORKS {
        let (whole, inputs) = network(seed);
        let input = whole.inputs()[0];
        let shape = inputs[0].shape().to_vec();
        let Ok(made) = stream(&whole, input, 1, Value::Int(0)) else { continue };
        streamed += 1;
        verify(&made.program).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{whole}\n{}", made.program));
        let elements: usize = shape[2..].iter().product();
        let rows = shape[1];
        let hop = made.hop;
        let mut session = Session::new(&made.program);
        for time in 0..2 * rows.div_ceil(hop) {
            let new = (0..hop).flat_map(|n| row(seed, time * hop + n, elements));
            let new = Array::from_values(DType::I32, &[1, hop, shape[2], shape[3]], new);
            let found = session.run(&[new]).unwrap();
            // Before the first row there was silence.
            let end = (time + 1) * hop;
            let window = (0..rows).flat_map(|n| match (end + n).checked_sub(rows) {
                Some(t) => row(seed, t, elements),
                None => vec![Value::Int(0); elements],
            });
            let window = Array::from_values(DType::I32, &shape, window);
            assert_eq!(
                found,
                run(&whole, &[window]).unwrap(),
                "seed {seed}, run {time}\n{whole}\n{}",
                made.program
            );
        }
    }
    assert!(streamed > 60, "only {streamed} networks could be streamed"); // otherwise this tests nothing
}

#[test]
fn what_cannot_be_streamed_says_why() {
    let refused = |text: &str, along: usize| {
        let program = nablac_index::parse(text).unwrap();
        stream(&program, program.inputs()[0], along, Value::Int(0)).unwrap_err().to_string()
    };
    let total = "program p { input x: i32[4, 2] output y: i32[2] y[j] += x[i, j] for j:2 i:4 }";
    assert_eq!(refused(total, 0), "input `x`: no layer has rows that the next window has, too");
    assert_eq!(refused(total, 2), "input `x`: it has no dimension 2");
    let coarse = "program p { input x: i32[4] output y: i32[1] y[i] = x[4i] for i:1 }";
    assert_eq!(
        refused(coarse, 0),
        "input `x`: its windows move by 4 rows, which leaves nothing of the one before"
    );
}
