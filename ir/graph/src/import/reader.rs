//! How an operator's file reads a framework's node, and adds nodes to the graph.

use nablac_index::{Array, DType, Value};

use crate::error::Error;
use crate::fold;
use crate::graph::{Graph, Quantized, ValueId};
use crate::import::{Given, Region, Scope};
use crate::operator::Operator;
use crate::ops::dequantize;
use crate::quantization::Requantization;
use crate::rewrite::remove_unread;
use crate::source::{Framework, SourceAttribute, SourceModel, SourceNode};

mod quantized;
mod state;

/// A framework's node, with its inputs looked up.
pub struct Reader<'r, 's> {
    scope: &'r mut Scope<'s>,
    model: &'r SourceModel,
    node: &'r SourceNode,
    inputs: Vec<Option<ValueId>>,
    /// How what the node writes is quantized, as far as its file says so.
    quantized: Vec<Option<Quantized>>,
    /// Nothing for a node that computes on plain values.
    requantization: Option<Requantization>,
}

impl<'r, 's> Reader<'r, 's> {
    pub(crate) fn new(
        scope: &'r mut Scope<'s>,
        model: &'r SourceModel,
        node: &'r SourceNode,
        inputs: Vec<Option<ValueId>>,
        quantized: Vec<Option<Quantized>>,
    ) -> Result<Reader<'r, 's>, Error> {
        // In TFLite scales belong to tensors, and an operator that reads quantized ones computes with them. ONNX's operators compute
        // on integers as such: scales are operands of those that know them.
        let scaled = |id: &ValueId| {
            let computed = scope.graph.value(*id).constant.is_none();
            node.framework == Framework::Tflite && computed && scope.graph.quantized(*id).is_some()
        };
        let is_quantized = inputs.iter().flatten().any(scaled) || quantized.iter().any(Option::is_some);
        let requantization =
            is_quantized.then(|| scope.options.requantization.unwrap_or(Requantization::Double));
        Ok(Reader { scope, model, node, inputs, quantized, requantization })
    }

    /// How the integers of a value stand for reals, with their type; nothing for plain values.
    pub fn quantized(&self, value: ValueId) -> Option<Quantized> {
        self.scope.graph.quantized(value)
    }

    /// How output `position` is quantized, if it is.
    pub fn quantized_output(&self, position: usize) -> Option<Quantized> {
        self.quantized.get(position).cloned().flatten()
    }

    /// Whether the node computes on the integers of quantized values.
    pub fn is_quantized(&self) -> bool {
        self.requantization.is_some()
    }

    /// The framework requantizes this operator's results in another way than most; what the user asked for goes before.
    pub fn requantize_by(&mut self, own: Requantization) {
        self.requantization = self.requantization.map(|_| self.scope.options.requantization.unwrap_or(own));
    }

    /// The real numbers of a value: a quantized one is dequantized by a node of its own.
    pub fn real(&mut self, value: ValueId) -> Result<ValueId, Error> {
        match self.quantized(value) {
            Some(quantized) if self.framework() == Framework::Tflite => {
                dequantize(self, value, &quantized.quantization)
            }
            _ => Ok(value),
        }
    }

    /// Adds a node that works on plain values or knows scales by itself, with one output that is quantized as said.
    pub fn add_plain(
        &mut self,
        operator: impl Into<Operator>,
        inputs: &[ValueId],
        quantized: Option<Quantized>,
    ) -> Result<ValueId, Error> {
        let inputs: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
        let added = self.scope.graph.add_quantized_node(
            &self.node.name,
            operator.into(),
            &inputs,
            &[quantized],
            None,
        );
        Ok(self.checked(added)?[0])
    }

    /// Whose vocabulary the node is of.
    pub fn framework(&self) -> Framework {
        self.node.framework
    }

    /// The operator's name in that vocabulary.
    pub fn operator(&self) -> &str {
        &self.node.operator
    }

    /// The operator set (ONNX) or operator version (TFLite).
    pub fn version(&self) -> i64 {
        self.node.version
    }

    /// All inputs.
    pub fn inputs(&self) -> &[Option<ValueId>] {
        &self.inputs
    }

    /// How many outputs the node names.
    pub fn output_count(&self) -> usize {
        self.node.outputs.len()
    }

    /// Whether somebody may read output `position`.
    pub fn has_output(&self, position: usize) -> bool {
        self.node.outputs.get(position).is_some_and(|name| !name.is_empty())
    }

    /// Input `position`, which the operator can't do without.
    pub fn input(&self, position: usize) -> Result<ValueId, Error> {
        self.optional(position).ok_or_else(|| self.malformed(format!("input {position} is missing")))
    }

