//! Plans of tiny problems against all there are.

#![allow(clippy::unwrap_used)]

#[path = "../../../index/tests/random/mod.rs"]
mod random;

use super::bound::{Weights, weights};
use super::distance::{Side, distance, distance_by_iterations};
use super::instance::{Instance, Item};
use super::lifetime::Lifetime;
use super::overlaps::Overlaps;
use super::{greedy, order, plan, search};
use crate::program::{Program, Step};
use nablac_index::TensorId;

/// The sequence of Knuth's MMIX generator.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % n as u64) as i64
    }
}

/// At most `most` items of a few bytes, and overlaps of any size, also where an output may lie on either side.
fn instance(numbers: &mut Numbers, most: i64) -> Instance {
    let count = 2 + numbers.below(most - 1);
    let item = |n: i64, numbers: &mut Numbers| {
        let unit = [1, 1, 2, 4][numbers.below(4) as usize];
        let first = numbers.below(4);
        let lifetime = Lifetime { first, last: first + numbers.below(3) };
        Item { id: TensorId(n as u32), bytes: unit * (1 + numbers.below(4)), unit, lifetime }
    };
    let items: Vec<Item> = (0..count).map(|n| item(n, numbers)).collect();
    Instance::new(items, &mut |a, b| {
        let way = numbers.below(4);
        let forth = if way % 2 == 0 { a.bytes } else { numbers.below(2 * a.bytes) - a.bytes / 2 };
        let back = if way < 2 { b.bytes } else { numbers.below(2 * b.bytes) - b.bytes / 2 };
        (way > 0).then_some((forth, back))
    })
}

/// The smallest size of all plans, by trying every offset of every item.
fn smallest(instance: &Instance, offsets: &mut Vec<i64>, least: &mut i64) {
    let own = offsets.len();
    let Some(item) = instance.items.get(own) else {
        *least = instance.size(offsets).min(*least);
        return;
    };
    for offset in (0..*least - item.bytes).step_by(item.unit as usize) {
        offsets.push(offset);
        let kept = instance.pairs_of[own].iter().map(|pair| instance.pairs[*pair]);
        if kept.filter(|pair| pair.other(own) < own).all(|pair| pair.allows(offsets)) {
            smallest(instance, offsets, least);
        }
        offsets.pop();
    }
}

#[test]
fn no_plan_of_a_tiny_problem_is_smaller() {
    let mut improved = 0;
    for seed in 0..4000 {
        let instance = instance(&mut Numbers(seed), 6);
        let known = greedy::place(&instance);
        assert!(instance.allows(&known), "seed {seed}: {instance:?} {known:?}");
        let greedy = instance.size(&known);
        let bound = weights(&instance).iter().map(Weights::least).max().unwrap();
        let found = search::improve(&instance, known);
        assert!(instance.allows(&found.offsets), "seed {seed}: {instance:?} {found:?}");
        let aligned = instance.items.iter().zip(&found.offsets).all(|(item, at)| at % item.unit == 0);
        let mut least = greedy + 1;
        smallest(&instance, &mut vec![], &mut least);
        let sizes = (found.size, found.least, instance.size(&found.offsets));
        assert!(aligned && sizes == (least, least, least), "seed {seed}: {least} {instance:?} {found:?}");
        assert!(bound <= least, "seed {seed}: {bound} {instance:?}");
        improved += i32::from(least < greedy);
    }
    assert!(improved > 20, "the first plan was the best all but {improved} times");
}

/// Kernels that copy and add, in a random graph; every other one sums what it reads into one element.
fn program(numbers: &mut Numbers) -> Program {
    let count = 3 + numbers.below(4);
    let mut text = "loops p { input y0: i8[8] in arena at 0\n".to_string();
    let mut sizes = vec![8];
    let mut kernels = String::new();
    for n in 1..=count {
        let size = [1, 4, 8, 16, 24][numbers.below(5) as usize];
        let role = if n == count { "output" } else { "local" };
        text += &format!("{role} y{n}: i8[{size}]\n");
        let mut term = || {
            let from = if numbers.below(3) == 0 { n - 1 } else { numbers.below(n) };
            format!("y{from}[i % {}]", sizes[from as usize])
        };
        let (a, b) = (term(), term());
        kernels += &format!("kernel k{n} {{ for i in 0..{size} {{ y{n}[i] = {a} + {b} }} }}\n");
        sizes.push(size);
    }
    crate::parse(&(text.replace(" in arena at 0", "") + &kernels + "}")).unwrap()
}

