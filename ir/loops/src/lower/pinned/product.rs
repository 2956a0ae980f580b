//! Products of packed operands that are asked for.

use nablac_index::{DType, Program, Statement};

use super::super::contraction::{self, Factors};
use super::super::dot::{self, Dot};
use super::super::operands::{channel, remaining};
use super::{Nest, Pinned, amount};
use crate::error::Error;
use crate::instruction::Library;
use crate::schedule::{For, Name};

/// The most that a reduced loop is padded to.
const MOST_PADDED: usize = 1 << 24;

pub(super) fn unknown_instruction(name: &Name, products: &[Dot]) -> Error {
    let known: Vec<&str> = products.iter().map(|dot| dot.multiply.as_str()).collect();
    let message = match known.is_empty() {
        true => format!("the target has no instruction `{}`, nor another that sums products", name.text),
        false => format!("the target sums no products with `{}`; it has {}", name.text, known.join(", ")),
    };
    Error::schedule(name.place, message)
}

/// The instructions of a product by the name of the one that multiplies.
pub(super) fn product(library: &Library, name: &Name) -> Result<Dot, Error> {
    let products = dot::all(library);
    let found = products.iter().find(|dot| dot.multiply == name.text).cloned();
    found.ok_or_else(|| unknown_instruction(name, &products))
}

impl Pinned {
    /// The schedule of a product of packed operands, and its instructions.
    pub(in crate::lower) fn packed(
        &self,
        program: &Program,
        statement: &Statement,
        factors: &Factors,
        library: &Library,
    ) -> Result<(contraction::Schedule, Dot), Error> {
        let nest = self.nest(statement, factors.depth)?;
        let [(own, loops)] = &nest.reduced[..] else {
            let place = nest.reduced.last().map_or(self.kernel.place, |(_, loops)| loops.place);
            return self
                .error(place, "all reduced loops run as one with `use`: write one line for them".into());
        };
        let Some(instruction) = &loops.instruction else {
            return self.error(loops.place, "`use` stands behind the reduced loops".into());
        };
        let dot = product(library, instruction)?;
        if dot.sum() != program.dtype(statement.out) {
            let (sums, own) = (dot.sum().name(), program.dtype(statement.out).name());
            return self
                .error(instruction.place, format!("`{}` sums {sums}, and its sums are {own}", dot.multiply));
        }
        if loops.unroll {
            return self.error(loops.place, "`step` says how many terms are written out with `use`".into());
        }
        if let Some((_, _, place)) = nest.vector {
            let message = "with `use` the instruction says how many sums are side by side".into();
            return self.error(place, message);
        }
        let reduced = self.padded(own, loops, factors)?;
        let space: Vec<(usize, usize)> = nest.space.iter().map(|&(l, step, _)| (l, step)).collect();
        let packed = self.pack(program, &nest, factors, &dot)?;
        let staged = self.buffer(program, &nest, factors, &dot)?;
        let chunk = self.chunk(loops, &reduced, dot.group(packed))?;
        let schedule = contraction::Schedule { space, reduced, chunk, staged, packed };
        if dot.sums > 1 {
            self.side_by_side(&nest, &schedule, statement, factors, &dot)?;
        }
        self.sliding(&nest, &schedule, statement, factors)?;
        if staged.is_none() {
            self.direct(program, &schedule, statement, factors, &dot, loops)?;
        }
        let tiled = (0..factors.extents.len()).filter(|l| !own.contains(l));
        let points = tiled.map(|l| remaining(&schedule.space, l, factors.extents[l]));
        // Of sums that are side by side one instruction is written out for all lanes and their terms.
        let together = if dot.sums > 1 { dot.sums * dot.terms } else { 1 };
        let written = points.chain([chunk]).fold(1usize, |all, n| all.saturating_mul(n.max(1)));
        self.small_enough([written.div_ceil(together)].into_iter())?;
        Ok((schedule, dot))
    }

