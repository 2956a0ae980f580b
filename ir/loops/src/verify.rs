//! The rules of well-formed loop nests.
//!
//! Owns what interpreters, plans and exporters may take for granted: names and ids are valid, types agree, every access is
//! inside or guarded, registers are reached at constant indices, nothing given is overwritten, and nothing is read that has
//! not been written by an earlier step.

use std::collections::BTreeSet;

use nablac_index::{Atom, DType, Element, Index, TensorId, is_loop_name, verify_state};

use crate::bounds::Bounds;
use crate::error::Error;
use crate::program::{Buffer, Delivery, Kernel, Program, Receive, Repeat, Role, Step};

mod kernel;
pub(crate) mod parallel;

/// Checks every rule; the error names the buffer, kernel or repetition.
pub fn verify(program: &Program) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for buffer in &program.buffers {
        let place = || format!("buffer `{}`", buffer.name);
        if !names.insert(&buffer.name) {
            return Err(Error::invalid(place(), "the name is taken"));
        }
        verify_buffer(program, buffer).map_err(|problem| Error::invalid(place(), problem))?;
    }
    let given = |b: &Buffer| {
        matches!(
            b.role,
            Role::Input(Delivery::Whole | Delivery::External) | Role::Constant(_) | Role::State(_)
        )
    };
    let written = program.buffers().filter(|(_, b)| given(b)).map(|(id, _)| id).collect();
    let mut checker = Checker { program, counters: vec![], written, kernels: BTreeSet::new() };
    checker.steps(&program.steps)?;
    for (id, state) in program.states() {
        let place = || format!("state `{}`", program.buffer(id).name);
        let element = |id: TensorId| {
            let buffer = program.buffers.get(id.0 as usize)?;
            Some(Element { name: &buffer.name, dtype: buffer.dtype, shape: &buffer.shape })
        };
        let is_state = |next| next != id && matches!(program.buffer(next).role, Role::State(_));
        verify_state(state, element(id), element(state.next), is_state, &checker.written)
            .map_err(|problem| Error::invalid(place(), problem))?;
    }
    let missing = program.outputs().into_iter().find(|id| !checker.written.contains(id));
    missing.map_or(Ok(()), |id| {
        Err(Error::invalid(format!("output `{}`", program.buffer(id).name), "is never written"))
    })
}

fn verify_buffer(program: &Program, buffer: &Buffer) -> Result<(), String> {
    let elements = buffer.shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent));
    let bytes =
        elements.and_then(|n| n.checked_mul(buffer.dtype.bytes())).ok_or("is larger than any memory")?;
    if let Role::Constant(array) = &buffer.role
        && (array.dtype(), array.shape()) != (buffer.dtype, &buffer.shape[..])
    {
        return Err(format!("holds {}{:?}", array.dtype(), array.shape()));
    }
    match (buffer.offset, &buffer.role) {
        (Some(_), Role::Constant(_)) => Err("a constant has no place in the arena".into()),
        (Some(_), Role::Input(Delivery::Rows | Delivery::External)) => {
            Err("what the caller keeps has no place in the arena".into())
        }
        (Some(offset), _) if offset.checked_add(bytes).is_none_or(|end| end > program.arena_bytes) => {
            Err(format!("{bytes} bytes at {offset} leave the arena of {} bytes", program.arena_bytes))
        }
        _ => Ok(()),
    }
}

struct Checker<'a> {
    program: &'a Program,
    counters: Vec<(&'a str, usize)>,
    /// What has a value.
    written: BTreeSet<TensorId>,
    kernels: BTreeSet<&'a str>,
}

impl<'a> Checker<'a> {
    fn steps(&mut self, steps: &'a [Step]) -> Result<(), Error> {
        steps.iter().try_for_each(|step| match step {
            Step::Kernel(kernel) => self.kernel(kernel),
            Step::Repeat(repeat) => self.repeat(repeat),
            Step::Receive(receive) => self.receive(receive),
            Step::Branch { condition, then, otherwise } => {
                let place = "a branch";
                let buffer = self.buffer(*condition, place)?;
                if buffer.dtype != DType::Bool || buffer.len() != 1 {
                    let problem =
                        format!("`{}` is {}{:?}, not one boolean", buffer.name, buffer.dtype, buffer.shape);
                    return Err(Error::invalid(place, problem));
                }
                self.require_written(*condition, place)?;
                let before = self.written.clone();
                self.steps(then)?;
                let then = std::mem::replace(&mut self.written, before);
                self.steps(otherwise)?;
                self.written = self.written.intersection(&then).copied().collect();
                Ok(())
            }
        })
    }

