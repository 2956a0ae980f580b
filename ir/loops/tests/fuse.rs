//! What holds of every network that runs row by row: its nests verify, compute the same values as with whole tensors, also when
//! buffers share an arena, and its text reads back. The model's cuts can all be made.

#![allow(clippy::unwrap_used)]

#[path = "random/mod.rs"]
#[allow(dead_code)]
mod random;

use std::collections::BTreeMap;
use std::fmt::Write;

use nablac_index::{Array, DType, Program as Network, Value};
use nablac_loops::schedule::{Item, Name, Schedules};
use nablac_loops::{Capacity, Delivery, Program, cuts, fuse, lower, parse_with, plan, run, verify};
use random::Chooser;

const NETWORKS: u64 = 60;

/// A tensor that later layers may read.
#[derive(Clone)]
struct Made {
    name: String,
    rows: usize,
    columns: usize,
    channels: usize,
}

/// A network of windows that move, products of pixels, sums of two tensors and, sometimes, a mean of all rows at its end.
fn network(seed: u64) -> (Network, Vec<Array>) {
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

fn fused(segments: &[Vec<String>]) -> Schedules {
    let item = |kernels: &Vec<String>| Item::Fused(kernels.iter().map(|k| Name::from(k.as_str())).collect());
    Schedules { items: segments.iter().map(item).collect() }
}

fn check(seed: u64, network: &Network, nests: &Program, inputs: &[Array], expected: &[Array]) {
    let planned = plan(nests.clone());
    for (stage, nests) in [("fuse", nests), ("plan", &planned)] {
        verify(nests).unwrap_or_else(|e| panic!("seed {seed} {stage}: {e}\n{network}\n{nests}"));
        let found =
            run(nests, inputs).unwrap_or_else(|e| panic!("seed {seed} {stage}: {e}\n{network}\n{nests}"));
        assert_eq!(found, expected, "seed {seed} {stage}\n{network}\n{nests}");
        assert_eq!(
            parse_with(&nests.to_string(), &nests.constants()).as_ref(),
            Ok(nests),
            "seed {seed} {stage}"
        );
    }
}

#[test]
fn kernels_that_run_row_by_row_compute_the_same() {
    let (mut together, mut smaller) = (0, 0);
    for seed in 0..NETWORKS {
        let (network, inputs) = network(seed);
        let capacity = Capacity { float_registers: 16, general_registers: 14, ..Capacity::default() };
        let expected = nablac_index::run(&network, &inputs).unwrap();
        let whole = lower(&network, &capacity, &Schedules::default()).unwrap();
        let names: Vec<String> = whole.kernels().iter().map(|kernel| kernel.name.clone()).collect();
        let streamed = lower(&network, &capacity, &fused(std::slice::from_ref(&names))).unwrap();
        let whole = plan(whole).arena_bytes;
        for delivery in [Delivery::Whole, Delivery::Rows, Delivery::External] {
            let deliveries: BTreeMap<String, Delivery> = [("x".to_string(), delivery)].into();
            let found = cuts(streamed.clone(), &deliveries).unwrap();
            // Those that the model finds can be made; any other run of kernels is refused or computes the same.
            let mut all: Vec<(Vec<Vec<String>>, bool)> =
                found.into_iter().map(|c| (c.segments, true)).collect();
            all.extend((1..names.len()).map(|end| (vec![names[seed as usize % end..=end].to_vec()], false)));
            for (segments, is_possible) in &all {
                let schedules = fused(segments);
                let nests = lower(&network, &capacity, &schedules).unwrap();
                let nests = match fuse(nests, &schedules, &deliveries) {
                    Ok(nests) => nests,
                    Err(error) if *is_possible => {
                        panic!("seed {seed} {delivery:?} {segments:?}: {error}\n{network}")
                    }
                    Err(_) => continue,
                };
                check(seed, &network, &nests, &inputs, &expected);
                together += segments.iter().filter(|segment| segment.len() > 1).count();
                smaller += usize::from(plan(nests).arena_bytes < whole);
            }
        }
    }
    // Otherwise this tests nothing.
    assert!(
        together > 80 && smaller > 80,
        "{together} segments of several kernels, {smaller} arenas are smaller"
    );
}
