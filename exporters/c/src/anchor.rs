//! Pointers near which the instructions of a block read.
//!
//! Owns where such a pointer is declared, and how it moves along with a loop: in front of a loop of nothing but instructions, so that
//! an iteration adds to it what it would compute anew otherwise, out of more variables than there are registers.

use nablac_index::{Index, TensorId};
use nablac_loops::{For, Kernel, Operand, Statement};

use crate::error::Error;
use crate::kernel::Body;
use crate::literal::c_type;
use crate::writer::Anchor;

impl Body<'_, '_> {
    /// The pointers of a block: one for all addresses that only a constant tells apart. Those that move along are there already.
    pub fn anchor(&mut self, body: &[Statement]) -> Result<(), Error> {
        for anchor in self.wanted(body) {
            let same = |own: &&Anchor| own.tensor == anchor.tensor && own.rest == anchor.rest;
            let moving = self.writer.anchors.iter().find(|own| own.moves && same(own));
            let name = match moving.map(|own| own.name.clone()) {
                Some(name) => name,
                None => {
                    let address = self.writer.address(anchor.tensor, &(anchor.rest.clone() + anchor.base))?;
                    self.point(anchor, &address)
                }
            };
            self.line(&format!("@UPPER@_ANCHOR({name});"));
        }
        Ok(())
    }

    /// Declares the pointers that move along with a loop; gives the lines that move them.
    pub fn moving_anchors(&mut self, nest: &For) -> Result<Vec<String>, Error> {
        let fixed = |limits: &[Index]| match limits {
            [one] => one.as_constant(),
            _ => None,
        };
        let (Some(begin), Some(end)) = (fixed(&nest.lower), fixed(&nest.upper)) else { return Ok(vec![]) };
        if end <= begin || !nest.body.iter().all(|line| matches!(line, Statement::Use { .. })) {
            return Ok(vec![]);
        }
        let outside = self.writer.bounds.clone();
        self.writer.bounds = outside.inside(nest);
        let wanted = self.wanted(&nest.body);
        self.writer.bounds = outside;
        let walked = (end - begin).unsigned_abs().next_multiple_of(nest.step as u64) as i64;
        let mut lines = vec![];
        for anchor in wanted {
            let factor = anchor.rest.factor(nest.variable);
            let still = anchor.rest.clone() - Index::of_loop(nest.variable) * factor;
            let first = still.clone() + factor * begin + anchor.base;
            let len: usize = self.writer.scope.tensor(anchor.tensor).shape.iter().product();
            // It ends one behind the buffer's last element at most.
            let last = (first.clone() + factor * walked).range_in(self.writer.bounds.ranges());
            let inside = last.is_some_and(|(_, last)| last <= len as i64);
            if factor <= 0 || still.loops().contains(&nest.variable) || !inside {
                continue;
            }
            let address = self.writer.address(anchor.tensor, &first)?;
            let name = self.point(Anchor { moves: true, ..anchor }, &address);
            lines.push(format!("{name} += {};", factor * nest.step as i64));
        }
        Ok(lines)
    }

    /// What the instructions of a block read, by what is constant in its address.
    fn wanted(&self, body: &[Statement]) -> Vec<Anchor> {
        let mut anchors: Vec<Anchor> = vec![];
        let block = Kernel { body: body.to_vec(), ..Kernel::default() };
        let written_here = block.writes(self.writer.program.buffers.len());
        for statement in body {
            let Statement::Use { instruction, body } = statement else { continue };
            for (known, p, Operand { tensor, position }) in self.scalars.operands(instruction, body) {
                let written = known.written().contains(&TensorId(p as u32));
                if !known.parameters[p].memory || written || written_here.contains(&tensor) {
                    continue;
                }
                let position = position.simplify_in(self.writer.bounds.ranges());
                let (rest, base) = (position.clone() - position.offset(), position.offset());
                match anchors.iter_mut().find(|anchor| anchor.tensor == tensor && anchor.rest == rest) {
                    Some(anchor) => anchor.base = anchor.base.min(base),
                    None => anchors.push(Anchor { tensor, rest, base, name: String::new(), moves: false }),
                }
            }
        }
        anchors
    }

    /// Declares a pointer; gives its name.
    fn point(&mut self, mut anchor: Anchor, address: &str) -> String {
        let stem = self.writer.buffers[anchor.tensor.0 as usize].clone();
        let name = self.names.claim(&format!("{stem}_at"));
        let element = c_type(self.writer.scope.tensor(anchor.tensor).dtype);
        self.line(&format!("const {element} *{name} = {address};"));
        anchor.name = name.clone();
        self.writer.anchors.push(anchor);
        name
    }
}
