//! Random networks of layers with rows: windows that move, and what becomes of their results.
//!
//! Owns the choice; the numbers come from a fixed sequence per seed, so that a failure can be run again.

use std::fmt::Write;

use nablac_index::{Array, DType, Program, Value};

/// The sequence of Knuth's MMIX generator; the upper bits are good enough to choose by.
struct Chooser(u64);

impl Chooser {
    fn new(seed: u64) -> Chooser {
        Chooser(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// One of `0..n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// A tensor that later layers may read.
#[derive(Clone)]
struct Made {
    name: String,
    rows: usize,
    columns: usize,
    channels: usize,
}

/// A network of windows that move, products of pixels, sums of two tensors and, sometimes, a mean of all rows at its end.
pub fn network(seed: u64) -> (Program, Vec<Array>) {
    let mut chooser = Chooser::new(seed);
    let mut of = |low: usize, high: usize| low + chooser.below(high - low + 1);
    let first = Made { name: "x".into(), rows: of(3, 12), columns: of(2, 4), channels: of(1, 3) };
    let (mut declared, mut steps, mut made) = (String::new(), String::new(), vec![first.clone()]);
    let layers = of(2, 6);
    for layer in 0..layers {
        let from = made[made.len() - 1].clone();
        let name = format!("y{layer}");
        let local = made.iter().rev().skip(1).find(|other| {
            (other.rows, other.columns, other.channels) == (from.rows, from.columns, from.channels)
        });
        let Made { name: x, rows, columns, channels } = from.clone();
        let next = match (of(0, 4), local.cloned()) {
            (0, Some(other)) => {
                let y = &other.name;
                writeln!(steps, "{name}[0, i, j, c] = {x}[0, i, j, c] + {y}[0, i, j, c] * 3 for i:{rows} j:{columns} c:{channels}").unwrap();
                Made { name: name.clone(), ..from }
            }
            (kind, _) => {
                let (window, stride) = (of(1, 3.min(rows)), of(1, 2));
                let pad = of(0, window - 1);
                let count = (rows + pad + of(0, window - 1)).saturating_sub(window) / stride + 1;
                let row =
                    if stride == 1 { format!("i + u - {pad}") } else { format!("{stride}i + u - {pad}") };
                let filters = of(1, 3);
                let (out, read) = if kind < 3 { (filters, "c") } else { (channels, "f") };
                let reduced = if kind < 3 { format!("c:{channels}") } else { String::new() };
                let weight = if kind < 3 { format!("w{layer}[f, u, c]") } else { format!("w{layer}[f, u]") };
                let shape = if kind < 3 { vec![out, window, channels] } else { vec![out, window] };
                let values: Vec<String> =
                    (0..shape.iter().product()).map(|n: usize| ((n * 7 + layer) % 5).to_string()).collect();
                writeln!(declared, "const w{layer}: i32{shape:?} = [{}]", values.join(", ")).unwrap();
                writeln!(steps, "{name}[0, i, j, f] += {x}[0, {row}, j, {read} else 0] * {weight} for i:{count} j:{columns} f:{out} u:{window} {reduced}").unwrap();
                Made { name: name.clone(), rows: count, columns, channels: out }
            }
        };
        writeln!(declared, "local {name}: i32[1, {}, {}, {}]", next.rows, next.columns, next.channels)
            .unwrap();
        made.push(next);
    }
    let last = made[made.len() - 1].clone();
    let Made { name: x, rows, columns, channels } = last;
    if of(0, 1) == 0 {
        writeln!(declared, "local total: i32[{channels}] output z: i32[{channels}]").unwrap();
        writeln!(steps, "total[c] += {x}[0, u, v, c] for c:{channels} u:{rows} v:{columns}").unwrap();
        writeln!(steps, "z[c] = total[c] / 2 for c:{channels}").unwrap();
    } else {
        writeln!(declared, "output z: i32[1, {rows}, {columns}, {channels}]").unwrap();
        writeln!(steps, "z[0, i, j, c] = {x}[0, i, j, c] * 2 for i:{rows} j:{columns} c:{channels}").unwrap();
    }
    let shape = [1, first.rows, first.columns, first.channels];
    let text = format!("program p {{ input x: i32{shape:?} {declared} {steps} }}");
    let network = nablac_index::parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
    let values =
        (0..shape.iter().product::<usize>()).map(|n| Value::Int((n as i64 * 37 + seed as i64) % 23 - 11));
    let inputs = vec![Array::from_values(DType::I32, &shape, values)];
    (network, inputs)
}