    /// Input `position`, if it is given.
    pub fn optional(&self, position: usize) -> Option<ValueId> {
        self.inputs.get(position).copied().flatten()
    }

    /// The shape of a value.
    pub fn shape(&self, value: ValueId) -> Vec<usize> {
        self.scope.graph.value(value).shape.clone()
    }

    /// The element type of a value.
    pub fn dtype(&self, value: ValueId) -> DType {
        self.scope.graph.value(value).dtype
    }

    /// The elements of a value that must be known at compile time, because it decides a shape; computed now if only
    /// constants go into it.
    pub fn constant_of(&mut self, value: ValueId) -> Result<Array, Error> {
        self.known(value).ok_or_else(|| {
            let name = &self.scope.graph.value(value).name;
            self.unsupported(format!(
                "`{name}` is computed at run time, but decides a shape: make it constant"
            ))
        })
    }

    /// The elements of a value, if they are known at compile time.
    pub fn known(&mut self, value: ValueId) -> Option<Array> {
        fold::constant_of(&mut self.scope.graph, value)
    }

    /// `constant_of` input `position`.
    pub fn constant(&mut self, position: usize) -> Result<Array, Error> {
        let value = self.input(position)?;
        self.constant_of(value)
    }

    /// `constant_of` input `position`, if it is given.
    pub fn optional_constant(&mut self, position: usize) -> Result<Option<Array>, Error> {
        self.optional(position).map(|value| self.constant_of(value)).transpose()
    }

    fn attribute(&self, name: &str) -> Option<&SourceAttribute> {
        self.node.attributes.get(name)
    }

