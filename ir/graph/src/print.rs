//! Graphs as text. `parse(print(g)) == g` for every graph whose values are numbered in the order of the text, as rewrites
//! leave them.
//!
//! Owns the layout of the text; the grammar stands in `parse`.

use std::collections::BTreeMap;
use std::fmt;

use nablac_index::lexer::name_text;
use nablac_index::{Array, array_text, is_inline};
use serde_json::Value as Json;

use crate::graph::{Graph, Node, Value, ValueId};
use crate::quantization::Quantization;

/// Words that a graph or label can only bear in quotes.
pub const KEYWORDS: &[&str] = &["graph", "input", "output", "const"];

/// Words that are no text as an attribute.
const ATTRIBUTE_WORDS: &[&str] = &["null", "true", "false"];

impl Graph {
    /// The constants that the text names by hash only: what a reader needs beside it.
    pub fn constants(&self) -> BTreeMap<String, Array> {
        let own = self.values.iter().filter_map(|value| value.constant.as_ref());
        let own = own.chain(self.states.iter().map(|state| &state.initial));
        let mut found: BTreeMap<String, Array> =
            own.filter(|array| !is_inline(array)).map(|array| (array.hash(), array.clone())).collect();
        self.nodes.iter().flat_map(|node| &node.regions).for_each(|region| found.extend(region.constants()));
        found
    }

    fn print(&self, f: &mut fmt::Formatter, indent: &str) -> fmt::Result {
        for &id in &self.inputs {
            writeln!(f, "{indent}  input %{}: {}", name(self.value(id)), quantized_text(self.value(id)))?;
        }
        for state in &self.states {
            let (value, initial) = (self.value(state.value), array_text(&state.initial));
            let next = self.reference(state.next);
            writeln!(
                f,
                "{indent}  state %{}: {} = {initial} then {next}",
                name(value),
                quantized_text(value)
            )?;
        }
        for (_, value) in self.values() {
            if let Some(array) = &value.constant {
                writeln!(
                    f,
                    "{indent}  const ${}: {} = {}",
                    name(value),
                    quantized_text(value),
                    array_text(array)
                )?;
            }
        }
        self.nodes.iter().try_for_each(|node| self.print_node(f, node, &format!("{indent}  ")))?;
        self.outputs.iter().try_for_each(|&id| writeln!(f, "{indent}  output {}", self.reference(id)))?;
        write!(f, "{indent}}}")
    }

    fn print_node(&self, f: &mut fmt::Formatter, node: &Node, indent: &str) -> fmt::Result {
        let list = |items: Vec<String>| items.join(", ");
        let written = |&id: &ValueId| match self.quantized(id) {
            Some(q) => format!("{}: {}{}", self.reference(id), q.dtype, quantization_text(&q.quantization)),
            None => self.reference(id),
        };
        let outputs = list(node.outputs.iter().map(written).collect());
        let operand = |input: &Option<ValueId>| input.map_or("_".into(), |id| self.reference(id));
        let inputs = list(node.inputs.iter().map(operand).collect());
        let label = match node.name.as_str() {
            "" => String::new(),
            name => format!("{}: ", name_text(name, KEYWORDS)),
        };
        write!(f, "{indent}{label}{outputs} = {}({inputs})", node.operator.name())?;
        match node.operator.attributes() {
            Json::Object(attributes) if attributes.is_empty() => {}
            attributes => write!(f, " {}", attribute_text(&attributes))?,
        }
        if let Some(requantization) = node.requantization {
            write!(f, " quantized {}", requantization.name())?;
        }
        let types = list(node.outputs.iter().map(|&id| type_text(self.value(id))).collect());
        for (position, region) in node.regions.iter().enumerate() {
            let comment = if position == 0 { format!(" ; {types}") } else { String::new() };
            writeln!(f, " graph {} {{{comment}", name_text(&region.name, KEYWORDS))?;
            region.print(f, indent)?;
        }
        if node.regions.is_empty() { writeln!(f, " ; {types}") } else { writeln!(f) }
    }

    /// A value where it is read or written: `%name`, or `$name` for a constant.
    fn reference(&self, id: ValueId) -> String {
        match self.values.get(id.0 as usize) {
            Some(value) if value.constant.is_some() => format!("${}", name(value)),
            Some(value) => format!("%{}", name(value)),
            None => format!("%value{}", id.0), // the verifier says that it does not exist
        }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "graph {} {{", name_text(&self.name, KEYWORDS))?;
        self.print(f, "")?;
        writeln!(f)
    }
}

fn name(value: &Value) -> String {
    name_text(&value.name, &[])
}

fn type_text(value: &Value) -> String {
    format!("{}{:?}", value.dtype, value.shape)
}

/// The type with its scales and zero points, if it is quantized.
fn quantized_text(value: &Value) -> String {
    let quantization = value.quantization.as_ref().map(quantization_text).unwrap_or_default();
    format!("{}{quantization}", type_text(value))
}

/// ` scale 0.5 zero 3`, or lists along an axis.
fn quantization_text(quantization: &Quantization) -> String {
    match quantization.uniform() {
        Some((scale, zero)) => format!(" scale {scale:?} zero {zero}"),
        None => {
            let Quantization { scales, zero_points, axis } = quantization;
            format!(" scale {scales:?} zero {zero_points:?} axis {axis}")
        }
    }
}

/// An attribute: numbers, words or quoted text, lists, and records in braces.
fn attribute_text(attribute: &Json) -> String {
    match attribute {
        Json::Null => "null".into(),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(x) => format!("{x:?}"),
            None => number.to_string(),
        },
        Json::String(text) => name_text(text, ATTRIBUTE_WORDS),
        Json::Array(items) => {
            format!("[{}]", items.iter().map(attribute_text).collect::<Vec<_>>().join(", "))
        }
        Json::Object(fields) => {
            let field = |(name, value): (&String, &Json)| {
                format!("{} = {}", name_text(name, &[]), attribute_text(value))
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}