    /// How much of the fused reduced loop is written out: all of it, if the pin does not say.
    fn chunk(&self, loops: &For, reduced: &[(usize, usize)], group: usize) -> Result<usize, Error> {
        let whole: usize = reduced.iter().map(|(_, padded)| padded).product();
        let length = whole.next_multiple_of(group);
        let chunk = amount(loops.step.as_ref()).unwrap_or(length);
        if !chunk.is_multiple_of(group) {
            let message =
                format!("a step of {chunk} is not whole instructions: they take {group} terms at a time");
            return self.error(loops.place, message);
        }
        Ok(chunk.min(length))
    }

    /// The reduced loops with the extents that they are padded to.
    fn padded(&self, own: &[usize], loops: &For, factors: &Factors) -> Result<Vec<(usize, usize)>, Error> {
        let mut padded = vec![];
        for (&l, axis) in own.iter().zip(&loops.axes) {
            let extent = factors.extents[l];
            let to = amount(axis.padded.as_ref()).unwrap_or(extent);
            if to < extent {
                let message = format!("`{}` cannot be padded to {to}: it has {extent}", axis.name.text);
                return self.error(axis.name.place, message);
            }
            padded.push((l, to));
        }
        let whole = padded.iter().fold(1usize, |all, (_, n)| all.saturating_mul(*n));
        match whole > MOST_PADDED {
            true => self.error(
                loops.place,
                format!(
                    "the reduced loops have {whole} terms with padding; at most {MOST_PADDED} are supported"
                ),
            ),
            false => Ok(padded),
        }
    }

    /// The type of packed constants: as they are, if the pin does not say.
    fn pack(&self, program: &Program, nest: &Nest, factors: &Factors, dot: &Dot) -> Result<DType, Error> {
        let own_type = program.dtype(factors.constant.tensor);
        let Some(stored) = nest.pack else { return Ok(own_type) };
        let own = &program.tensor(factors.constant.tensor).name;
        if stored.tensor.text != *own {
            let message = format!("`{}` is not its constant: that is `{own}`", stored.tensor.text);
            return self.error(stored.tensor.place, message);
        }
        let either = if dot.sums > 1 { vec![dot.packed] } else { vec![own_type, dot.dtype] };
        if !either.contains(&stored.dtype) {
            let asked = stored.dtype.name();
            let mut either: Vec<&str> = either.into_iter().map(DType::name).collect();
            either.dedup();
            let either = either.join(" or ");
            let message = format!("`{}` cannot take constants packed as {asked}: {either}", dot.multiply);
            return self.error(stored.place, message);
        }
        Ok(stored.dtype)
    }

    /// How many loops are around the buffer.
    fn buffer(
        &self,
        program: &Program,
        nest: &Nest,
        factors: &Factors,
        dot: &Dot,
    ) -> Result<Option<usize>, Error> {
        let moving = program.tensor(factors.moving.tensor);
        let bytes = dot.takes == DType::I8 && moving.dtype != DType::I8;
        if bytes {
            let message =
                format!("`{}` multiplies i8, and `{}` is {}", dot.multiply, moving.name, moving.dtype.name());
            return self.error(self.instruction().map_or(self.kernel.place, |name| name.place), message);
        }
        let Some((around, stored)) = nest.buffer else { return Ok(None) };
        if stored.tensor.text != moving.name {
            let message = format!(
                "`{}` has no buffer: what it reads at run time is `{}`",
                stored.tensor.text, moving.name
            );
            return self.error(stored.tensor.place, message);
        }
        if stored.dtype != dot.takes {
            let message =
                format!("`{}` multiplies {}: the buffer has that type", dot.multiply, dot.takes.name());
            return self.error(stored.place, message);
        }
        Ok(Some(around))
    }

