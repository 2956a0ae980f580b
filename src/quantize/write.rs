//! The quantized network as ONNX in QDQ form.
//!
//! Owns the pairs of QuantizeLinear and DequantizeLinear around values, the integers of constants with a DequantizeLinear behind
//! them, and names. What is rounded, and how, has been decided.

use std::collections::{BTreeMap, BTreeSet};

use nablac_graph::names::UniqueNames;
use nablac_onnx::{Document, DocumentNode, Element};

use super::affine::{Bits, Quantization, floats};
use super::opset;
use super::simulate::Quantized;
use super::weights::QuantizedWeights;
use crate::failure::Result;

/// The first operator set with scales per channel.
const PER_CHANNEL: i64 = 13;
/// The first operator set with integers of 4 and of 16 bits.
const OTHER_WIDTHS: i64 = 21;

/// The bytes of a quantized network; `document` is the float model's file.
pub fn write(quantized: &Quantized, mut document: Document) -> Result<Vec<u8>> {
    let mut names = UniqueNames::default();
    document.names().iter().for_each(|name| names.reserve(name));
    quantized.network.constants.keys().for_each(|name| names.reserve(name));
    let widths = quantized.plan.values.values().any(|q| q.bits == Bits::Sixteen)
        || quantized.weights.values().any(|weights| weights.bits == 4);
    let target = if widths { OTHER_WIDTHS } else { PER_CHANNEL };
    opset::raise(&mut document, target, quantized.network, &mut |name| names.fresh(name))?;
    let nodes = std::mem::take(&mut document.nodes);
    let mut writer = Writer {
        quantized,
        written: document.constants(),
        document,
        names,
        nodes: vec![],
        dequantized: BTreeMap::new(),
    };
    writer.values(&quantized.network.inputs.iter().map(|port| port.name.clone()).collect::<Vec<_>>());
    let steps: BTreeMap<usize, usize> =
        quantized.network.steps.iter().enumerate().map(|(index, step)| (step.position, index)).collect();
    let absorbed = writer.absorbed(&nodes);
    for (position, node) in nodes.into_iter().enumerate() {
        match steps.get(&position) {
            Some(&index) => writer.step(index, node),
            None if absorbed.contains(&position) => {}
            None => writer.nodes.push(node),
        }
    }
    Ok(writer.finish())
}

struct Writer<'a> {
    quantized: &'a Quantized<'a>,
    document: Document,
    names: UniqueNames,
    nodes: Vec<DocumentNode>,
    /// The constants that the document has.
    written: BTreeSet<String>,
    /// The name under which a value is read.
    dequantized: BTreeMap<String, String>,
}

