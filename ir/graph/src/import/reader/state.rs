//! What an operator that changes states reads and adds beside what others do.

use super::Reader;
use crate::error::Error;
use crate::graph::{Quantized, ValueId};
use crate::operator::Operator;
use crate::quantization::Quantization;
use crate::source::SourceAttribute;

impl Reader<'_, '_> {
    /// From here on, and in the next run, the state that input `position` names holds `next`.
    pub fn set_state(&mut self, position: usize, next: ValueId) -> Result<(), Error> {
        let name = self.node.inputs.get(position).map_or("", String::as_str);
        if !self.model.states.iter().any(|state| state.name == name) {
            let problem = format!("its input {position} is changed by it, but is no variable of the model");
            return Err(self.malformed(problem));
        }
        self.scope.names.insert(name.into(), next);
        Ok(())
    }

    /// How the integers of a tensor within the node stand for reals, where its file says so.
    pub fn intermediate(&self, position: usize) -> Option<&Quantization> {
        let Some(SourceAttribute::Texts(names)) = self.attribute("intermediates") else { return None };
        names.get(position).and_then(|name| self.model.quantization.get(name))
    }

    /// Adds a node whose outputs are quantized as `outputs` says, whatever the file's node writes; gives all of them.
    pub fn add_quantized_with(
        &mut self,
        operator: impl Into<Operator>,
        inputs: &[Option<ValueId>],
        outputs: &[Option<Quantized>],
    ) -> Result<Vec<ValueId>, Error> {
        let (name, requantization) = (&self.node.name, self.requantization);
        let added =
            self.scope.graph.add_quantized_node(name, operator.into(), inputs, outputs, requantization);
        self.checked(added)
    }
}