/// Calls `f` with every order of steps that a program may run in.
fn orders(reads: &[Vec<usize>], order: &mut Vec<usize>, f: &mut dyn FnMut(&[usize])) {
    if order.len() == reads.len() {
        f(order);
        return;
    }
    for step in 0..reads.len() {
        if !order.contains(&step) && reads[step].iter().all(|before| order.contains(before)) {
            order.push(step);
            orders(reads, order, f);
            order.pop();
        }
    }
}

#[test]
fn no_order_of_a_tiny_program_needs_less_than_is_said() {
    let (mut moved, mut proved) = (0, 0);
    for seed in 0..400 {
        let program = program(&mut Numbers(seed));
        // Kernel `n` writes buffer `n + 1`.
        let reads = |step: &Step| match step {
            Step::Kernel(kernel) => {
                let read = kernel.reads(program.buffers.len()).into_iter();
                read.filter_map(|id| (id.0 as usize).checked_sub(1)).collect()
            }
            _ => vec![],
        };
        let reads: Vec<Vec<usize>> = program.steps.iter().map(reads).collect();
        let mut overlaps = Overlaps::default();
        let mut sizes = vec![];
        orders(&reads, &mut vec![], &mut |order| {
            let steps = order.iter().map(|step| program.steps[*step].clone()).collect();
            let ordered = Program { steps, ..program.clone() };
            let placed = super::place(&ordered, &mut overlaps, &|_| true);
            assert_eq!(placed.size, placed.least, "seed {seed}\n{ordered}");
            sizes.push(placed.size as usize);
        });
        let planned = plan(program.clone());
        let proof = planned.proof.unwrap();
        let least = *sizes.iter().min().unwrap();
        assert!(sizes.contains(&planned.arena_bytes), "seed {seed}\n{planned}");
        assert!(planned.arena_bytes <= sizes[0], "seed {seed}: the given order comes first\n{planned}");
        assert!(proof.any_order <= least && least <= planned.arena_bytes, "seed {seed} {least}\n{planned}");
        assert_eq!(proof.this_order, planned.arena_bytes, "seed {seed}\n{planned}");
        proved += i32::from(planned.is_order_optimal());
        moved += i32::from(planned.steps != program.steps);
        let least_moment = order::search(&program, &mut overlaps).least as usize;
        assert!(least_moment <= least, "seed {seed} {least_moment} {least}\n{program}");
    }
    assert!(moved > 20 && proved > 350, "{moved} moved, {proved} proved");
}

#[test]
fn what_moves_evenly_is_summed_up_as_it_runs() {
    let mut trailing = 0;
    for seed in 0..400 {
        let (source, _) = random::program(seed);
        let source = nablac_index::assign_layouts(nablac_index::simplify(source));
        let capacity =
            crate::Capacity { float_registers: 16, general_registers: 14, ..crate::Capacity::default() };
        let nests = crate::lower(&source, &capacity, &Default::default()).unwrap();
        for kernel in nests.kernels() {
            let count = nests.buffers.len();
            for (input, output) in kernel
                .reads(count)
                .into_iter()
                .flat_map(|input| kernel.writes(count).into_iter().map(move |output| (input, output)))
            {
                for side in [Side::Below, Side::Above] {
                    let quick = distance(&nests, kernel, input, output, side);
                    let slow = distance_by_iterations(&nests, kernel, input, output, side);
                    assert_eq!(quick, slow, "seed {seed} {side:?} {input:?} {output:?}\n{nests}");
                    trailing += i32::from(quick.is_some());
                }
            }
        }
    }
    assert!(trailing > 1000, "{trailing}");
}
