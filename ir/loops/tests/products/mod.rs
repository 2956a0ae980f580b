//! Random sums of products, and the instructions that machines have for them.

use nablac_index::lexer::Lexer;
use nablac_index::{Array, Program, Value};
use nablac_loops::{Capacity, Library, parse_library};

/// The libraries of the machines, as they are.
pub const LIBRARIES: &[&str] = &[
    include_str!("../../../../targets/machine/data/instructions/armv7e-m.nab"),
    include_str!("../../../../targets/machine/data/instructions/armv8.1-m-mve.nab"),
    include_str!("../../../../targets/machine/data/instructions/x86-64-v3.nab"),
    include_str!("../../../../targets/machine/data/instructions/x86-64-v4.nab"),
    include_str!("../../../../targets/machine/data/instructions/aarch64.nab"),
];

/// A machine with such a library, or with none for the empty text.
pub fn capacity(text: &str) -> Capacity {
    Capacity {
        machine: "board".into(),
        float_registers: 32,
        general_registers: 14,
        vector_registers: 16,
        threads: 3,
        library: (!text.is_empty()).then(|| library(text)),
        ..Capacity::default()
    }
}

/// A small generator of numbers: `x' = 6364136223846793005 x + 1442695040888963407`, its upper half (Knuth's MMIX).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    pub fn of(&mut self, choices: &[i64]) -> i64 {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub fn bytes(&mut self, n: i64) -> String {
        let values: Vec<String> = (0..n).map(|_| (self.below(256) as i64 - 128).to_string()).collect();
        values.join(", ")
    }
}

/// A convolution, a depthwise one or a dense layer, of random extents.
pub fn program(numbers: &mut Numbers) -> String {
    let zero = numbers.of(&[0, -128, 5, 127]);
    let subtracted = format!("- {zero}");
    let (h, w) = (numbers.below(7) as i64 + 1, numbers.below(14) as i64 + 1);
    let (r, s) = (numbers.of(&[1, 2, 3]), numbers.of(&[1, 3, 4]));
    let (stride, top, left) = (numbers.of(&[1, 2]), numbers.below(2) as i64, numbers.below(2) as i64);
    let c = numbers.of(&[1, 2, 3, 4, 5, 8, 16, 36]);
    let (out_h, out_w) = ((h + stride - 1) / stride, (w + stride - 1) / stride);
    let outside = |extra: bool| if extra { format!(" else {zero}i8") } else { String::new() };
    let padded = r > 1 || s > 1 || top > 0 || left > 0 || stride > 1;
    let row = format!("{stride}i + u - {top}, {stride}j + v - {left}");
    match numbers.below(3) {
        0 => {
            let f = numbers.of(&[1, 2, 3, 5, 7, 8, 9, 16, 19, 26]);
            let (bias, weights) = (numbers.bytes(f), numbers.bytes(f * r * s * c));
            format!(
                "program conv {{ input x: i8[{h}, {w}, {c}] const b: i32[{f}] = [{bias}] const w: i8[{f}, {r}, {s}, {c}] = [{weights}] \
                 output y: i32[{out_h}, {out_w}, {f}] \
                 y[i, j, f] = b[f] for i:{out_h} j:{out_w} f:{f} \
                 y[i, j, f] += (i32(x[{row}, c{}]) {subtracted}) * i32(w[f, u, v, c]) for i:{out_h} j:{out_w} f:{f} u:{r} v:{s} c:{c} }}",
                outside(padded)
            )
        }
        1 => {
            let (bias, weights) = (numbers.bytes(c), numbers.bytes(r * s * c));
            format!(
                "program depthwise {{ input x: i8[{h}, {w}, {c}] const b: i32[{c}] = [{bias}] const w: i8[{r}, {s}, {c}] = [{weights}] \
                 local sum: i32[{out_h}, {out_w}, {c}] output y: i8[{out_h}, {out_w}, {c}] \
                 sum[i, j, c] = b[c] for i:{out_h} j:{out_w} c:{c} \
                 sum[i, j, c] += (i32(x[{row}, c{}]) {subtracted}) * i32(w[u, v, c]) for i:{out_h} j:{out_w} c:{c} u:{r} v:{s} \
                 y[i, j, c] = i8(min(max(shr(sum[i, j, c], 7), -128), 127)) for i:{out_h} j:{out_w} c:{c} }}",
                outside(padded)
            )
        }
        _ => {
            let (n, k) = (numbers.below(40) as i64 + 1, numbers.of(&[1, 3, 4, 31, 32, 64, 100, 132]));
            let (bias, weights) = (numbers.bytes(n), numbers.bytes(n * k));
            format!(
                "program dense {{ input x: i8[{k}] const b: i32[{n}] = [{bias}] const w: i8[{n}, {k}] = [{weights}] output y: i32[{n}] \
                 y[o] = b[o] for o:{n} y[o] += (i32(x[k]) {subtracted}) * i32(w[o, k]) for o:{n} k:{k} }}"
            )
        }
    }
}

