//! Which loop of a nest runs in parallel.
//!
//! Owns the choice where no pin says: the outermost loop over the result whose iterations keep all threads busy, of a kernel with work
//! enough to pay for waking them. That its parts write apart is asked of the verifier, before the nest is there.

use std::collections::BTreeMap;

use nablac_index::{Atom, DType, Expr, Index, LoopId, Program as IndexProgram, Reduce, TensorId};

use super::chosen::Chosen;
use super::outline::Named;
use super::pinned::Pins;
use super::{Capacity, schedule};
use crate::bounds::Bounds;
use crate::error::Error;
use crate::program::{Buffer, For, Kind, Program, Role, Statement};
use crate::verify::parallel::shared;

/// The terms, or elements, that a kernel has at least for each time that it wakes threads. To wake one and to wait for it takes 0.7 µs
/// (AMD EPYC at 2 threads, both awake); so many products take 3.2 µs with AVX2 there, so that two threads save 0.9 µs or more.
const LEAST_WORK: usize = 1 << 17;

/// A loop that runs in parallel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parallel {
    /// The main statement's loop.
    pub l: usize,
    /// The most parts that it has.
    pub parts: usize,
}

/// The parallel loops, by the main statement's place.
pub(super) fn choose(
    program: &IndexProgram,
    kernels: &[Named],
    chosen: &Chosen,
    pins: &Pins,
    capacity: &Capacity,
) -> Result<BTreeMap<usize, Parallel>, Error> {
    let mut found = BTreeMap::new();
    for kernel in kernels {
        let nest = Nest { program, kernel, space: space(kernel, chosen) };
        let parallel = match pins.get(kernel.position) {
            Some(pinned) => {
                let writes_apart = |parallel: Parallel| nest.writes_apart(parallel);
                pinned.parallel(kernel.main, kernel.counters.len(), capacity, &writes_apart)?
            }
            None => nest.by_rule(capacity.threads),
        };
        found.extend(parallel.map(|parallel| (kernel.position, parallel)));
    }
    Ok(found)
}

/// The loops over a kernel's result with their steps, outermost first.
fn space(kernel: &Named, chosen: &Chosen) -> Vec<(usize, usize)> {
    if let Some(contraction) = chosen.contractions.get(&kernel.position) {
        return contraction.schedule.space.clone();
    }
    match chosen.plain.get(&kernel.position) {
        Some(schedule) => schedule.space.clone(),
        None if kernel.main.reduce == Reduce::Set => {
            schedule::plain_order(kernel.main, kernel.counters.len()).into_iter().map(|l| (l, 1)).collect()
        }
        None => vec![],
    }
}

/// A kernel before its nest is built.
struct Nest<'a> {
    program: &'a IndexProgram,
    kernel: &'a Named<'a>,
    space: Vec<(usize, usize)>,
}

impl Nest<'_> {
    fn by_rule(&self, threads: usize) -> Option<Parallel> {
        if threads < 2 {
            return None;
        }
        let extent = |l: usize| self.kernel.main.loops[l].extent;
        let work = (0..self.kernel.main.loops.len()).fold(1usize, |work, l| work.saturating_mul(extent(l)));
        let mut times = 1usize;
        for (position, &(l, step)) in self.space.iter().enumerate() {
            let again = self.space[..position].iter().any(|(other, _)| *other == l);
            let iterations = extent(l) / step.max(1);
            // No more than a quarter of the threads' time is spent waiting for the last of them.
            let busy = iterations * 4 >= 3 * threads * iterations.div_ceil(threads).max(1);
            let parallel = Parallel { l, parts: threads };
            if work / times < LEAST_WORK {
                return None;
            }
            if !again && iterations > 1 && busy && self.writes_apart(parallel) {
                return Some(parallel);
            }
            times = times.saturating_mul(extent(l).div_ceil(step.max(1)).max(1));
        }
        None
    }

    /// Whether parts of a loop never write the same element of the result: as the verifier will see it.
    fn writes_apart(&self, parallel: Parallel) -> bool {
        let mut reads = false;
        self.kernel.at.iter().for_each(|index| {
            index.visit_atoms(&mut |atom| reads |= matches!(atom, Atom::Read(..)));
        });
        let counters = &self.kernel.counters;
        let extents: Vec<usize> = counters.iter().map(|counter| counter.extent).collect();
        let bounds = Bounds::new(counters.len() + self.kernel.main.loops.len() + 1, &extents);
        let tensor = self.program.tensor(self.kernel.out);
        let result = Buffer {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            role: Role::Local,
            offset: None,
        };
        let program = Program { buffers: vec![result], ..Program::default() };
        !reads && shared(&program, &self.outline(parallel), &bounds).is_empty()
    }

    /// The nest as far as writing its result goes, which is buffer 0: the parallel loop, and all others inside of it. What is left of its
    /// step has the variable behind all others.
    fn outline(&self, Parallel { l, parts }: Parallel) -> For {
        let Named { main, counters, at, .. } = self.kernel;
        let (depth, loops) = (counters.len(), &main.loops);
        let id = |l: usize| LoopId((depth + l) as u32);
        let step = self.space.iter().find(|(own, _)| *own == l).map_or(1, |(_, step)| *step).max(1);
        let moved = |own: LoopId| match own == id(l) {
            true => Index::of_loop(own) + Index::of_loop(id(loops.len())),
            false => Index::of_loop(own),
        };
        let at = at.iter().map(|index| index.substitute(&moved)).collect();
        let value = Expr::integer(DType::I32, 0);
        let store = Statement::Store { target: TensorId(0), at, reduce: Reduce::Set, value };
        let around = |body: Statement, (l, extent): (usize, usize)| For {
            variable: id(l),
            lower: vec![0.into()],
            upper: vec![(extent as i64).into()],
            step: 1,
            kind: Kind::Serial,
            body: vec![body],
        };
        let others =
            loops.iter().map(|own| own.extent).chain([step]).enumerate().filter(|(own, _)| *own != l);
        let inner = others.fold(store, |body, own| Statement::For(around(body, own)));
        let whole = loops[l].extent / step * step;
        For { step, kind: Kind::Parallel(parts), ..around(inner, (l, whole)) }
    }
}

/// The lines of a nest with the outermost loops called `name` in parts.
pub(super) fn in_parts(body: Vec<Statement>, names: &[String], name: &str, parts: usize) -> Vec<Statement> {
    let each = |statement| match statement {
        Statement::For(nest) if names[nest.variable.0 as usize] == name => {
            Statement::For(For { kind: Kind::Parallel(parts), ..nest })
        }
        Statement::For(nest) => Statement::For(For { body: in_parts(nest.body, names, name, parts), ..nest }),
        other => other,
    };
    body.into_iter().map(each).collect()
}
