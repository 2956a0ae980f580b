//! How often each line of a nest runs.
//!
//! Owns the way through a nest: iterations by a loop's bounds, on average where other loops move them, and cycles as the sum over the
//! nest's straight lines.

use nablac_index::Index;
use nablac_loops::{For, Kernel, Program, Statement};
use nablac_machine::Machine;

use crate::block::{self, Block};
use crate::{Parts, Prediction};

/// At how many values of the outer loops the bounds of an inner one are taken for its average.
const SAMPLES: i64 = 16;

/// Registers of a nest that hold no sum: an operand on its way, and one that is held.
const OPERANDS: usize = 2;

/// What a kernel without unrolled loops takes, caches left aside.
pub(crate) fn walk(program: &Program, kernel: &Kernel, machine: &Machine) -> Prediction {
    let ranges = vec![(0, 0); kernel.variables.len()];
    let mut walk = Walk { program, kernel, machine, ranges, prediction: Prediction::default() };
    walk.body(&kernel.body, 1.0, false);
    walk.prediction
}

struct Walk<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
    machine: &'a Machine,
    /// The first and the last value of each variable.
    ranges: Vec<(i64, i64)>,
    prediction: Prediction,
}

impl Walk<'_> {
    /// Statements that run so many times, in a loop or not.
    fn body(&mut self, body: &[Statement], times: f64, looped: bool) {
        let mut block = Block::new(self.program, self.kernel);
        for statement in body {
            match statement {
                Statement::Store { target, at, reduce, value } => block.store(*target, at, *reduce, value),
                Statement::Use { instruction, body } => block.instruction(instruction, body),
                Statement::If { condition, body } => {
                    block.condition(condition);
                    self.body(body, times, false);
                }
                Statement::For(nest) => {
                    let trips = iterations(nest, &self.ranges);
                    let (first, last) = span(nest, &self.ranges);
                    self.ranges[nest.variable.0 as usize] = (first, last.max(first));
                    self.body(&nest.body, times * trips, true);
                }
            }
        }
        if looped {
            block.end_of_loop();
        }
        self.spill(&mut block);
        let pipeline = self.machine.pipeline.unwrap_or_default();
        let (parts, cycles) = block::cycles(&block.counts, block.longest_chain(), &pipeline);
        let total = &mut self.prediction;
        total.counts.add(&block.counts, times);
        total.cycles += cycles * times;
        total.parts.add(&parts, times);
    }

    /// Sums that registers cannot hold are loaded and stored around each update.
    fn spill(&self, block: &mut Block) {
        let registers = &self.machine.registers;
        let most = registers.vector.max(registers.float).max(registers.general) as usize;
        let spilled = (block.sums() + OPERANDS).saturating_sub(most) as f64;
        let counts = &mut block.counts;
        counts.instructions += 2.0 * spilled;
        counts.loads += spilled;
        counts.first_loads += spilled;
        counts.stores += spilled;
    }
}

impl Parts {
    pub(crate) fn add(&mut self, other: &Parts, times: f64) {
        self.issue += other.issue * times;
        self.loads += other.loads * times;
        self.stores += other.stores * times;
        self.multiplies += other.multiplies * times;
        self.latency += other.latency * times;
        self.refills.resize(self.refills.len().max(other.refills.len()), 0.0);
        self.refills.iter_mut().zip(&other.refills).for_each(|(own, refill)| *own += refill * times);
    }
}

/// The first value of a loop's variable and its last one, wherever the outer loops are.
pub(crate) fn span(nest: &For, ranges: &[(i64, i64)]) -> (i64, i64) {
    let range = |index: &Index| index.range_in(ranges).unwrap_or((0, 0));
    let first = nest.lower.iter().map(|index| range(index).0).max().unwrap_or(0);
    let end = nest.upper.iter().map(|index| range(index).1).min().unwrap_or(0);
    (first, end - 1)
}

/// The iterations of a loop, on average over the outer loops.
pub(crate) fn iterations(nest: &For, ranges: &[(i64, i64)]) -> f64 {
    let fixed = nest.lower.iter().chain(&nest.upper).all(|index| index.as_constant().is_some());
    let samples = if fixed { 1 } else { SAMPLES };
    let at = |sample: i64| {
        // In the middle of so many equal parts.
        let place = |&(first, last): &(i64, i64)| {
            let value = first + (last - first + 1) * (2 * sample + 1) / (2 * samples);
            (value, value)
        };
        let ranges: Vec<(i64, i64)> = ranges.iter().map(place).collect();
        let (first, last) = span(nest, &ranges);
        ((last + nest.step as i64 - first).max(0) / nest.step as i64) as f64
    };
    (0..samples).map(at).sum::<f64>() / samples as f64
}