pub fn library(text: &str) -> Library {
    parse_library(&mut Lexer::new(text).unwrap()).unwrap()
}

/// A convolution, a depthwise one, a pool or a dense layer on reals, of random extents. All values are small integers: no order of
/// sums, and no rounding, makes a difference.
pub fn reals(numbers: &mut Numbers) -> String {
    let (h, w) = (numbers.below(7) as i64 + 1, numbers.below(14) as i64 + 1);
    let (r, s, stride) = (numbers.of(&[1, 2, 3]), numbers.of(&[1, 3]), numbers.of(&[1, 2]));
    let c = numbers.of(&[1, 3, 4, 7, 8, 16, 21]);
    let f = numbers.of(&[1, 3, 4, 8, 9, 16, 19, 32, 37]);
    let (out_h, out_w) = ((h + stride - 1) / stride, (w + stride - 1) / stride);
    let row = format!("{stride}i + u - 1, {stride}j + v - 1");
    let ends = |value: &str| format!("min(max({value}, -100.0), 100000.0) * 2.0");
    match numbers.below(4) {
        0 => {
            let (bias, weights) = (numbers.bytes(f), numbers.bytes(f * r * s * c));
            let last = ends("sum[i, j, f]");
            format!(
                "program conv {{ input x: f32[{h}, {w}, {c}] const b: f32[{f}] = [{bias}] const w: f32[{f}, {r}, {s}, {c}] = [{weights}] \
                 local sum: f32[{out_h}, {out_w}, {f}] output y: f32[{out_h}, {out_w}, {f}] \
                 sum[i, j, f] = b[f] for i:{out_h} j:{out_w} f:{f} \
                 sum[i, j, f] += x[{row}, c else 0.0] * w[f, u, v, c] for i:{out_h} j:{out_w} f:{f} u:{r} v:{s} c:{c} \
                 y[i, j, f] = {last} for i:{out_h} j:{out_w} f:{f} }}"
            )
        }
        1 => {
            let (bias, weights) = (numbers.bytes(c), numbers.bytes(r * s * c));
            let last = ends("sum[i, j, c]");
            format!(
                "program depthwise {{ input x: f32[{h}, {w}, {c}] const b: f32[{c}] = [{bias}] const w: f32[{r}, {s}, {c}] = [{weights}] \
                 local sum: f32[{out_h}, {out_w}, {c}] output y: f32[{out_h}, {out_w}, {c}] \
                 sum[i, j, c] = b[c] for i:{out_h} j:{out_w} c:{c} \
                 sum[i, j, c] += x[{row}, c else 0.0] * w[u, v, c] for i:{out_h} j:{out_w} c:{c} u:{r} v:{s} \
                 y[i, j, c] = {last} for i:{out_h} j:{out_w} c:{c} }}"
            )
        }
        2 => format!(
            "program pool {{ input x: f32[{h}, {w}, {c}] output y: f32[{out_h}, {out_w}, {c}] \
             y[i, j, c] max= x[{row}, c else -inf] for i:{out_h} j:{out_w} c:{c} u:{r} v:{s} }}"
        ),
        _ => {
            let k = numbers.of(&[1, 3, 4, 31, 32, 64, 100]);
            let (bias, weights) = (numbers.bytes(f), numbers.bytes(f * k));
            format!(
                "program dense {{ input x: f32[{k}] const b: f32[{f}] = [{bias}] const w: f32[{f}, {k}] = [{weights}] output y: f32[{f}] \
                 y[o] = b[o] for o:{f} y[o] += x[k] * w[o, k] for o:{f} k:{k} }}"
            )
        }
    }
}

/// An input of random integers of 8 bits.
pub fn input(numbers: &mut Numbers, program: &Program) -> Array {
    let tensor = program.tensor(program.inputs()[0]);
    let count = tensor.shape.iter().product();
    let values = (0..count).map(|_| Value::from_i64(tensor.dtype, numbers.below(256) as i64 - 128));
    Array::from_values(tensor.dtype, &tensor.shape, values.collect::<Vec<_>>())
}
