//! Index notation to loop nests.
//!
//! Owns which statements share a nest (`group`), the order and tiling of loops when nobody asks for another (`schedule`), where
//! bounds replace tests at the edges of a tensor (`edges`), what is asked for instead (`pinned`, `chosen`), and building the nest
//! (`nest`, `reduction`, `tiled`), of which a loop may run in parallel (`parallel`, `copies`). A verified program always lowers.

use nablac_index::{Program as IndexProgram, Role as IndexRole, Statement, Step as IndexStep, TensorId};

use crate::error::Error;
use crate::instruction::Library;
use crate::number::number_variables;
use crate::optimize::Optimize;
use crate::program::{Buffer, Delivery, Kernel, Program, Repeat, Role, Step};
use crate::schedule::{Pin, Schedules};

mod chosen;
mod compact;
mod contraction;
mod copies;
mod dot;
mod edges;
mod group;
mod in_place;
mod lanes;
mod nest;
mod operands;
mod order;
mod outline;
mod pack;
mod parallel;
mod pinned;
mod probe;
mod reduction;
mod rules;
mod schedule;
mod side_by_side;
mod staging;
mod stream;
mod tiled;

use chosen::Chosen;
use group::{Group, Item};
pub use stream::streamed_kernels;

/// What a machine offers to a nest, and what the nest is to be.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Capacity {
    /// The machine's name.
    pub machine: String,
    /// Floating-point registers of the width of the values.
    pub float_registers: usize,
    /// Registers for integers, which addresses and counters share.
    pub general_registers: usize,
    /// Registers of several elements.
    pub vector_registers: usize,
    /// What starts in a cycle.
    pub pipeline: Pipeline,
    /// Data caches, the first level first; none where memory answers at once.
    pub caches: Vec<Cache>,
    /// Hardware instructions.
    pub library: Option<Library>,
    /// What the code is to be.
    pub optimize: Optimize,
    /// Which of its candidates a rule gives; they come in the order of its own count, and 0 is the one that it prefers.
    pub rank: usize,
    /// How many threads run kernels; 0 where the machine has none.
    pub threads: usize,
    /// Whether the outermost loop counts rows one by one, as of a kernel that runs row by row with others.
    pub by_rows: bool,
}

impl Capacity {
    /// The loop of a statement that must be outermost and count one by one, of its space loops in order.
    fn row(&self, statement: &Statement, space: &[usize]) -> Option<usize> {
        space.iter().copied().find(|&l| self.by_rows && statement.loops[l].extent > 1)
    }
}

/// How many candidates a rule has at most.
pub const RANKS: usize = 6;

/// What a processor starts in a cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pipeline {
    /// Instructions of any kind.
    pub issues: usize,
    /// Loads.
    pub loads: usize,
    /// Multiply-accumulates.
    pub multiplies: usize,
    /// The cycles until a multiply-accumulate's result can go into the next one.
    pub latency: usize,
}

/// A level of data caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cache {
    /// How much it holds.
    pub bytes: usize,
    /// What it gets from behind it, in bytes a cycle.
    pub refill: usize,
}

/// One instruction after the other.
impl Default for Pipeline {
    fn default() -> Self {
        Pipeline { issues: 1, loads: 1, multiplies: 1, latency: 1 }
    }
}

/// The schedule of every reduction into registers, as a pin, with what it computes: what `schedules` forces, and the rules' choice
/// for all else. `lower` makes the same nests of these pins.
pub fn schedules(
    program: &IndexProgram,
    capacity: &Capacity,
    schedules: &Schedules,
) -> Result<Vec<(String, Pin)>, Error> {
    let program = stream::stream(program, schedules);
    let (_, chosen) = chosen::choose(&program, capacity, schedules)?;
    Ok(chosen::written(&program, &chosen))
}

/// The loop nests that compute a program; `schedules` overrides the rules for the kernels that it pins. Buffers have no place in the
/// arena yet: that is `plan`'s.
pub fn lower(program: &IndexProgram, capacity: &Capacity, schedules: &Schedules) -> Result<Program, Error> {
    let program = stream::stream(program, schedules);
    let (program, chosen) = chosen::choose(&program, capacity, schedules)?;
    Ok(lower_chosen(program, capacity, chosen))
}

