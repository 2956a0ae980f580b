//! What a sum begins with.
//!
//! `sum[…, f] = bias[f]` gives way to `sum[…, f] = start[f]`, and a sum that begins with nothing gets such a statement.

use crate::array::Array;
use crate::dtype::{DType, Value, wrap};
use crate::expression::{Access, Expr};
use crate::program::{Loop, LoopId, Program, Reduce, Role, Statement, Step, TensorId};

use super::function::{Function, for_each_position, is_known};

/// A sum whose beginning can be moved by another number for each channel.
#[derive(Debug)]
pub(super) struct Start {
    tensor: TensorId,
    /// The step that gives the sum its beginning, if there is one.
    set: Option<usize>,
    /// The step that adds.
    add: usize,
    /// For each loop of the channels, the dimension of the sum that it goes along.
    channels: Vec<(LoopId, usize)>,
}

impl Start {
    /// The beginning of the sum that `access` reads, if nobody else reads it and its statements stand at the top level. `loops` are those
    /// of the channels.
    pub fn of(program: &Program, access: &Access, loops: &[(LoopId, usize)]) -> Option<Start> {
        let tensor = access.tensor;
        let writes = |position: &usize| matches!(&program.steps[*position], Step::Statement(statement) if statement.out == tensor);
        let positions: Vec<usize> = (0..program.steps.len()).filter(writes).collect();
        let all = program.statements().iter().filter(|s| s.out == tensor).count();
        let local = program.tensor(tensor).role == Role::Local;
        if all != positions.len() || program.read_counts()[tensor.0 as usize] != 1 || !local {
            return None;
        }
        let dimension = |&(id, extent): &(LoopId, usize)| {
            let d = access.at.iter().position(|index| index.as_loop() == Some(id))?;
            (program.shape(tensor)[d] == extent).then_some((id, d))
        };
        let channels = loops.iter().map(dimension).collect::<Option<Vec<_>>>()?;
        let (set, add) = match positions[..] {
            [add] => (None, add),
            [set, add] => (Some(set), add),
            _ => return None,
        };
        let start = Start { tensor, set, add, channels };
        start.is_plain(program).then_some(start)
    }

    /// Whether the sum is written at plain loops, and begins with what is known.
    fn is_plain(&self, program: &Program) -> bool {
        let plain = |statement: &Statement| {
            let shape = program.shape(self.tensor);
            statement.at.iter().zip(shape).all(|(index, &n)| index.as_loop().is_some() || n == 1)
        };
        let begins = self.set.and_then(|set| statement(program, set));
        let known = |s: &Statement| s.reduce == Reduce::Set && plain(s) && is_known(program, &s.body);
        statement(program, self.add).is_some_and(|s| s.reduce == Reduce::Sum && plain(s))
            && begins.is_none_or(known)
            && begins.is_some() == self.set.is_some()
    }

    /// Moves the beginning by a number for each channel, in the channels' order. A statement to be inserted is given to `insert`, with the
    /// step that it stands before.
    pub fn shift(
        self,
        program: &mut Program,
        by: &[i64],
        insert: &mut Vec<(usize, Statement)>,
    ) -> Option<()> {
        let shape = program.shape(self.tensor).to_vec();
        let set = self.set.and_then(|set| statement(program, set)).cloned();
        let mut set = match set {
            Some(set) => set,
            None => zero(program, self.tensor, statement(program, self.add)?),
        };
        // The dimensions along which the beginning differs.
        let of_body: Vec<LoopId> = set.body.indices().into_iter().flat_map(|i| i.loops()).collect();
        let differs = |&d: &usize| {
            self.channels.iter().any(|c| c.1 == d)
                || set.at[d].as_loop().is_some_and(|l| of_body.contains(&l))
        };
        let dims: Vec<usize> =
            (0..shape.len()).filter(differs).filter(|&d| set.at[d].as_loop().is_some()).collect();
        let along: Vec<(LoopId, usize)> =
            dims.iter().filter_map(|&d| Some((set.at[d].as_loop()?, shape[d]))).collect();
        let function = Function::new(program, &set, &set.body, &[])?;
        let mut values = vec![];
        for_each_position(&along, set.loops.len(), &mut |point| {
            let place = |d: usize| set.at[d].as_loop().map_or(0, |id| point[id.0 as usize]) as usize;
            let channel = self.channels.iter().fold(0, |n, &(_, d)| n * shape[d] + place(d));
            values.push(Value::Int(wrap(DType::I32, function.integer(point, &[])? + by[channel])));
            Some(())
        })?;
        let own: Vec<usize> = dims.iter().map(|&d| shape[d]).collect();
        let name = format!("{}.start", program.tensor(self.tensor).name);
        let array = Array::from_values(DType::I32, &own, values);
        let constant = program.add_tensor(&name, DType::I32, &own, Role::Constant(array));
        set.body = Expr::read(constant, dims.iter().map(|&d| set.at[d].clone()).collect::<Vec<_>>());
        match self.set {
            Some(position) => program.steps[position] = Step::Statement(set),
            None => insert.push((self.add, set)),
        }
        Some(())
    }
}

fn statement(program: &Program, position: usize) -> Option<&Statement> {
    match &program.steps[position] {
        Step::Statement(statement) => Some(statement),
        _ => None,
    }
}

/// The statement that begins a sum with 0: over the loops of the sum that are not reduced.
fn zero(program: &Program, tensor: TensorId, add: &Statement) -> Statement {
    let kept: Vec<LoopId> = add.at.iter().filter_map(|index| index.as_loop()).collect();
    let loops: Vec<Loop> = kept.iter().map(|id| add.loops[id.0 as usize].clone()).collect();
    let place = |id: LoopId| LoopId(kept.iter().position(|k| *k == id).unwrap_or(0) as u32);
    Statement {
        label: add.label.clone(),
        loops,
        out: tensor,
        at: add
            .at
            .iter()
            .map(|index| index.substitute(&|id| crate::index::Index::of_loop(place(id))))
            .collect(),
        reduce: Reduce::Set,
        body: Expr::integer(program.dtype(tensor), 0),
    }
}