    /// Sums that are side by side are iterations of one loop, which goes on in whole registers.
    fn side_by_side(
        &self,
        nest: &Nest,
        schedule: &contraction::Schedule,
        statement: &Statement,
        factors: &Factors,
        dot: &Dot,
    ) -> Result<(), Error> {
        let (multiply, sums) = (&dot.multiply, dot.sums);
        let Some(channel) = channel(schedule, factors) else {
            let message =
                format!("`{multiply}` has {sums} sums side by side: no loop moves the constants alone");
            return self.error(self.kernel.place, message);
        };
        let name = &statement.loops[channel].name;
        let broken = nest.space.iter().find(|(l, step, _)| {
            *l == channel && *step < factors.extents[channel] && !step.is_multiple_of(sums)
        });
        match broken {
            Some((_, step, place)) => self.error(
                *place,
                format!(
                    "`{multiply}` has {sums} sums side by side along `{name}`: {step} is no multiple of that"
                ),
            ),
            None => Ok(()),
        }
    }

    /// In the buffer the reduced loops are neighbours: only along the first of them may a window slide.
    fn sliding(
        &self,
        nest: &Nest,
        schedule: &contraction::Schedule,
        statement: &Statement,
        factors: &Factors,
    ) -> Result<(), Error> {
        let Some(around) = schedule.staged else { return Ok(()) };
        for &(reduced, _) in schedule.reduced.iter().skip(1) {
            let slides = |l: usize| factors.moves(l).map(|m| m.0) == factors.moves(reduced).map(|m| m.0);
            let open = |l: usize| remaining(&schedule.space[..around], l, factors.extents[l]) > 1;
            let own = schedule.space.iter().map(|(l, _)| *l).find(|&l| slides(l) && open(l));
            if let Some(l) = own {
                let (space, inner) = (&statement.loops[l].name, &statement.loops[reduced].name);
                let message = format!(
                    "`{space}` slides along `{inner}`: name `{inner}` first, or put `for {space}` in front of the buffer with step 1"
                );
                return self
                    .error(nest.buffer.map_or(self.kernel.place, |(_, stored)| stored.place), message);
            }
        }
        Ok(())
    }

    /// Whether the operand can be read where it is.
    fn direct(
        &self,
        program: &Program,
        schedule: &contraction::Schedule,
        statement: &Statement,
        factors: &Factors,
        dot: &Dot,
        loops: &For,
    ) -> Result<(), Error> {
        let moving = program.tensor(factors.moving.tensor);
        let last = factors.moving.at.len().saturating_sub(1);
        let along_last = |l: usize| factors.moves(l).is_some_and(|(d, _)| d == last);
        let space_slides = (0..factors.extents.len())
            .any(|l| along_last(l) && !schedule.reduced.iter().any(|(own, _)| *own == l));
        let first = schedule.reduced[0];
        let reason = if factors.moving.outside.is_some() {
            "a window reaches over its edges".into()
        } else if schedule.reduced.len() > 1 {
            "it has several reduced loops".into()
        } else if !along_last(first.0) || space_slides {
            format!("`{}` does not go through neighbours", statement.loops[first.0].name)
        } else if dot.sums > 1 && moving.dtype == dot.takes && first.1 == factors.extents[first.0] {
            return Ok(());
        } else if dot.sums > 1 && moving.dtype != dot.takes {
            format!("it is {}, and `{}` multiplies {}", moving.dtype.name(), dot.multiply, dot.takes.name())
        } else if moving.dtype != DType::I8 {
            format!("it is {}", moving.dtype.name())
        } else if first.1 != factors.extents[first.0] || !first.1.is_multiple_of(dot.bytes) {
            format!("its {} terms are not whole words of {} bytes", first.1, dot.bytes)
        } else if dot.unpack.is_some() && schedule.packed != DType::I8 {
            "bytes that are taken apart meet constants packed as i8 only".into()
        } else {
            return Ok(());
        };
        let message = format!("`{}` needs a line `buffer`: {reason}", moving.name);
        self.error(loops.place, message)
    }
}
