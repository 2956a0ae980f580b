//! How an operator's file adds nodes on the integers of quantized values, where the framework's node itself says the scales.

use super::Reader;
use crate::error::Error;
use crate::graph::{Quantized, ValueId};
use crate::operator::Operator;
use crate::ops::Identity;
use crate::quantization::{Quantization, Requantization};

impl Reader<'_, '_> {
    /// Whether input `position` is a constant whose integers have fewer bits in the file than their element type has.
    pub fn is_packed(&self, position: usize) -> bool {
        self.node.inputs.get(position).is_some_and(|name| self.scope.is_packed(name))
    }

    /// `value` as integers that stand for reals as `quantization` says: the value itself, unless they stand for others already, in
    /// which case it is a copy.
    pub fn quantized_as(&mut self, value: ValueId, quantization: &Quantization) -> Result<ValueId, Error> {
        let own = &mut self.scope.graph.values[value.0 as usize];
        if let Some(fault) = quantization.fault(own.dtype, &own.shape) {
            let name = own.name.clone();
            return Err(self.malformed(format!("its input `{name}` has {fault}")));
        }
        match &own.quantization {
            Some(other) if other != quantization => {
                let quantized = Quantized { dtype: own.dtype, quantization: quantization.clone() };
                let copy = self.add_plain(Identity {}, &[value], Some(quantized))?;
                self.known(copy); // the elements of weights bound sums
                Ok(copy)
            }
            _ => {
                own.quantization = Some(quantization.clone());
                Ok(value)
            }
        }
    }

    /// Adds a node that computes on the integers of its inputs. Its one output is quantized as said, or real. Where the convention that
    /// the user asks for has no form of the operator, it keeps its framework's, single precision.
    pub fn add_quantized(
        &mut self,
        operator: Operator,
        inputs: &[Option<ValueId>],
        output: Option<Quantized>,
    ) -> Result<ValueId, Error> {
        let asked = self.scope.options.requantization.filter(|_| output.is_some());
        let (name, graph) = (&self.node.name, &mut self.scope.graph);
        let mut add = |requantization| {
            graph.add_quantized_node(
                name,
                operator.clone(),
                inputs,
                std::slice::from_ref(&output),
                Some(requantization),
            )
        };
        let added = asked.and_then(|asked| add(asked).ok());
        let added = added.map_or_else(|| add(Requantization::F32), Ok);
        Ok(self.checked(added)?[0])
    }
}
