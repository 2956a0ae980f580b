//! What no placement goes below.
//!
//! Owns the bytes that are in use at one time, at least. Items that are alive at once have no byte in common, but for outputs that run into
//! dying inputs. Of an output `a` that may begin `forth` bytes before an input, or `back` bytes behind it, some bytes are in no input,
//! wherever it lies: `forth` at its begin, or `a.bytes + back - b.bytes` at its end. Counting the inputs whole and those bytes of the
//! outputs bounds the union from below, and so does counting the outputs whole and what of the inputs is in no output.

use super::instance::Instance;

/// What each of the items that are alive counts, at least, in two ways: of any choice of them, the sum bounds the union.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Weights {
    pub items: Vec<usize>,
    pub ways: [Vec<i64>; 2],
}

/// The weights at each time.
pub(super) fn weights(instance: &Instance) -> Vec<Weights> {
    instance.alive.iter().map(|alive| Weights::new(instance, alive)).collect()
}

impl Weights {
    fn new(instance: &Instance, alive: &[usize]) -> Weights {
        let bytes = |item: usize| instance.items[item].bytes;
        let mut outputs: Vec<i64> = alive.iter().map(|&item| bytes(item)).collect();
        let mut inputs = outputs.clone();
        for (n, &a) in alive.iter().enumerate() {
            for pair in instance.pairs_of[a].iter().map(|pair| &instance.pairs[*pair]) {
                let (own, other) = (bytes(pair.a), bytes(pair.b));
                if pair.a != a || (pair.forth >= own && pair.back >= other) {
                    continue;
                }
                let Some(m) = alive.iter().position(|item| *item == pair.b) else { continue };
                // What the one covers of the other, at most: several together cover the sum.
                let outside = |begin: i64, end: i64, size: i64| begin.min(end).clamp(0, size);
                let covered = own - outside(pair.forth, own + pair.back - other, own);
                outputs[n] = (outputs[n] - covered).max(0);
                let covered = other - outside(pair.back, other + pair.forth - own, other);
                inputs[m] = (inputs[m] - covered).max(0);
            }
        }
        Weights { items: alive.to_vec(), ways: [outputs, inputs] }
    }

    /// The bytes that are in use at this time, at least.
    pub(super) fn least(&self) -> i64 {
        self.ways.iter().map(|way| way.iter().sum()).max().unwrap_or(0)
    }
}