    /// Whether the node has attribute `name`.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, Error> {
        match self.attribute(name) {
            None => Ok(default),
            Some(SourceAttribute::Int(value)) => Ok(*value),
            Some(_) => Err(self.wrong_type(name, "an integer")),
        }
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Error> {
        match self.attribute(name) {
            None => Ok(None),
            Some(SourceAttribute::Ints(values)) => Ok(Some(values.clone())),
            Some(_) => Err(self.wrong_type(name, "a list of integers")),
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str, default: f64) -> Result<f64, Error> {
        match self.attribute(name) {
            None => Ok(default),
            Some(SourceAttribute::Float(value)) => Ok(*value),
            Some(SourceAttribute::Int(value)) => Ok(*value as f64),
            Some(_) => Err(self.wrong_type(name, "a float")),
        }
    }

    /// A text attribute.
    pub fn text(&self, name: &str, default: &str) -> Result<String, Error> {
        match self.attribute(name) {
            None => Ok(default.into()),
            Some(SourceAttribute::Text(text)) => Ok(text.clone()),
            Some(_) => Err(self.wrong_type(name, "a text")),
        }
    }

    /// An attribute as the file has it, for the few that fit none of the above.
    pub fn raw(&self, name: &str) -> Option<&SourceAttribute> {
        self.attribute(name)
    }

    fn wrong_type(&self, name: &str, expected: &str) -> Error {
        self.malformed(format!("attribute `{name}` is not {expected}"))
    }

    /// A list of integers that newer operator sets give as constant input `position`, and older ones as an attribute.
    pub fn list(&mut self, name: &str, position: usize) -> Result<Option<Vec<i64>>, Error> {
        match self.attribute(name) {
            Some(SourceAttribute::Int(value)) => Ok(Some(vec![*value])),
            Some(_) => self.ints(name),
            None => Ok(self.optional_constant(position)?.map(|array| array.to_i64())),
        }
    }

    /// `axis` counted from the front, where a negative one counts from behind.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Error> {
        let from_front = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        usize::try_from(from_front)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| self.malformed(format!("axis {axis} of {rank}")))
    }

    /// `axis` of each; an axis that occurs twice is an error.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, Error> {
        let axes = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        match axes.iter().enumerate().any(|(position, axis)| axes[..position].contains(axis)) {
            true => Err(self.malformed(format!("axes {axes:?} are not distinct"))),
            false => Ok(axes),
        }
    }

    /// The element type of output `position`, where the file says it.
    pub fn output_dtype(&self, position: usize) -> Option<DType> {
        self.node.outputs.get(position).and_then(|name| self.model.dtypes.get(name)).copied()
    }

    /// Adds a node with optional inputs left out; gives all its outputs.
    pub fn add_with(
        &mut self,
        operator: impl Into<Operator>,
        inputs: &[Option<ValueId>],
        regions: Vec<Graph>,
    ) -> Result<Vec<ValueId>, Error> {
        let quantized = inputs.iter().flatten().any(|&id| self.quantized(id).is_some())
            || self.quantized.iter().any(Option::is_some);
        if self.requantization.is_none() || !quantized {
            let real = inputs.iter().map(|id| id.map(|id| self.real(id)).transpose());
            let real = real.collect::<Result<Vec<_>, Error>>()?;
            let added = self.scope.graph.add_node(&self.node.name, operator.into(), &real, regions);
            return self.checked(added);
        }
        if !regions.is_empty() {
            return Err(self.unsupported("control flow over quantized values: keep its values in float"));
        }
        let (name, quantized) = (&self.node.name, &self.quantized);
        let added = self.scope.graph.add_quantized_node(
            name,
            operator.into(),
            inputs,
            quantized,
            self.requantization,
        );
        self.checked(added)
    }

    /// The values of a node that has been added, within limits.
    fn checked(&self, added: Result<Vec<ValueId>, Error>) -> Result<Vec<ValueId>, Error> {
        let outputs = added.map_err(|error| self.spelled(error))?;
        for &id in &outputs {
            let subject = || format!("node `{}` ({})", self.node.name, self.node.operator);
            self.scope.options.limits.check_shape(&self.scope.graph.value(id).shape, subject)?;
        }
        Ok(outputs)
    }

    /// Adds a node of one output.
    pub fn add(&mut self, operator: impl Into<Operator>, inputs: &[ValueId]) -> Result<ValueId, Error> {
        let inputs: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
        Ok(self.add_with(operator, &inputs, vec![])?[0])
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: &str, array: Array) -> ValueId {
        let name = format!("{}.{name}", self.node.name);
        self.scope.graph.add_constant(&name, array)
    }

    /// Adds a constant of one element and no dimension.
    pub fn add_scalar(&mut self, name: &str, dtype: DType, x: f64) -> ValueId {
        self.add_constant(name, Array::from_values(dtype, &[], [Value::from_f64(dtype, x)]))
    }

    /// The whole import of most operators: one node that reads what the framework's node reads.
    pub fn same(&mut self, operator: impl Into<Operator>) -> Result<Vec<ValueId>, Error> {
        let inputs = self.inputs.clone();
        self.add_with(operator, &inputs, vec![])
    }

    /// Imports the subgraph `name` with the given inputs; the values that it reads from outside follow them.
    pub fn region(&mut self, name: &str, inputs: &[Given]) -> Result<Region, Error> {
        let node = self.node;
        let Some(SourceAttribute::Graph(model)) = node.attributes.get(name) else {
            return Err(self.malformed(format!("attribute `{name}` is not a graph")));
        };
        if model.inputs.len() != inputs.len() {
            let problem = format!("`{name}` has {} inputs instead of {}", model.inputs.len(), inputs.len());
            return Err(self.malformed(problem));
        }
        self.scope.bring(self.model, model)?;
        let mut inner = Scope::new(model, Some(self.scope), self.scope.options);
        for (input, given) in model.inputs.iter().zip(inputs) {
            match given {
                Given::Type(dtype, shape) => inner.add_input(&input.name, *dtype, shape),
                Given::Known(array) => inner.add_constant(&input.name, array.clone()),
            };
        }
        inner.import_nodes(model)?;
        let mut region = inner.finish(model)?;
        for id in region.graph.outputs.clone() {
            fold::constant_of(&mut region.graph, id);
        }
        Ok(Region { graph: remove_unread(region.graph), ..region })
    }

    /// A value as the input of a region.
    pub fn given(&self, value: ValueId) -> Given {
        Given::Type(self.dtype(value), self.shape(value))
    }

    /// Adds the nodes of a region in place of this node; gives the region's outputs.
    pub fn inline(&mut self, region: &Graph, inputs: &[ValueId]) -> Vec<ValueId> {
        self.scope.graph.inline(region, inputs)
    }

    /// A definition's error, with the operator as the framework spells it.
    fn spelled(&self, error: Error) -> Error {
        let (node, operator) = (self.node.name.clone(), self.node.operator.clone());
        match error {
            Error::Unsupported { reason, .. } => Error::Unsupported { node, operator, reason },
            Error::Malformed { problem, .. } => Error::Malformed { node, operator, problem },
            other => other,
        }
    }

    /// The node contradicts its operator's specification.
    pub fn malformed(&self, problem: impl Into<String>) -> Error {
        Error::Malformed {
            node: self.node.name.clone(),
            operator: self.node.operator.clone(),
            problem: problem.into(),
        }
    }

    /// The node asks for something that is not supported; the reason says what to do about it.
    pub fn unsupported(&self, reason: impl Into<String>) -> Error {
        Error::Unsupported {
            node: self.node.name.clone(),
            operator: self.node.operator.clone(),
            reason: reason.into(),
        }
    }
}
