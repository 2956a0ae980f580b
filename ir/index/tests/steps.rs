//! What ends sums in 8 bits, before and after `fit_steps`: the same at every sum.
//!
//! Each program sums two bytes times 127 and 1 (or a multiple of them), so that all pairs of bytes give every sum of a range.

#![allow(clippy::unwrap_used)]

mod random;

use nablac_index::{
    Array, Builder, DType, Expr, Index, Program, Reduce, Role, Rounding, TensorId, Value, fit_steps, run,
    verify,
};
use random::Random;

const CHANNELS: usize = 3;

/// The zero point of the output and the smallest and the largest level.
#[derive(Clone, Copy, Debug)]
struct Output {
    dtype: DType,
    zero: i64,
    low: i64,
    high: i64,
}

fn number(x: i64) -> Expr {
    Expr::integer(DType::I32, x)
}

fn between(random: &mut Random, low: i64, high: i64) -> i64 {
    low + random.below((high - low + 1) as usize) as i64
}

fn array(dtype: DType, shape: &[usize], values: &[i64]) -> Array {
    Array::from_values(dtype, shape, values.iter().map(|&x| Value::from_i64(dtype, x)))
}

/// All pairs of bytes.
fn pairs() -> Array {
    let values: Vec<i64> = (0..65536).flat_map(|n| [n / 256 - 128, n % 256 - 128]).collect();
    array(DType::I8, &[65536, 2], &values)
}

/// `sum[n, c] = bias[c]; sum[n, c] += (x[n, k] - z) * w[c, k]; y[n, c] = end(sum[n, c], c)`.
fn program(
    random: &mut Random,
    dtype: DType,
    begins: bool,
    end: impl FnOnce(&mut Builder, &mut Random, &[Index]) -> Box<dyn FnOnce(Expr) -> Expr>,
) -> Program {
    let mut builder = Builder::new("steps");
    let x = builder.tensor("x", DType::I8, &[65536, 2], Role::Input);
    let y = builder.tensor("y", dtype, &[65536, CHANNELS], Role::Output);
    let weights: Vec<i64> =
        (0..CHANNELS).flat_map(|_| [127, 1].map(|w| w * if random.below(8) == 0 { -1 } else { 1 })).collect();
    let w = builder.constant("w", array(DType::I8, &[CHANNELS, 2], &weights));
    let bias: Vec<i64> = (0..CHANNELS).map(|_| between(random, -20000, 20000)).collect();
    let bias = builder.constant("bias", array(DType::I32, &[CHANNELS], &bias));
    let zero = between(random, -128, 127);
    let rows = [("n", 65536), ("c", CHANNELS)];
    let sum = builder.local("sum", DType::I32, &[65536, CHANNELS]);
    if begins {
        builder.write(sum, Reduce::Set, &rows, |i| (i.to_vec(), Expr::read(bias, [i[1].clone()])));
    }
    builder.write(sum, Reduce::Sum, &[("n", 65536), ("c", CHANNELS), ("k", 2)], |i| {
        let value = Expr::read(x, [i[0].clone(), i[2].clone()]).cast(DType::I32) - number(zero);
        let weight = Expr::read(w, [i[1].clone(), i[2].clone()]).cast(DType::I32);
        (i[..2].to_vec(), value * weight)
    });
    let c = [Index::of_loop(nablac_index::LoopId(1))];
    let end = end(&mut builder, random, &c);
    builder.write(y, Reduce::Set, &rows, |i| (i.to_vec(), end(Expr::read(sum, i.to_vec()))));
    builder.finish()
}

