//! Each element of a tensor written with `=` is written exactly once.
//!
//! Owns the proof. Indices that are sums of loops of their own write a product of sets, which are compared per dimension;
//! anything else is counted element by element, up to a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::error::Error;
use crate::index::{Atom, Index};
use crate::program::{Loop, LoopId, Program, Reduce, Statement, Step, TensorId};

/// The largest tensor that is counted element by element.
const COUNTED_ELEMENTS: usize = 1 << 22;

/// A statement and the counters around it that its `at` names: they take part in the box that it writes.
struct Write<'a> {
    statement: &'a Statement,
    counters: Vec<&'a Loop>,
}

pub(super) fn verify(program: &Program) -> Result<(), Error> {
    let mut writes: BTreeMap<TensorId, Vec<Write>> = BTreeMap::new();
    let mut accumulated = vec![false; program.tensors.len()];
    let mut late = None;
    program.visit_statements(&mut |counters, statement| {
        let out = statement.out.0 as usize;
        if statement.reduce != Reduce::Set {
            accumulated[out] = true;
            return;
        }
        if accumulated[out] {
            late.get_or_insert(program.statement_text(counters, statement));
        }
        writes.entry(statement.out).or_default().push(Write { statement, counters: counters.to_vec() });
    });
    if let Some(place) = late {
        return Err(Error::invalid(place, "`=` after an accumulation into the same tensor"));
    }
    for (id, writes) in writes {
        // Both sides of an `if` write the same tensor; each side is checked by itself when it is run alone.
        let sides = exclusive_sides(program, id, writes);
        // A side that writes nothing leaves the tensor without a value, which is right as long as nobody reads it.
        let mut writing = sides.into_iter().filter(|writes| !writes.is_empty());
        writing.try_for_each(|writes| covers(program, id, &writes))?;
    }
    Ok(())
}

/// Groups the writes of a tensor so that no group holds both sides of an `if`.
fn exclusive_sides<'a>(program: &'a Program, id: TensorId, writes: Vec<Write<'a>>) -> Vec<Vec<Write<'a>>> {
    let mut sides: Vec<Vec<&Statement>> = vec![vec![]];
    collect_sides(&program.steps, id, &mut sides);
    let find = |wanted: &Statement| {
        writes
            .iter()
            .find(|w| std::ptr::eq(w.statement, wanted))
            .map(|w| Write { statement: w.statement, counters: w.counters.clone() })
    };
    sides.into_iter().map(|side| side.into_iter().filter_map(find).collect()).collect()
}

fn collect_sides<'a>(steps: &'a [Step], id: TensorId, sides: &mut Vec<Vec<&'a Statement>>) {
    for step in steps {
        match step {
            Step::Statement(s) if s.out == id => sides.iter_mut().for_each(|side| side.push(s)),
            Step::Statement(_) => {}
            Step::Repeat(repeat) => collect_sides(&repeat.body, id, sides),
            Step::Branch(branch) => {
                let mut other = sides.clone();
                collect_sides(&branch.then, id, sides);
                collect_sides(&branch.otherwise, id, &mut other);
                if other != *sides {
                    sides.append(&mut other);
                }
            }
        }
    }
}

fn covers(program: &Program, id: TensorId, writes: &[Write]) -> Result<(), Error> {
    let place = || format!("tensor `{}`", program.tensor(id).name);
    let shape = program.shape(id);
    if shape.contains(&0) {
        return Ok(()); // however long its other axes are
    }
    let size: usize = shape.iter().product();
    let boxes: Option<Vec<Vec<Reached>>> = writes.iter().map(|w| progressions(w, shape)).collect();
    let written = match boxes {
        Some(boxes) => {
            for (position, a) in boxes.iter().enumerate() {
                if boxes[..position].iter().any(|b| overlap(a, b)) {
                    return Err(Error::invalid(place(), "two statements write the same element with `=`"));
                }
            }
            boxes.iter().map(|b| volume(b)).sum()
        }
        None => counted(writes, shape).map_err(|problem| Error::invalid(place(), problem))?,
    };
    if written == size {
        return Ok(());
    }
    Err(Error::invalid(place(), format!("{written} of {size} elements are written")))
}

/// Which indices a write reaches in each dimension, if that is a product of sets and reaches each element once.
fn progressions(write: &Write, shape: &[usize]) -> Option<Vec<Reached>> {
    let extents = write.statement.extents(&write.counters);
    let mut used = vec![false; extents.len()];
    let mut dimensions = vec![];
    for (index, &extent) in write.statement.at.iter().zip(shape) {
        let terms = terms(index, &extents, &mut used)?;
        dimensions.push(Reached::of(index.offset(), terms, extent)?);
    }
    let counters = write.counters.len();
    // A loop of the statement that no index names would write the same element again.
    let once = used.iter().enumerate().all(|(l, used)| *used || l < counters || extents[l] == 1);
    once.then_some(dimensions)
}

/// The factors and extents of a sum of loops, if no loop occurs elsewhere.
fn terms(index: &Index, extents: &[usize], used: &mut [bool]) -> Option<Vec<(i64, usize)>> {
    let term = |(atom, factor): &(Atom, i64)| {
        let Atom::Loop(id) = atom else { return None };
        let l = id.0 as usize;
        (!std::mem::replace(&mut used[l], true)).then_some((*factor, extents[l]))
    };
    index.terms().iter().map(term).collect()
}

