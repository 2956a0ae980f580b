//! What a model keeps from one run to the next.
//!
//! Owns the states of the graph. A name stands for its state's value until a node changes it, and for what that node gives from
//! there on; what it stands for behind all nodes is the next value.

use super::{Scope, legible};
use crate::error::Error;
use crate::graph::State;
use crate::source::{SourceModel, SourceState};

impl<'a> Scope<'a> {
    /// The value that nodes read until one of them changes it.
    pub(super) fn add_state(&mut self, state: &SourceState) -> Result<(), Error> {
        let (dtype, shape) = (state.initial.dtype(), state.initial.shape());
        self.options.limits.check_shape(shape, || format!("state `{}`", state.name))?;
        let value = self.graph.add_value(legible(&state.name), dtype, shape, None);
        self.graph.values[value.0 as usize].quantization = self.quantization_of(&state.name, value)?;
        self.names.insert(state.name.clone(), value);
        self.graph.states.push(State { value, initial: state.initial.clone(), next: value });
        Ok(())
    }

    /// Gives each state its next value. One that nothing changes is a constant.
    pub(super) fn finish_states(mut self, model: &SourceModel) -> Result<Scope<'a>, Error> {
        for (mut state, source) in std::mem::take(&mut self.graph.states).into_iter().zip(&model.states) {
            state.next = self.names.get(&source.name).copied().unwrap_or(state.value);
            if state.next == state.value {
                self.graph.values[state.value.0 as usize].constant = Some(state.initial);
                continue;
            }
            let (own, next) = (self.graph.value(state.value), self.graph.value(state.next));
            if (own.dtype, &own.shape) != (next.dtype, &next.shape) {
                let problem = format!(
                    "is {}{:?}, and becomes {}{:?}: a state must keep its type and shape",
                    own.dtype, own.shape, next.dtype, next.shape
                );
                return Err(Error::Invalid { place: format!("state `{}`", source.name), problem });
            }
            self.graph.states.push(state);
        }
        Ok(self)
    }
}