/// A requantization of the given way by exponents from `least` up, a bound and a zero point.
fn fixed_point(
    rounding: Rounding,
    output: Output,
    least: i64,
) -> impl FnOnce(&mut Builder, &mut Random, &[Index]) -> Box<dyn FnOnce(Expr) -> Expr> {
    move |builder, random, c| {
        let multipliers: Vec<i64> = (0..CHANNELS).map(|_| between(random, 1 << 30, (1 << 31) - 1)).collect();
        let exponents: Vec<i64> = (0..CHANNELS).map(|_| least + random.below(3) as i64).collect();
        let multiplier = builder.constant("multiplier", array(DType::I32, &[CHANNELS], &multipliers));
        let exponent = builder.constant("exponent", array(DType::I8, &[CHANNELS], &exponents));
        let read = |tensor: TensorId| Expr::read(tensor, c.to_vec());
        let (multiplier, exponent) = (read(multiplier), read(exponent).cast(DType::I32));
        Box::new(move |sum| {
            let level = sum.requantize(rounding, multiplier, exponent);
            let bounded = level.max(number(output.low - output.zero)).min(number(output.high - output.zero));
            (bounded + number(output.zero)).cast(output.dtype)
        })
    }
}

fn some_output(random: &mut Random) -> Output {
    let dtype = if random.below(4) == 0 { DType::U8 } else { DType::I8 };
    let base = if dtype == DType::U8 { 128 } else { 0 };
    let (mut zero, mut low, mut high) = (between(random, -128, 127), -128, 127);
    match random.below(4) {
        0 => zero = -128,
        1 => low = zero, // a ReLU at a zero point that is not the smallest integer
        2 => (low, high) = (between(random, -128, -1), between(random, 0, 127)),
        _ => {}
    }
    Output { dtype, zero: zero + base, low: low + base, high: high + base }
}

/// The program after `fit_steps`, which computes the same.
fn fitted(program: &Program, inputs: &[Array]) -> Program {
    verify(program).unwrap_or_else(|e| panic!("{e}\n{program}"));
    let fitted = fit_steps(program.clone());
    verify(&fitted).unwrap_or_else(|e| panic!("{e}\n{fitted}"));
    let (expected, found) = (run(program, inputs).unwrap(), run(&fitted, inputs).unwrap());
    assert!(expected == found, "{program}\n{fitted}");
    fitted
}

#[test]
fn each_way_of_rounding_is_the_same_at_every_sum() {
    let (mut random, pairs) = (Random(1), pairs());
    for least in [-11, -9, -7, -4, -2] {
        for rounding in [Rounding::Double, Rounding::Single, Rounding::Away] {
            let output = some_output(&mut random);
            let begins = random.below(4) > 0;
            let end = fixed_point(rounding, output, least);
            let program = program(&mut random, output.dtype, begins, end);
            let text = fitted(&program, std::slice::from_ref(&pairs)).to_string();
            // With exponents of -1 and 0 beside others there may be no line.
            assert!(least == -2 || text.contains("highword"), "{rounding:?} {output:?}\n{text}");
        }
    }
}

#[test]
fn a_relu_behind_two_roundings_is_a_line() {
    let (mut random, pairs) = (Random(2), pairs());
    for least in [-11, -9, -7, -5] {
        let output = Output { dtype: DType::I8, zero: -128, low: -128, high: 127 };
        let program = program(&mut random, DType::I8, true, fixed_point(Rounding::Double, output, least));
        let text = fitted(&program, std::slice::from_ref(&pairs)).to_string();
        assert!(
            text.contains("start") && !text.contains("mulhigh") && !text.contains("highword_round"),
            "{text}"
        );
    }
}

#[test]
fn reals_are_the_same_at_every_sum() {
    let (mut random, pairs) = (Random(3), pairs());
    let mut lines = 0;
    for _ in 0..5 {
        let real = |random: &mut Random| 2e-4 * (1.0 + random.below(1 << 20) as f64 / (1 << 17) as f64);
        let scales: Vec<Value> = (0..CHANNELS).map(|_| Value::F32(real(&mut random) as f32)).collect();
        let biases: Vec<Value> =
            (0..CHANNELS).map(|_| Value::F32((real(&mut random) * 2000.0 - 2.0) as f32)).collect();
        let program = program(&mut random, DType::I8, false, |builder, random, c| {
            let scale = builder.constant("scale", Array::from_values(DType::F32, &[CHANNELS], scales));
            let bias = builder.constant("bias_of_reals", Array::from_values(DType::F32, &[CHANNELS], biases));
            let [scale, bias] = [scale, bias].map(|tensor| Expr::read(tensor, c.to_vec()));
            let step = Expr::f32(real(random) as f32 * 20.0);
            Box::new(move |sum| {
                let level = (sum.cast(DType::F32) * scale + bias) / step;
                let bounded = level.max(Expr::f32(0.0)).min(Expr::f32(255.0));
                let whole = bounded.unary(nablac_index::Unary::Round).cast(DType::I32);
                (whole + number(-128)).cast(DType::I8)
            })
        });
        lines += usize::from(fitted(&program, std::slice::from_ref(&pairs)).to_string().contains("highword"));
    }
    assert!(lines > 0, "no form in reals became a line");
}

