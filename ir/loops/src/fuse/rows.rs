//! What a kernel does row by row.
//!
//! Owns reading it off the nest: its outermost loop counts rows of what it writes, and each iteration reads rows `stride * i + low` to
//! `stride * i + high` of its operands. A kernel may also add each row of an operand to what it keeps, as a mean over an image does.

use std::collections::BTreeMap;

use nablac_index::{Atom, Expr, Index, LoopId, Reduce, TensorId};

use crate::bounds::Bounds;
use crate::program::{For, Kernel, Kind, Program, Role, Statement};

/// A kernel as a loop over rows.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Rows {
    /// How many there are.
    pub extent: usize,
    /// Which dimension of what it writes they are; none where it adds all of them up.
    pub writes: BTreeMap<TensorId, Option<usize>>,
    /// What each reads.
    pub reads: BTreeMap<TensorId, Window>,
    /// What is read as a whole.
    pub whole: Vec<TensorId>,
}

/// Row `i` reads rows `stride * i + low` to `stride * i + high` along a dimension, as far as they are inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    pub along: usize,
    pub stride: i64,
    pub low: i64,
    pub high: i64,
    /// Whether a read of it tests by itself whether it is inside.
    pub guarded: bool,
}

/// The kernel's rows, or why it has none. `private` says which buffers nobody else uses.
pub(super) fn rows(
    program: &Program,
    kernel: &Kernel,
    private: &dyn Fn(TensorId) -> bool,
) -> Result<Rows, String> {
    let [Statement::For(nest)] = &kernel.body[..] else {
        return Err("its nest is not one loop over rows".into());
    };
    let (first, end) = (constant(&nest.lower), constant(&nest.upper));
    let (Some(0), Some(extent), 1, Kind::Serial) = (first, end, nest.step, nest.kind) else {
        return Err("its outermost loop does not run over rows one by one".into());
    };
    let rows = Rows { extent: extent as usize, writes: [].into(), reads: [].into(), whole: vec![] };
    let mut reader = Reader { program, private, row: nest.variable, rows, combined: vec![] };
    let bounds = Bounds::new(kernel.variables.len(), &[]).inside(nest);
    reader.body(&nest.body, &bounds)?;
    let Reader { rows, combined, .. } = reader;
    let kept = |(id, along): (&TensorId, &Option<usize>)| along.is_none() && !combined.contains(id);
    if let Some((id, _)) = rows.writes.iter().find(|&(id, along)| kept((id, along))) {
        return Err(format!("each of its rows writes all of `{}`", program.buffer(*id).name));
    }
    Ok(rows)
}

/// The loop over rows.
pub(super) fn row_loop(kernel: &Kernel) -> Option<&For> {
    match &kernel.body[..] {
        [Statement::For(nest)] => Some(nest),
        _ => None,
    }
}

fn constant(limits: &[Index]) -> Option<i64> {
    match limits {
        [one] => one.as_constant(),
        _ => None,
    }
}

struct Reader<'a> {
    program: &'a Program,
    private: &'a dyn Fn(TensorId) -> bool,
    row: LoopId,
    rows: Rows,
    /// What rows are added to.
    combined: Vec<TensorId>,
}

impl Reader<'_> {
    fn body(&mut self, body: &[Statement], bounds: &Bounds) -> Result<(), String> {
        for statement in body {
            match statement {
                Statement::For(nest) => self.body(&nest.body, &bounds.inside(nest))?,
                Statement::Use { body, .. } => self.body(body, bounds)?,
                Statement::If { condition, body } => {
                    self.expression(condition, bounds)?;
                    self.body(body, &bounds.given(condition))?;
                }
                Statement::Store { target, at, reduce, value } => {
                    self.expression(value, bounds)?;
                    at.iter().try_for_each(|index| self.reads_of(index))?;
                    self.write(*target, at, *reduce)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a buffer's rows matter: not those of what the kernel keeps to itself, nor of constants.
    fn matters(&self, id: TensorId) -> bool {
        let constant = |id: TensorId| matches!(self.program.buffer(id).role, Role::Constant(_));
        !self.program.is_register(id) && !constant(id) && !(self.private)(id)
    }

    fn write(&mut self, target: TensorId, at: &[Index], reduce: Reduce) -> Result<(), String> {
        if !self.matters(target) {
            return Ok(());
        }
        let name = &self.program.buffer(target).name;
        let with_row: Vec<usize> = (0..at.len()).filter(|&d| at[d].loops().contains(&self.row)).collect();
        let along = match with_row[..] {
            [] => None,
            [d] if at[d].as_loop() == Some(self.row) => Some(d),
            _ => return Err(format!("it writes `{name}` in another order than by rows")),
        };
        if along.is_none() && reduce != Reduce::Set {
            self.combined.push(target);
        }
        match self.rows.writes.insert(target, along) {
            Some(before) if before != along => Err(format!("it writes rows of `{name}`, and all of it")),
            _ => Ok(()),
        }
    }

    fn expression(&mut self, value: &Expr, bounds: &Bounds) -> Result<(), String> {
        for access in value.accesses() {
            self.read(access.tensor, &access.at, access.outside.is_some(), bounds)?;
        }
        value.indices().into_iter().try_for_each(|index| self.reads_of(index))
    }

    /// Tensors that indices are read from are read as a whole.
    fn reads_of(&mut self, index: &Index) -> Result<(), String> {
        let mut found = vec![];
        index.visit_atoms(&mut |atom| {
            if let Atom::Read(tensor, _) = atom {
                found.push(*tensor);
            }
        });
        found.retain(|id| self.matters(*id));
        self.rows.whole.extend(found);
        Ok(())
    }

    fn read(&mut self, tensor: TensorId, at: &[Index], guarded: bool, bounds: &Bounds) -> Result<(), String> {
        if !self.matters(tensor) {
            return Ok(());
        }
        let name = &self.program.buffer(tensor).name;
        let with_row: Vec<usize> = (0..at.len()).filter(|&d| at[d].loops().contains(&self.row)).collect();
        let along = match with_row[..] {
            [] => {
                self.rows.whole.push(tensor);
                return Ok(());
            }
            [d] => d,
            _ => return Err(format!("its rows read `{name}` along a diagonal")),
        };
        let (index, stride) = (&at[along], at[along].factor(self.row));
        let rest = index.clone() - Index::of_loop(self.row) * stride;
        let range = if index.is_affine() && stride > 0 { bounds.range(&rest) } else { None };
        let Some((low, high)) = range else {
            return Err(format!("which rows of `{name}` it reads cannot be told from its indices"));
        };
        let window = Window { along, stride, low, high, guarded };
        let joined = match self.rows.reads.get(&tensor) {
            None => window,
            Some(own) if (own.along, own.stride) == (along, stride) => Window {
                low: own.low.min(low),
                high: own.high.max(high),
                guarded: own.guarded || guarded,
                ..window
            },
            Some(_) => return Err(format!("it reads rows of `{name}` in two orders")),
        };
        self.rows.reads.insert(tensor, joined);
        Ok(())
    }
}
