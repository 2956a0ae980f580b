//! What a cache of a given size does not hold.
//!
//! Owns the law: what a loop touches comes in once if all of it fits, and otherwise once for each iteration, by the same law for its body
//! (the reuse distance of an affine nest, as in Ferrante, Sarkar and Thrash, On Estimating and Enhancing Cache Effectiveness, 1991,
//! for caches that conflicts are left aside in).

use std::collections::BTreeMap;

use nablac_index::{Index, TensorId};
use nablac_loops::{Kernel, Program, Statement};

use crate::walk::{iterations, span};

/// A part of a buffer: the first and the last index in each dimension.
type Part = Vec<(i64, i64)>;

/// The parts of each buffer that are touched. A part joins the first one that it meets; what is counted twice because it grew, or
/// because there are too many to tell apart, makes the traffic larger than it is.
type Touched = BTreeMap<TensorId, Vec<Part>>;

/// How many parts of a buffer are told apart.
const MOST_PARTS: usize = 32;

/// The bytes that come from behind a cache of so many bytes in one run of a kernel without unrolled loops.
pub(crate) fn traffic(program: &Program, kernel: &Kernel, cache: f64) -> f64 {
    let ranges = vec![(0, 0); kernel.variables.len()];
    Walk { program, cache }.body(&kernel.body, &ranges)
}

struct Walk<'a> {
    program: &'a Program,
    cache: f64,
}

impl Walk<'_> {
    fn body(&self, body: &[Statement], ranges: &[(i64, i64)]) -> f64 {
        let mut touched = Touched::new();
        self.touch(body, &mut ranges.to_vec(), &mut touched);
        let bytes = self.bytes(&touched);
        let fits = bytes <= self.cache;
        let looped = body.iter().any(|statement| matches!(statement, Statement::For(_)));
        if fits || !looped {
            return bytes;
        }
        body.iter().map(|statement| self.statement(statement, ranges)).sum()
    }

    fn statement(&self, statement: &Statement, ranges: &[(i64, i64)]) -> f64 {
        match statement {
            Statement::For(nest) => {
                let mut touched = Touched::new();
                self.touch(std::slice::from_ref(statement), &mut ranges.to_vec(), &mut touched);
                let bytes = self.bytes(&touched);
                if bytes <= self.cache {
                    return bytes;
                }
                // Each iteration by itself, at the first value.
                let mut inner = ranges.to_vec();
                let (first, _) = span(nest, ranges);
                inner[nest.variable.0 as usize] = (first, first);
                iterations(nest, ranges) * self.body(&nest.body, &inner)
            }
            Statement::If { body, .. } => self.body(body, ranges),
            Statement::Store { .. } | Statement::Use { .. } => {
                let mut touched = Touched::new();
                self.touch(std::slice::from_ref(statement), &mut ranges.to_vec(), &mut touched);
                self.bytes(&touched)
            }
        }
    }

    fn bytes(&self, touched: &Touched) -> f64 {
        let elements =
            |part: &Part| part.iter().map(|(first, last)| (last - first + 1) as f64).product::<f64>();
        let size = |(id, parts): (&TensorId, &Vec<Part>)| {
            let elements: f64 = parts.iter().map(elements).sum();
            let buffer = self.program.buffer(*id);
            elements.min(buffer.len() as f64) * buffer.dtype.bytes() as f64
        };
        touched.iter().map(size).sum()
    }

    /// Adds what statements touch while the variables of their loops run.
    fn touch(&self, body: &[Statement], ranges: &mut Vec<(i64, i64)>, touched: &mut Touched) {
        for statement in body {
            match statement {
                Statement::For(nest) => {
                    let (first, last) = span(nest, ranges);
                    ranges[nest.variable.0 as usize] = (first, last.max(first));
                    self.touch(&nest.body, ranges, touched);
                }
                Statement::If { body, .. } | Statement::Use { body, .. } => self.touch(body, ranges, touched),
                Statement::Store { target, at, value, .. } => {
                    let mut access = |id: TensorId, at: &[Index]| self.access(id, at, ranges, touched);
                    access(*target, at);
                    value.accesses().iter().for_each(|read| access(read.tensor, &read.at));
                }
            }
        }
    }

    fn access(&self, id: TensorId, at: &[Index], ranges: &[(i64, i64)], touched: &mut Touched) {
        if self.program.is_register(id) {
            return;
        }
        let shape = &self.program.buffer(id).shape;
        let range =
            |(index, &extent): (&Index, &usize)| index.range_in(ranges).unwrap_or((0, extent as i64 - 1));
        let own: Vec<(i64, i64)> = at.iter().zip(shape).map(range).collect();
        let parts = touched.entry(id).or_default();
        match parts.iter().position(|part| meet(part, &own)).or(parts.len().checked_sub(MOST_PARTS)) {
            Some(position) => {
                for (whole, part) in parts[position].iter_mut().zip(own) {
                    *whole = (whole.0.min(part.0), whole.1.max(part.1));
                }
            }
            None => parts.push(own),
        }
    }
}

/// Whether two parts overlap, or are neighbours in a dimension while they are the same in all others.
fn meet(a: &Part, b: &Part) -> bool {
    let overlap = |(a, b): (&(i64, i64), &(i64, i64))| a.0 <= b.1 && b.0 <= a.1;
    let apart: Vec<usize> = (0..a.len()).filter(|&d| !overlap((&a[d], &b[d]))).collect();
    let neighbours = |d: usize| a[d].0 == b[d].1 + 1 || b[d].0 == a[d].1 + 1;
    let alike = |d: usize| (0..a.len()).all(|other| other == d || a[other] == b[other]);
    match apart[..] {
        [] => true,
        [d] => neighbours(d) && alike(d),
        _ => false,
    }
}