/// The loop nests of `lower`, and the pins of `schedules`.
pub fn lower_with_schedules(
    program: &IndexProgram,
    capacity: &Capacity,
    schedules: &Schedules,
) -> Result<(Program, Vec<(String, Pin)>), Error> {
    let program = stream::stream(program, schedules);
    let (prepared, chosen) = chosen::choose(&program, capacity, schedules)?;
    let pins = chosen::written(&program, &chosen);
    Ok((lower_chosen(prepared, capacity, chosen), pins))
}

fn lower_chosen(program: IndexProgram, capacity: &Capacity, chosen: Chosen) -> Program {
    let program = pack::pack_constants(order::order_constants(program, &chosen));
    let buffers = program.tensors.iter().map(|tensor| Buffer {
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
        role: match &tensor.role {
            IndexRole::Input => Role::Input(Delivery::Whole),
            IndexRole::Output => Role::Output,
            IndexRole::Constant(array) => Role::Constant(array.clone()),
            IndexRole::Local => Role::Local,
            IndexRole::State(state) => Role::State(state.clone()),
        },
        offset: None,
    });
    let mut lowering = Lowering::new(&program, chosen);
    lowering.library = capacity.library.as_ref();
    let steps = lowering.steps(&program.steps);
    let library = capacity.library.clone();
    let lowered = Program {
        name: program.name.clone(),
        library,
        buffers: buffers.collect(),
        steps,
        arena_bytes: 0,
        proof: None,
    };
    in_place::states(copies::copy(number_variables(compact::compact(lowered))))
}

/// What goes from one nest to the next while a program is lowered.
struct Lowering<'a> {
    program: &'a IndexProgram,
    /// The machine's instructions, if nests may have any.
    library: Option<&'a Library>,
    /// Its statements, in the order of the text.
    statements: Vec<&'a Statement>,
    chosen: Chosen,
    counters: Vec<&'a nablac_index::Loop>,
    /// Tensors that hold their reduction's identity, or a value, already.
    begun: Vec<TensorId>,
    /// The kernels' names so far.
    names: Vec<String>,
}

impl<'a> Lowering<'a> {
    fn new(program: &'a IndexProgram, chosen: Chosen) -> Lowering<'a> {
        let statements = program.statements();
        Lowering {
            program,
            library: None,
            statements,
            chosen,
            counters: vec![],
            begun: vec![],
            names: vec![],
        }
    }

    /// A statement's place among the program's.
    fn position(&self, statement: &Statement) -> usize {
        self.statements.iter().position(|s| std::ptr::eq(*s, statement)).unwrap_or(self.statements.len())
    }

    fn steps(&mut self, steps: &'a [IndexStep]) -> Vec<Step> {
        self.steps_with(steps, &mut |lowering, group| Some(nest::kernel(lowering, group)))
    }

    /// The steps, with a group's kernel as `kernel` builds it, if it does.
    fn steps_with(
        &mut self,
        steps: &'a [IndexStep],
        kernel: &mut dyn FnMut(&mut Self, &Group<'a>) -> Option<Kernel>,
    ) -> Vec<Step> {
        let mut lowered = vec![];
        for item in group::items(self.program, steps, self.counters.len()) {
            match item {
                Item::Group(group) => lowered.extend(kernel(self, &group).map(Step::Kernel)),
                Item::Repeat(repeat) => {
                    lowered.extend(nest::fills_before(self, repeat));
                    self.counters.push(&repeat.counter);
                    let outside = self.begun.clone();
                    let body = self.steps_with(&repeat.body, kernel);
                    self.begun = outside;
                    self.counters.pop();
                    lowered.push(Step::Repeat(Repeat {
                        counter: repeat.counter.name.clone(),
                        extent: repeat.counter.extent,
                        within: None,
                        carried: repeat.carried.iter().map(|c| (c.state, c.initial, c.next)).collect(),
                        body,
                    }));
                }
                Item::Branch(branch) => {
                    let before = self.begun.clone();
                    let then = self.steps_with(&branch.then, kernel);
                    self.begun = before;
                    let otherwise = self.steps_with(&branch.otherwise, kernel);
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