/// The sum of two quantized tensors, as TFLite's kernel has it.
#[test]
fn sums_of_two_bytes_are_the_same_at_every_pair() {
    let (mut random, pairs) = (Random(4), pairs());
    let mut planes = 0;
    for _ in 0..10 {
        let output = some_output(&mut random);
        let mut builder = Builder::new("sum");
        let x = builder.tensor("x", DType::I8, &[65536, 2], Role::Input);
        let y = builder.tensor("y", output.dtype, &[65536], Role::Output);
        let scaled = |random: &mut Random, value: Expr, exponent: i64| {
            let multiplier = number(between(random, 1 << 30, (1 << 31) - 1));
            value.requantize(Rounding::Double, multiplier, number(exponent))
        };
        builder.write(y, Reduce::Set, &[("n", 65536)], |i| {
            let operand = |random: &mut Random, k: i64| {
                let value = Expr::read(x, [i[0].clone(), Index::constant(k)]).cast(DType::I32);
                let shifted = value - number(between(random, -128, 127));
                let exponent = between(random, -2, 0);
                scaled(random, shifted.binary(nablac_index::Binary::Shl, number(20)), exponent)
            };
            let sum = operand(&mut random, 0) + operand(&mut random, 1);
            let level = scaled(&mut random, sum, -18);
            let bounded = level.max(number(output.low - output.zero)).min(number(output.high - output.zero));
            (i.to_vec(), (bounded + number(output.zero)).cast(output.dtype))
        });
        let fitted = fitted(&builder.finish(), std::slice::from_ref(&pairs));
        planes += usize::from(!fitted.to_string().contains("requantize"));
    }
    assert!(planes >= 7, "{planes} of 10 sums became planes");
}

/// A sum that two statements read keeps its beginning, and a function that falls or jumps stays as it is.
#[test]
fn what_is_no_line_stays() {
    let (mut random, pairs) = (Random(5), pairs());
    let falls = program(&mut random, DType::I8, true, |_, _, _| {
        Box::new(|sum| {
            let level = (number(0) - sum).requantize(Rounding::Single, number(1 << 30), number(-6));
            level.max(number(-128)).min(number(127)).cast(DType::I8)
        })
    });
    assert_eq!(fitted(&falls, std::slice::from_ref(&pairs)), falls);
    let jumps = program(&mut random, DType::I8, true, |_, _, _| {
        Box::new(|sum| {
            // Wraps in 8 bits.
            sum.requantize(Rounding::Single, number(1 << 30), number(-4)).cast(DType::I8)
        })
    });
    assert_eq!(fitted(&jumps, &[pairs]), jumps);
}

/// A sum of which every pair saturates is the end of the type, whatever the offset.
#[test]
fn a_sum_that_always_saturates_is_its_end() {
    for end in [-128, 127] {
        let mut builder = Builder::new("saturated");
        let x = builder.tensor("x", DType::I8, &[65536, 2], Role::Input);
        let y = builder.tensor("y", DType::I8, &[65536], Role::Output);
        builder.write(y, Reduce::Set, &[("n", 65536)], |i| {
            let operand = |k: i64| Expr::read(x, [i[0].clone(), Index::constant(k)]).cast(DType::I32);
            let sum = operand(0) + operand(1) + number(4 * end);
            let level = sum.requantize(Rounding::Single, number(1 << 30), number(1));
            (i.to_vec(), level.max(number(-128)).min(number(127)).cast(DType::I8))
        });
        fitted(&builder.finish(), &[pairs()]);
    }
}