/// The indices of one dimension that a write reaches, each once.
enum Reached {
    /// All from the first to before the last.
    Run(Range<usize>),
    /// Those that are true.
    Places(Vec<bool>),
}

impl Reached {
    /// What a sum of loops, each with its factor and extent, reaches within `extent`; `None` if no proof is found that no two
    /// points give the same value.
    fn of(offset: i64, mut terms: Vec<(i64, usize)>, extent: usize) -> Option<Reached> {
        terms.sort_by_key(|(factor, _)| factor.unsigned_abs());
        if let Some(run) = run(offset, &terms) {
            let inside = |n: i64| usize::try_from(n).unwrap_or(0).min(extent);
            return Some(Reached::Run(inside(run.start)..inside(run.end)));
        }
        let mut places = vec![false; extent];
        for value in values(offset, &terms)? {
            if let Some(place) = usize::try_from(value).ok().and_then(|v| places.get_mut(v)) {
                *place = true;
            }
        }
        Some(Reached::Places(places))
    }

    fn count(&self) -> usize {
        match self {
            Reached::Run(run) => run.len(),
            Reached::Places(places) => places.iter().filter(|&&reached| reached).count(),
        }
    }

    fn meets(&self, other: &Reached) -> bool {
        match (self, other) {
            (Reached::Run(a), Reached::Run(b)) => a.start.max(b.start) < a.end.min(b.end),
            (Reached::Places(a), Reached::Places(b)) => a.iter().zip(b).any(|(a, b)| *a && *b),
            (Reached::Run(run), Reached::Places(places)) | (Reached::Places(places), Reached::Run(run)) => {
                places.iter().enumerate().any(|(n, reached)| *reached && run.contains(&n))
            }
        }
    }
}

/// The values of a sum of loops without a gap, such as `3g + m` for `m:3`: each term, from the smallest factor on, steps over
/// all that those before it reach.
fn run(offset: i64, terms: &[(i64, usize)]) -> Option<Range<i64>> {
    let (mut start, mut length) = (offset, 1i64);
    for &(factor, extent) in terms.iter().filter(|(_, extent)| *extent != 1) {
        let extent = i64::try_from(extent).ok()?;
        if extent == 0 {
            return Some(start..start);
        }
        if factor.unsigned_abs() != length.unsigned_abs() {
            return None;
        }
        start = start.checked_add(factor.min(0).checked_mul(extent - 1)?)?;
        length = length.checked_mul(extent)?;
    }
    Some(start..start.checked_add(length)?)
}

/// The values of any sum of loops, if they are few and no two points give the same.
fn values(offset: i64, terms: &[(i64, usize)]) -> Option<Vec<i64>> {
    let mut values = vec![offset];
    for &(factor, extent) in terms {
        if values.len().saturating_mul(extent) > COUNTED_ELEMENTS {
            return None;
        }
        let steps = |value: &i64| {
            let value = *value;
            (0..extent as i64).map(move |i| factor * i + value)
        };
        values = values.iter().flat_map(steps).collect();
    }
    let distinct: BTreeSet<&i64> = values.iter().collect();
    (distinct.len() == values.len()).then_some(values)
}

fn overlap(a: &[Reached], b: &[Reached]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.meets(b))
}

fn volume(sets: &[Reached]) -> usize {
    sets.iter().map(Reached::count).product()
}

/// Counts writes element by element; the number of elements, if none is written twice.
fn counted(writes: &[Write], shape: &[usize]) -> Result<usize, String> {
    let size: usize = shape.iter().product();
    if size > COUNTED_ELEMENTS {
        return Err(format!("can't prove that each of its {size} elements is written once"));
    }
    let mut reached = vec![false; size];
    for write in writes {
        let extents = write.statement.extents(&write.counters);
        let named: Vec<LoopId> = write.statement.at.iter().flat_map(Index::loops).collect();
        // Counters that no index names only repeat the write in another iteration.
        let boxed: Vec<usize> =
            extents
                .iter()
                .enumerate()
                .map(|(l, &n)| {
                    if l < write.counters.len() && !named.contains(&LoopId(l as u32)) { n.min(1) } else { n }
                })
                .collect();
        let points: usize = boxed.iter().product();
        if points > COUNTED_ELEMENTS {
            return Err(format!("can't prove that each of its {size} elements is written once"));
        }
        for point in 0..points {
            let at = coordinates(point, &boxed);
            let Some(offset) = offset_of(&write.statement.at, &at, shape)? else { continue };
            if std::mem::replace(&mut reached[offset], true) {
                return Err("an element is written twice with `=`".into());
            }
        }
    }
    Ok(reached.iter().filter(|&&r| r).count())
}

fn coordinates(mut point: usize, extents: &[usize]) -> Vec<usize> {
    let mut at = vec![0; extents.len()];
    for l in (0..extents.len()).rev() {
        at[l] = point % extents[l];
        point /= extents[l];
    }
    at
}

fn offset_of(at: &[Index], loops: &[usize], shape: &[usize]) -> Result<Option<usize>, String> {
    let mut offset = 0;
    for (index, &extent) in at.iter().zip(shape) {
        // At a single point every loop is a constant, so that the range is the value.
        let value = index
            .substitute(&|id| Index::constant(loops[id.0 as usize] as i64))
            .as_constant()
            .ok_or("`=` at an index that depends on data: use a reduction such as `+=`")?;
        match usize::try_from(value) {
            Ok(value) if value < extent => offset = offset * extent + value,
            _ => return Ok(None),
        }
    }
    Ok(Some(offset))
}
