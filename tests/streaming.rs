//! `--stream`: a network that is given what is new gives, run by run, what the whole one gives for the window.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use nablac::npz;
use nablac_index::{Array, DType, Value};
use support::{Place, nablac, onnx, skipped, text};

/// A sequence, and how it is looked at.
struct Sequence {
    /// The input's name, and the shape of a window.
    input: &'static str,
    window: &'static [usize],
    /// The axis of time, and by how many rows windows move.
    along: usize,
    hop: usize,
    dtype: DType,
    /// What stands for a real zero.
    silence: i64,
    runs: usize,
}

impl Sequence {
    fn value(&self, row: i64, element: usize) -> Value {
        let number = (row * 97 + element as i64 * 31) % 17 - 8;
        match (row < 0, self.dtype.is_float()) {
            (true, _) => Value::from_i64(self.dtype, self.silence),
            (false, true) => Value::from_f64(self.dtype, number as f64 / 8.0),
            (false, false) => Value::Int(12 * number),
        }
    }

    /// Samples of so many rows, the first of which begins at row `first`; each begins `hop` rows behind the one before.
    fn samples(&self, first: i64, rows: usize) -> Array {
        let behind: usize = self.window[self.along + 1..].iter().product();
        let pieces: usize = self.window[..self.along].iter().product();
        let mut shape = self.window.to_vec();
        (shape[0], shape[self.along]) = (self.runs, rows);
        let values = (0..self.runs).flat_map(|run| {
            (0..pieces).flat_map(move |piece| {
                (0..rows * behind).map(move |n| {
                    let row = first + (run * self.hop + n / behind) as i64;
                    self.value(row, piece * behind + n % behind)
                })
            })
        });
        Array::from_values(self.dtype, &shape, values)
    }

    /// Whether the streamed network gives what the whole one gives, both run with these arguments.
    fn check(&self, model: &str, more: &[&str]) {
        let place = Place::new();
        let outputs = |samples: Array, more: &[&[&str]]| {
            let file = place.path("in.npz");
            npz::write(&file, &[(self.input.to_string(), samples)]).unwrap();
            let outcome = nablac(
                &[&["run", model, "--inputs", text(&file).as_str(), "--json"][..], &more.concat()].concat(),
            );
            assert_eq!(outcome.code, 0, "{model} {more:?}: {}", outcome.stderr);
            outcome.json()["outputs"].clone()
        };
        let rows = self.window[self.along];
        let expected = outputs(self.samples(self.hop as i64 - rows as i64, rows), &[more]);
        let axis = self.along.to_string();
        let streamed = outputs(self.samples(0, self.hop), &[&["--stream", &axis, "--keep-state"], more]);
        assert_eq!(streamed, expected, "{model} {more:?}");
    }
}

/// Few binary digits, so that sums are exact in any order.
fn weights(shape: &[usize]) -> Array {
    let value = |n: usize| Value::from_f64(DType::F32, (n * 37 % 5) as f64 / 4.0 - 0.5);
    Array::from_values(DType::F32, shape, (0..shape.iter().product()).map(value))
}

/// Windows over time with padding at both ends, one with a stride, a sum of both ways, and a mean over time.
fn network() -> Vec<u8> {
    let constants = [("v", weights(&[4, 2, 3, 1])), ("w", weights(&[4, 4, 3, 3]))];
    let nodes: [support::Node; 6] = [
        ("Conv", &["x", "v"], &["a"]),
        ("Relu", &["a"], &["b"]),
        ("Conv", &["b", "w"], &["c"]),
        ("Relu", &["c"], &["d"]),
        ("Add", &["d", "d"], &["e"]),
        ("GlobalAveragePool", &["e"], &["y"]),
    ];
    let inputs: [support::Port; 1] = [("x", &["1", "2", "40", "5"])];
    onnx(&inputs, &nodes, &[("y", &["1", "4", "1", "1"])], &constants)
}

#[test]
fn floats_are_the_same_bit_by_bit() {
    let place = Place::new();
    let model = place.file("net.onnx", network());
    let sequence = Sequence {
        input: "x",
        window: &[1, 2, 40, 5],
        along: 2,
        hop: 1,
        dtype: DType::F32,
        silence: 0,
        runs: 50,
    };
    sequence.check(&model, &[]);
    sequence.check(&model, &["--target", "host"]);
    sequence.check(&model, &["--target", "host", "--optimize", "ram"]);
}

/// Two runs more than a window has rows, divided by the hop, so that rows from before the first run have gone.
#[test]
fn key_words_are_heard_as_they_are_spoken() {
    let Some(folder) = std::env::var_os("NABLAC_MODELS") else {
        return skipped("NABLAC_MODELS is not set, so key words are not streamed");
    };
    let model = text(&Path::new(&folder).join("kws/int8.tflite"));
    let sequence = Sequence {
        input: "input_1",
        window: &[1, 49, 10, 1],
        along: 1,
        hop: 2,
        dtype: DType::I8,
        silence: 83,
        runs: 27,
    };
    sequence.check(&model, &["--target", "host"]);
    if std::process::Command::new("qemu-system-arm").arg("--version").output().is_ok() {
        sequence.check(&model, &["--target", "cortex-m4"]);
    } else {
        skipped("qemu-system-arm is missing");
    }
}

#[test]
fn what_cannot_be_streamed_says_what_to_do() {
    let refused = |arguments: &[&str]| {
        let outcome = nablac(&[&["show", "examples/digits.onnx", "--after", "stream"], arguments].concat());
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        outcome.stderr
    };
    assert!(refused(&["--stream", "7"]).contains("it has no dimension 7"));
    assert!(refused(&["--stream", "nobody.1"]).contains("the model has no input `nobody`"));
    assert!(refused(&["--stream", "x"]).contains("is no axis"));
}
