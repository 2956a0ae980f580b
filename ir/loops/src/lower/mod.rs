//! Index notation to loop nests.
//!
//! Owns which statements share a nest (`group`), the order and tiling of loops when nobody asks for another (`schedule`), where
//! bounds replace tests at the edges of a tensor (`edges`), and building the nest (`nest`, `reduction`). A verified program always lowers.

use std::collections::BTreeMap;

use nablac_index::{Program as IndexProgram, Role as IndexRole, Step as IndexStep, TensorId};

use crate::instruction::Library;
use crate::number::number_variables;
use crate::program::{Buffer, Program, Role, Step};

mod compact;
mod contraction;
mod dot;
mod edges;
mod group;
mod nest;
mod order;
mod pack;
mod reduction;
mod rules;
mod schedule;
mod staging;
mod tiled;

use contraction::Contraction;
use group::Item;

/// What a machine offers to a nest.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Capacity {
    /// Floating-point registers of the width of the values.
    pub float_registers: usize,
    /// Registers for integers, which addresses and counters share.
    pub general_registers: usize,
    /// Hardware instructions.
    pub library: Option<Library>,
}

/// The loop nests that compute a program. Buffers have no place in the arena yet: that is `plan`'s.
pub fn lower(program: &IndexProgram, capacity: &Capacity) -> Program {
    let (program, contractions) = contraction::prepare(program.clone(), capacity);
    let program = pack::pack_constants(order::order_constants(program, capacity, &contractions));
    let buffers = program.tensors.iter().map(|tensor| Buffer {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        role: match &tensor.role {
            IndexRole::Input => Role::Input,
            IndexRole::Output => Role::Output,
            IndexRole::Constant(array) => Role::Constant(array.clone()),
            IndexRole::Local => Role::Local,
            IndexRole::State(state) => Role::State(state.clone()),
        },
        offset: None,
    });
    let mut lowering = Lowering {
        program: &program,
        capacity,
        contractions,
        counters: vec![],
        begun: vec![],
        names: vec![],
    };
    let steps = lowering.steps(&program.steps);
    let library = capacity.library.clone();
    let lowered =
        Program { name: program.name.clone(), library, buffers: buffers.collect(), steps, arena_bytes: 0 };
    number_variables(compact::compact(lowered))
}

/// What goes from one nest to the next while a program is lowered.
struct Lowering<'a> {
    program: &'a IndexProgram,
    capacity: &'a Capacity,
    /// The reductions that run as products of packed operands, by what they write.
    contractions: BTreeMap<TensorId, Contraction>,
    counters: Vec<&'a nablac_index::Loop>,
    /// Tensors that hold their reduction's identity, or a value, already.
    begun: Vec<TensorId>,
    /// The kernels' names so far.
    names: Vec<String>,
}

impl<'a> Lowering<'a> {
    fn steps(&mut self, steps: &'a [IndexStep]) -> Vec<Step> {
        let mut lowered = vec![];
        for item in group::items(self.program, steps, self.counters.len()) {
            match item {
                Item::Group(group) => lowered.push(Step::Kernel(nest::kernel(self, &group))),
                Item::Repeat(repeat) => {
                    lowered.extend(nest::fills_before(self, repeat));
                    self.counters.push(&repeat.counter);
                    let outside = self.begun.clone();
                    let body = self.steps(&repeat.body);
                    self.begun = outside;
                    self.counters.pop();
                    lowered.push(Step::Repeat {
                        counter: repeat.counter.name.clone(),
                        extent: repeat.counter.extent,
                        carried: repeat.carried.iter().map(|c| (c.state, c.initial, c.next)).collect(),
                        body,
                    });
                }
                Item::Branch(branch) => {
                    let before = self.begun.clone();
                    let then = self.steps(&branch.then);
                    self.begun = before;
                    let otherwise = self.steps(&branch.otherwise);
                    lowered.push(Step::Branch { condition: branch.condition, then, otherwise });
                }
            }
        }
        lowered
    }

    /// A kernel's name: its main statement's label, or the tensor that it writes, with a number behind it if it is taken.
    fn name(&mut self, label: &str, tensor: TensorId) -> String {
        let name = if label.is_empty() { &self.program.tensor(tensor).name } else { label };
        let mut unique = name.to_string();
        let mut number = 1;
        while self.names.contains(&unique) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        self.names.push(unique.clone());
        unique
    }
}
