//! The inputs of a long short-term memory, in the order of TFLite's operator, checked against each other.

use nablac_index::{DType, Index, TensorId};

use crate::error::Error;
use crate::operator::Definition;

/// The inputs that are states: the output and the cells.
pub const OUTPUT_STATE: usize = 18;
pub const CELL_STATE: usize = 19;

/// How many inputs there are.
pub const COUNT: usize = 24;

/// A gate, by its place among the weights of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    Input,
    Forget,
    Cell,
    Output,
}

impl Gate {
    /// The name that its tensors have in front.
    pub fn name(self) -> &'static str {
        match self {
            Gate::Input => "input",
            Gate::Forget => "forget",
            Gate::Cell => "cell",
            Gate::Output => "output",
        }
    }

    /// The input that holds its weights for `x`.
    pub fn weights(self) -> usize {
        1 + self as usize
    }

    /// The input that holds its weights for the output of the time before.
    pub fn recurrent(self) -> usize {
        5 + self as usize
    }

    /// The input that holds its weights for the cells, which the gate into the cells has none of.
    pub fn peephole(self) -> Option<usize> {
        match self {
            Gate::Input => Some(9),
            Gate::Forget => Some(10),
            Gate::Cell => None,
            Gate::Output => Some(11),
        }
    }

    /// The input that holds its bias.
    pub fn bias(self) -> usize {
        12 + self as usize
    }

    /// The input that holds its coefficients of layer normalization.
    pub fn normalization(self) -> usize {
        20 + self as usize
    }
}

/// The inputs that hold the projection's weights and bias.
pub const PROJECTION: usize = 16;
pub const PROJECTION_BIAS: usize = 17;

/// The inputs with their extents.
#[derive(Clone, Debug)]
pub struct Inputs {
    tensors: Vec<Option<TensorId>>,
    pub time_major: bool,
    pub times: usize,
    pub batch: usize,
    pub features: usize,
    pub cells: usize,
    pub outputs: usize,
}

impl Inputs {
    /// Reads and checks them.
    pub fn new(definition: &Definition, time_major: bool) -> Result<Inputs, Error> {
        let mut tensors = definition.inputs().to_vec();
        tensors.resize(COUNT, None);
        let (x, h, c) =
            (definition.input(0)?, definition.input(OUTPUT_STATE)?, definition.input(CELL_STATE)?);
        let shapes = [x, h, c].map(|id| definition.shape(id));
        let (&[first, second, features], &[batch, outputs], &[cell_batch, cells]) =
            (&shapes[0][..], &shapes[1][..], &shapes[2][..])
        else {
            return Err(definition.malformed(format!("an input and states of shapes {shapes:?}")));
        };
        let (times, own_batch) = if time_major { (first, second) } else { (second, first) };
        definition.require(own_batch == batch && cell_batch == batch, || {
            format!("an input and states of shapes {shapes:?}")
        })?;
        let inputs = Inputs { tensors, time_major, times, batch, features, cells, outputs };
        inputs.check(definition)?;
        Ok(inputs)
    }

    fn check(&self, definition: &Definition) -> Result<(), Error> {
        let expect = |position: usize, needed: bool, shape: &[usize]| match self.get(position) {
            None => definition.require(!needed, || format!("input {position} is missing")),
            Some(id) => {
                let own = definition.shape(id);
                definition.require(own == shape, || format!("input {position} is {own:?}, not {shape:?}"))
            }
        };
        let (normalized, connected) = (self.is_normalized(), self.has_peepholes());
        for gate in [Gate::Input, Gate::Forget, Gate::Cell, Gate::Output] {
            let needed = gate != Gate::Input || !self.is_coupled();
            expect(gate.weights(), needed, &[self.cells, self.features])?;
            expect(gate.recurrent(), needed, &[self.cells, self.outputs])?;
            expect(gate.bias(), needed, &[self.cells])?;
            expect(gate.normalization(), needed && normalized, &[self.cells])?;
            if let Some(peephole) = gate.peephole() {
                expect(peephole, needed && connected, &[self.cells])?;
            }
        }
        expect(PROJECTION, self.cells != self.outputs, &[self.outputs, self.cells])?;
        expect(PROJECTION_BIAS, false, &[self.outputs])
    }

    /// Input `position`, if it is given.
    pub fn get(&self, position: usize) -> Option<TensorId> {
        self.tensors[position]
    }

    /// Whether the input gate is what the forget gate leaves.
    pub fn is_coupled(&self) -> bool {
        self.get(Gate::Input.weights()).is_none()
    }

    /// Whether gates are normalized.
    pub fn is_normalized(&self) -> bool {
        self.get(Gate::Forget.normalization()).is_some()
    }

    /// Whether gates see the cells.
    pub fn has_peepholes(&self) -> bool {
        Gate::Output.peephole().is_some_and(|position| self.get(position).is_some())
    }

    /// Whether the output is a projection of the cells' output.
    pub fn is_projected(&self) -> bool {
        self.get(PROJECTION).is_some()
    }

    /// The gates that there are, in the order in which a cell needs them before it changes.
    pub fn gates(&self) -> Vec<Gate> {
        let input = (!self.is_coupled()).then_some(Gate::Input);
        [Gate::Forget, Gate::Cell].into_iter().chain(input).collect()
    }

    /// Where the sequence has element `last` of batch `b` at a time.
    pub fn place(&self, b: &Index, time: &Index, last: &Index) -> Vec<Index> {
        let (first, second) = if self.time_major { (time, b) } else { (b, time) };
        vec![first.clone(), second.clone(), last.clone()]
    }

    /// The shape of the sequence of outputs.
    pub fn sequence(&self) -> [usize; 3] {
        let (first, second) =
            if self.time_major { (self.times, self.batch) } else { (self.batch, self.times) };
        [first, second, self.outputs]
    }

    /// Whether all tensors that are given and that `which` chooses are of a type.
    pub fn are(&self, definition: &Definition, dtype: DType, which: impl Fn(usize) -> bool) -> bool {
        let chosen = (0..COUNT).filter(|&position| which(position));
        chosen.filter_map(|position| self.get(position)).all(|id| definition.dtype(id) == dtype)
    }
}