    fn buffer(&self, id: TensorId, place: &str) -> Result<&'a Buffer, Error> {
        let buffer = self.program.buffers.get(id.0 as usize);
        buffer.ok_or_else(|| Error::invalid(place, format!("there is no buffer {}", id.0)))
    }

    fn require_written(&self, id: TensorId, place: &str) -> Result<(), Error> {
        if self.written.contains(&id) {
            return Ok(());
        }
        Err(Error::invalid(place, format!("`{}` is read before it is written", self.program.buffer(id).name)))
    }

    /// What an index of counters alone can be here; an error where it has something else in it.
    fn range(&self, index: &Index, place: &str) -> Result<(i64, i64), Error> {
        let known = |id: &nablac_index::LoopId| (id.0 as usize) < self.counters.len();
        let mut reads = false;
        index.visit_atoms(&mut |atom| reads |= matches!(atom, Atom::Read(..)));
        let extents: Vec<usize> = self.counters.iter().map(|(_, extent)| *extent).collect();
        let bounds = Bounds::new(extents.len(), &extents);
        let range = (!reads && index.loops().iter().all(known)).then(|| bounds.range(index)).flatten();
        range.ok_or_else(|| Error::invalid(place, "an index here is made of enclosing counters"))
    }

    fn receive(&mut self, receive: &Receive) -> Result<(), Error> {
        let input = self.buffer(receive.input, "receive")?;
        let place = format!("receive `{}`", input.name);
        let buffer = self.buffer(receive.buffer, &place)?;
        if input.role != Role::Input(Delivery::Rows) {
            return Err(Error::invalid(place, "it is no input that comes by rows"));
        }
        if !receive.fits(self.program) || buffer.role != Role::Local {
            let problem = format!("`{}` has no room for rows of it", buffer.name);
            return Err(Error::invalid(place, problem));
        }
        let rows = [(&receive.position, input.shape[receive.along]), (&receive.slot, buffer.shape[0])];
        for (index, extent) in rows {
            let (low, high) = self.range(index, &place)?;
            if low < 0 || high >= extent as i64 {
                return Err(Error::invalid(place, format!("row {low} to {high} of {extent}")));
            }
        }
        self.written.insert(receive.buffer);
        Ok(())
    }

    fn repeat(&mut self, repeat: &'a Repeat) -> Result<(), Error> {
        let Repeat { counter, extent, within, carried, body } = repeat;
        let place = format!("repeat {counter}");
        if !is_loop_name(counter) || self.counters.iter().any(|(name, _)| name == counter) {
            return Err(Error::invalid(place, "a counter can't have this name here"));
        }
        for (state, initial, next) in carried {
            let [own, first, following] = [*state, *initial, *next].map(|id| self.buffer(id, &place));
            let (own, first, following) = (own?, first?, following?);
            for other in [first, following] {
                if (other.dtype, &other.shape) != (own.dtype, &own.shape) {
                    let problem = format!("`{}` and `{}` differ in type or shape", own.name, other.name);
                    return Err(Error::invalid(place, problem));
                }
            }
            let mut others = carried.iter().flat_map(|c| [c.1, c.2]);
            if others.any(|id| id == *state) || !matches!(own.role, Role::Local | Role::Output) {
                let problem = format!("state `{}` can't be given, nor be the value of a state", own.name);
                return Err(Error::invalid(place, problem));
            }
            self.require_written(*initial, &place)?;
        }
        for bound in within.iter().flat_map(|(low, high)| [low, high]) {
            self.range(bound, &place)?;
        }
        self.written.extend(carried.iter().map(|c| c.0));
        self.counters.push((counter, *extent));
        self.steps(body)?;
        self.counters.pop();
        for (state, _, next) in carried {
            self.require_written(*next, &place)?;
            if self.writes(body, *state) {
                let problem = format!("state `{}` is written by the body", self.program.buffer(*state).name);
                return Err(Error::invalid(place, problem));
            }
        }
        Ok(())
    }

    fn writes(&self, steps: &[Step], id: TensorId) -> bool {
        steps.iter().any(|step| match step {
            Step::Kernel(kernel) => kernel.writes(self.program.buffers.len()).contains(&id),
            Step::Repeat(repeat) => repeat.carried.iter().any(|c| c.0 == id) || self.writes(&repeat.body, id),
            Step::Receive(receive) => receive.buffer == id,
            Step::Branch { then, otherwise, .. } => self.writes(then, id) || self.writes(otherwise, id),
        })
    }

    fn kernel(&mut self, kernel: &'a Kernel) -> Result<(), Error> {
        let place = format!("kernel `{}`", kernel.name);
        if !self.kernels.insert(&kernel.name) {
            return Err(Error::invalid(place, "the name is taken"));
        }
        kernel::verify(self.program, kernel, &self.counters)?;
        let extents: Vec<usize> = self.counters.iter().map(|(_, extent)| *extent).collect();
        parallel::verify(self.program, kernel, &extents)?;
        let buffers = self.program.buffers.len();
        let writes = kernel.writes(buffers);
        for id in &writes {
            let buffer = self.program.buffer(*id);
            // A state that is its own next value becomes that when nobody reads the old one any more.
            let in_place = matches!(&buffer.role, Role::State(state) if state.next == *id);
            if matches!(buffer.role, Role::Input(_) | Role::Constant(_) | Role::State(_)) && !in_place {
                return Err(Error::invalid(
                    place,
                    format!("`{}` is given and can't be written", buffer.name),
                ));
            }
        }
        for id in kernel.reads(buffers).into_iter().filter(|id| !writes.contains(id)) {
            self.require_written(id, &place)?;
        }
        self.written.extend(writes);
        Ok(())
    }
}
