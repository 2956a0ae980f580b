//! Graphs: values, and the nodes that compute them.
//!
//! Owns the grammar. A node applies an operator to values; regions are the subgraphs of If, Loop and Scan, each a graph by
//! itself that sees nothing of the graph around it but its inputs.

use nablac_index::{Array, DType};

use crate::operator::Operator;
use crate::quantization::{Quantization, Requantization};

/// A value of a graph, by position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueId(pub u32);

/// A network, or a region of one.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Graph {
    /// The name in the model; may be empty.
    pub name: String,
    /// All values.
    pub values: Vec<Value>,
    /// The nodes; each comes after those whose values it reads.
    pub nodes: Vec<Node>,
    /// What the caller gives, in order.
    pub inputs: Vec<ValueId>,
    /// What the caller gets, in order.
    pub outputs: Vec<ValueId>,
    /// What outlives a run. Regions have none.
    pub states: Vec<State>,
}

/// A value that is given from one run to the next.
#[derive(Clone, PartialEq, Debug)]
pub struct State {
    /// What nodes read: the value of the run before. No node writes it.
    pub value: ValueId,
    /// What it holds before the first run, and after a reset.
    pub initial: Array,
    /// What it holds after a run.
    pub next: ValueId,
}

/// A tensor that flows between nodes.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// Unique within the graph.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The extents, outermost first.
    pub shape: Vec<usize>,
    /// Its elements, when they are known at compile time.
    pub constant: Option<Array>,
    /// How its integers stand for reals, if they do.
    pub quantization: Option<Quantization>,
}

/// An operator applied to values.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The name in the model; several nodes made from one node of the model share it.
    pub name: String,
    /// What it computes.
    pub operator: Operator,
    /// What it reads; `None` is an optional input that is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// What it writes.
    pub outputs: Vec<ValueId>,
    /// The subgraphs of If, Loop and Scan.
    pub regions: Vec<Graph>,
    /// For a node that computes on the integers of quantized values: how its results get to the scale of its outputs.
    pub requantization: Option<Requantization>,
}

/// An integer type, and how its values stand for reals.
#[derive(Clone, PartialEq, Debug)]
pub struct Quantized {
    /// The element type.
    pub dtype: DType,
    /// Scales and zero points.
    pub quantization: Quantization,
}

impl Graph {
    /// The value `id`.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// All values with their ids.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Value)> {
        self.values.iter().enumerate().map(|(i, v)| (ValueId(i as u32), v))
    }

    /// Adds a value. The name is made unique by a number behind it.
    pub fn add_value(
        &mut self,
        name: &str,
        dtype: DType,
        shape: &[usize],
        constant: Option<Array>,
    ) -> ValueId {
        let name = self.free_name(name);
        self.values.push(Value { name, dtype, shape: shape.to_vec(), constant, quantization: None });
        ValueId(self.values.len() as u32 - 1)
    }

    /// `name`, with a number behind it if a value has that name.
    pub fn free_name(&self, name: &str) -> String {
        let taken = |name: &str| self.values.iter().any(|v| v.name == name);
        let mut unique = name.to_string();
        let mut number = 1;
        while taken(&unique) {
            number += 1;
            unique = format!("{name}_{number}");
        }
        unique
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: &str, array: Array) -> ValueId {
        let shape = array.shape().to_vec();
        self.add_value(name, array.dtype(), &shape, Some(array))
    }

    /// Whether a value is that of a state.
    pub fn is_state(&self, id: ValueId) -> bool {
        self.states.iter().any(|state| state.value == id)
    }

    /// Whether somebody reads a value when the nodes have run: the caller, or a state.
    pub fn is_kept(&self, id: ValueId) -> bool {
        self.outputs.contains(&id) || self.states.iter().any(|state| state.next == id)
    }

    /// The position of the node that writes a value.
    pub fn producer(&self, id: ValueId) -> Option<usize> {
        self.nodes.iter().position(|node| node.outputs.contains(&id))
    }

    /// How many times each value is read, by nodes, as an output, and as the next value of a state.
    pub fn read_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.values.len()];
        let reads = self.nodes.iter().flat_map(|node| node.inputs.iter().flatten()).chain(&self.outputs);
        let reads = reads.chain(self.states.iter().map(|state| &state.next));
        reads.for_each(|id| counts[id.0 as usize] += 1);
        counts
    }

    /// Adds the nodes of `region` behind the others, with `inputs` for its inputs; gives its outputs.
    pub fn inline(&mut self, region: &Graph, inputs: &[ValueId]) -> Vec<ValueId> {
        let given = |id: ValueId| region.inputs.iter().position(|&i| i == id).and_then(|i| inputs.get(i));
        let mut ids = vec![];
        for (id, value) in region.values() {
            let own = given(id).copied();
            ids.push(own.unwrap_or_else(|| {
                let name = self.free_name(&value.name);
                self.values.push(Value { name, ..value.clone() });
                ValueId(self.values.len() as u32 - 1)
            }));
        }
        let of = |id: &ValueId| ids[id.0 as usize];
        for node in &region.nodes {
            let inputs = node.inputs.iter().map(|id| id.as_ref().map(of)).collect();
            let outputs = node.outputs.iter().map(of).collect();
            self.nodes.push(Node { inputs, outputs, ..node.clone() });
        }
        region.outputs.iter().map(of).collect()
    }

    /// Adds a node behind the others. Its operator's definition gives the types of what it writes.
    pub fn add_node(
        &mut self,
        name: &str,
        operator: Operator,
        inputs: &[Option<ValueId>],
        regions: Vec<Graph>,
    ) -> Result<Vec<ValueId>, crate::Error> {
        let (name, inputs) = (name.to_string(), inputs.to_vec());
        let node = Node { name, operator, inputs, outputs: vec![], regions, requantization: None };
        self.add(node, &[])
    }

    /// Adds a node whose outputs are quantized as `outputs` says; those that it does not speak of are plain.
    pub fn add_quantized_node(
        &mut self,
        name: &str,
        operator: Operator,
        inputs: &[Option<ValueId>],
        outputs: &[Option<Quantized>],
        requantization: Option<Requantization>,
    ) -> Result<Vec<ValueId>, crate::Error> {
        let (name, inputs) = (name.to_string(), inputs.to_vec());
        let node = Node { name, operator, inputs, outputs: vec![], regions: vec![], requantization };
        self.add(node, outputs)
    }

    /// Adds a node, and the values that it writes.
    pub(crate) fn add(
        &mut self,
        mut node: Node,
        quantized: &[Option<Quantized>],
    ) -> Result<Vec<ValueId>, crate::Error> {
        let types = crate::define::output_types(self, &node, quantized)?;
        for (position, (dtype, shape)) in types.iter().enumerate() {
            let name = if position == 0 { node.name.clone() } else { format!("{}.{position}", node.name) };
            let id = self.add_value(&name, *dtype, shape, None);
            let quantization = quantized.get(position).cloned().flatten().map(|q| q.quantization);
            self.values[id.0 as usize].quantization = quantization;
            node.outputs.push(id);
        }
        let outputs = node.outputs.clone();
        self.nodes.push(node);
        Ok(outputs)
    }

    /// How the integers of a value stand for reals, with their type; nothing for plain values.
    pub fn quantized(&self, id: ValueId) -> Option<Quantized> {
        let value = self.value(id);
        let quantization = value.quantization.clone()?;
        Some(Quantized { dtype: value.dtype, quantization })
    }
}
