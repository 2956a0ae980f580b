//! The scales and zero points that a file gives its tensors, as TFLite's do, checked where they meet a type and shape.

use super::Scope;
use crate::error::Error;
use crate::graph::{Quantized, ValueId};
use crate::quantization::Quantization;
use crate::source::{SourceModel, SourceNode};

impl Scope<'_> {
    /// How the integers of a value stand for reals, if the file says so.
    pub(super) fn quantization_of(&self, name: &str, id: ValueId) -> Result<Option<Quantization>, Error> {
        let value = self.graph.value(id);
        let given = self.quantization.get(name).filter(|q| value.dtype.is_integer() && !q.scales.is_empty());
        match given.and_then(|q| q.fault(value.dtype, &value.shape)) {
            None => Ok(given.cloned()),
            Some(fault) => Err(faulty(name, &fault)),
        }
    }

    /// How the integers that a node writes stand for reals. Scales per channel are checked when the shape is known.
    pub(super) fn quantized_outputs(
        &self,
        model: &SourceModel,
        node: &SourceNode,
    ) -> Result<Vec<Option<Quantized>>, Error> {
        let quantized = |name: &String| {
            let dtype = model.dtypes.get(name).copied().filter(|dtype| dtype.is_integer());
            let given = self.quantization.get(name).filter(|q| !q.scales.is_empty());
            let Some((dtype, quantization)) = dtype.zip(given) else { return Ok(None) };
            match quantization.uniform().and_then(|_| quantization.fault(dtype, &[])) {
                None => Ok(Some(Quantized { dtype, quantization: quantization.clone() })),
                Some(fault) => Err(faulty(name, &fault)),
            }
        };
        node.outputs.iter().map(quantized).collect()
    }
}

fn faulty(name: &str, fault: &str) -> Error {
    Error::Invalid { place: format!("tensor `{name}`"), problem: format!("has {fault}") }
}