impl Writer<'_> {
    /// Nodes of the file that went into another: what they wrote, a step with another position writes.
    fn absorbed(&self, nodes: &[DocumentNode]) -> BTreeSet<usize> {
        let steps = &self.quantized.network.steps;
        let of = |(position, node): (usize, &DocumentNode)| {
            let writes = |name: &String| {
                steps.iter().any(|step| step.position != position && step.results.contains(name))
            };
            node.outputs.iter().any(writes).then_some(position)
        };
        nodes.iter().enumerate().filter_map(of).collect()
    }

    /// One step, as the network has it now.
    fn step(&mut self, index: usize, node: DocumentNode) {
        let network = self.quantized.network;
        let step = &network.steps[index];
        let mut node = node;
        let layers = &self.quantized.layers.layers;
        let layer = layers.iter().position(|layer| layer.steps[0] == index);
        let weights = layer.and_then(|number| self.quantized.weights.get(&number));
        if node.operator != step.node.operator || node.inputs.get(1) != step.node.inputs.get(1) {
            // A product whose factors went into its constants, or one that became a product with a bias.
            ["alpha", "beta"].iter().for_each(|name| node.remove_attribute(name));
        }
        node.operator = step.node.operator.clone();
        node.outputs = step.node.outputs.clone();
        // Inputs beyond the importer's are those that a later operator set asks for.
        let added = node.inputs.split_off(node.inputs.len().min(step.node.inputs.len()));
        node.inputs = step.node.inputs.clone();
        node.inputs.extend(added);
        for (position, name) in node.inputs.iter_mut().enumerate() {
            let operand = self.quantized.plan.operands.get(&(index, position));
            match (operand, self.dequantized.get(name)) {
                (Some(q), _) => *name = self.operand(name, *q),
                (None, Some(read)) => *name = read.clone(),
                (None, None) => {}
            }
        }
        if let Some(weights) = weights {
            self.weights(&mut node, weights);
        }
        for name in &node.inputs {
            self.constant(name);
        }
        let outputs = node.outputs.clone();
        let at = self.nodes.len();
        self.nodes.push(node);
        for name in outputs.iter().filter(|name| network.outputs.contains(name)) {
            if self.quantized.plan.values.contains_key(name) {
                let inner = self.names.fresh(&format!("{name}_real"));
                self.nodes[at]
                    .outputs
                    .iter_mut()
                    .filter(|own| *own == name)
                    .for_each(|own| *own = inner.clone());
                self.pair(name, &inner, name.clone());
            }
        }
        self.values(&outputs.into_iter().filter(|name| !network.outputs.contains(name)).collect::<Vec<_>>());
    }

    /// Rounds values that have been written or given.
    fn values(&mut self, names: &[String]) {
        for name in names.iter().filter(|name| self.quantized.plan.values.contains_key(*name)) {
            let read = self.names.fresh(&format!("{name}_dequantized"));
            self.pair(name, name, read.clone());
            self.dequantized.insert(name.clone(), read);
        }
    }

    /// QuantizeLinear and DequantizeLinear from one name to another, with the scale of `value`.
    fn pair(&mut self, value: &str, from: &str, to: String) {
        let q = self.quantized.plan.values[value];
        let (scale, zero_point) = self.parameters(value, q);
        let integers = self.names.fresh(&format!("{value}_quantized"));
        let [scale, zero_point] = [scale.as_str(), &zero_point];
        let [quantize, dequantize] = [&integers, &to].map(|output| format!("{output}/node"));
        self.nodes.push(DocumentNode::new(
            "QuantizeLinear",
            &quantize,
            &[from, scale, zero_point],
            &[&integers],
        ));
        self.nodes.push(DocumentNode::new(
            "DequantizeLinear",
            &dequantize,
            &[&integers, scale, zero_point],
            &[&to],
        ));
    }

    /// The names of a scale and a zero point.
    fn parameters(&mut self, value: &str, q: Quantization) -> (String, String) {
        let scale = self.add(&format!("{value}_scale"), Element::Float, &[], q.scale.to_le_bytes().to_vec());
        let bytes = q.zero_point.to_le_bytes()[..q.bits.count() as usize / 8].to_vec();
        let zero_point = self.add(&format!("{value}_zero_point"), element(q.bits), &[], bytes);
        (scale, zero_point)
    }

    fn add(&mut self, name: &str, element: Element, shape: &[usize], bytes: Vec<u8>) -> String {
        let name = self.names.fresh(name);
        self.document.add_constant(&name, element, shape, bytes);
        self.written.insert(name.clone());
        name
    }

    /// A constant that is read as data, as integers; gives the name under which it is read.
    fn operand(&mut self, name: &str, q: Quantization) -> String {
        let array = &self.quantized.network.constants[name];
        let width = q.bits.count() as usize / 8;
        let bytes = floats(array).flat_map(|x| q.integer(x).to_le_bytes()[..width].to_vec()).collect();
        let shape = array.shape().to_vec();
        let integers = self.add(&format!("{name}_quantized"), element(q.bits), &shape, bytes);
        let (scale, zero_point) = self.parameters(name, q);
        self.dequantize(name, &[&integers, &scale, &zero_point], None)
    }

    /// The weights and the bias of a linear node, as integers.
    fn weights(&mut self, node: &mut DocumentNode, weights: &QuantizedWeights) {
        let name = node.inputs[1].clone();
        let kind = if weights.bits == 4 { Element::Int4 } else { Element::Int8 };
        let integers = self.add(&format!("{name}_quantized"), kind, &weights.shape, weights.packed());
        let scales = bytes_of(&weights.scales);
        let count = weights.scales.len();
        let scale = self.add(&format!("{name}_scale"), Element::Float, &[count], scales);
        let zeros = vec![0; (count * weights.bits as usize).div_ceil(8)];
        let zero_point = self.add(&format!("{name}_zero_point"), kind, &[count], zeros);
        node.inputs[1] = self.dequantize(&name, &[&integers, &scale, &zero_point], Some(weights.axis));
        if let Some((bias, scales)) = &weights.bias {
            let given = node.inputs.get(2).filter(|name| !name.is_empty()).cloned();
            let name = given.unwrap_or_else(|| self.names.fresh(&format!("{}.bias", node.outputs[0])));
            let bytes = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
            let integers = self.add(&format!("{name}_quantized"), Element::Int32, &[bias.len()], bytes);
            let scale = self.add(&format!("{name}_scale"), Element::Float, &[bias.len()], bytes_of(scales));
            node.inputs.resize(3, String::new());
            node.inputs[2] = self.dequantize(&name, &[&integers, &scale], Some(0));
        }
    }

    /// A DequantizeLinear of a constant; gives the name of what it writes.
    fn dequantize(&mut self, name: &str, inputs: &[&str], axis: Option<usize>) -> String {
        let output = self.names.fresh(&format!("{name}_dequantized"));
        let mut node = DocumentNode::new("DequantizeLinear", &format!("{output}/node"), inputs, &[&output]);
        if let Some(axis) = axis {
            node.set_integer("axis", axis as i64);
        }
        self.nodes.push(node);
        output
    }

    /// A constant that the file does not have yet: one that folding or equalization made.
    fn constant(&mut self, name: &str) {
        let network = self.quantized.network;
        let made = network.made_constants.contains(name) && !self.written.contains(name);
        if let Some(array) = network.constants.get(name).filter(|_| made) {
            self.document.add_constant(name, Element::Float, array.shape(), array.bytes().to_vec());
            self.written.insert(name.into());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let outputs = &self.quantized.network.outputs;
        // Nodes that make constants have no reader left where those became integers.
        loop {
            let read: BTreeSet<String> =
                self.nodes.iter().flat_map(|node| &node.inputs).chain(outputs).cloned().collect();
            let before = self.nodes.len();
            self.nodes.retain(|node| node.outputs.iter().any(|name| read.contains(name)));
            if self.nodes.len() == before {
                break;
            }
        }
        self.document.nodes = self.nodes;
        self.document.remove_unread(outputs);
        self.document.encode()
    }
}

fn element(bits: Bits) -> Element {
    match bits {
        Bits::Eight => Element::Int8,
        Bits::Sixteen => Element::Int16,
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
