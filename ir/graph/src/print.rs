//! Graphs as text. `parse(print(g)) == g` for graphs whose values are numbered in the order of the text.
//!
//! Owns the layout of the text; the grammar stands in `parse`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use nablac_index::lexer::name_text;
use nablac_index::{Array, array_text};

use crate::graph::{Graph, Node, ValueId};

/// Words that a label can only bear in quotes.
pub(crate) const KEYWORDS: &[&str] = &["graph", "input", "const", "return"];

impl Graph {
    /// The constants that the text names by hash only: what a reader needs beside it.
    pub fn constants(&self) -> BTreeMap<String, Array> {
        let mut found = BTreeMap::new();
        for array in self.values.iter().filter_map(|value| value.constant.as_ref()) {
            if array_text(array).starts_with('@') {
                found.insert(array.hash(), array.clone());
            }
        }
        for region in self.nodes.iter().flat_map(|node| &node.regions) {
            found.extend(region.constants());
        }
        found
    }
}

/// Prints a graph.
struct GraphText<'a> {
    graph: &'a Graph,
    /// The values that nodes write. Importing computes some of them early; they stay what their nodes write.
    written: BTreeSet<ValueId>,
}

impl<'a> GraphText<'a> {
    fn new(graph: &'a Graph) -> GraphText<'a> {
        GraphText { graph, written: graph.nodes.iter().flat_map(|node| &node.outputs).copied().collect() }
    }

    fn is_given(&self, id: ValueId) -> bool {
        !self.written.contains(&id)
    }

    /// A value as operands name it: `%x`, `$w` for constants.
    fn reference(&self, id: ValueId) -> String {
        let value = self.graph.value(id);
        let mark = if self.is_given(id) && value.constant.is_some() { "$" } else { "%" };
        format!("{mark}{}", name_text(&value.name, &[]))
    }

    fn declaration(&self, id: ValueId) -> String {
        let value = self.graph.value(id);
        format!("{}: {}{:?}", self.reference(id), value.dtype, value.shape)
    }

    fn write(&self, f: &mut fmt::Formatter, indent: &str) -> fmt::Result {
        writeln!(f, "graph {} {{", name_text(&self.graph.name, &[]))?;
        let inner = format!("{indent}  ");
        let mut declared = 0;
        for node in &self.graph.nodes {
            let first = node.outputs.iter().map(|id| id.0).min().unwrap_or(declared);
            self.write_given(f, &inner, declared, first)?;
            declared = declared.max(first);
            self.write_node(f, &inner, node)?;
        }
        self.write_given(f, &inner, declared, self.graph.values.len() as u32)?;
        let outputs: Vec<String> = self.graph.outputs.iter().map(|&id| self.reference(id)).collect();
        writeln!(f, "{inner}return {}", outputs.join(", "))?;
        writeln!(f, "{indent}}}")
    }

    /// The inputs and constants among the values `from..to`.
    fn write_given(&self, f: &mut fmt::Formatter, indent: &str, from: u32, to: u32) -> fmt::Result {
        for id in (from..to).map(ValueId).filter(|id| self.is_given(*id)) {
            if let Some(array) = &self.graph.value(id).constant {
                writeln!(f, "{indent}const {} = {}", self.declaration(id), array_text(array))?;
            } else if self.graph.inputs.contains(&id) {
                writeln!(f, "{indent}input {}", self.declaration(id))?;
            }
        }
        Ok(())
    }

    fn write_node(&self, f: &mut fmt::Formatter, indent: &str, node: &Node) -> fmt::Result {
        let implied = node.outputs.first().is_some_and(|&id| self.graph.value(id).name == node.name);
        let label = if implied { String::new() } else { format!("{}: ", name_text(&node.name, KEYWORDS)) };
        let outputs: Vec<String> = node.outputs.iter().map(|&id| self.declaration(id)).collect();
        let operand = |id: &Option<ValueId>| id.map_or("_".into(), |id| self.reference(id));
        let inputs: Vec<String> = node.inputs.iter().map(operand).collect();
        let (outputs, inputs) = (outputs.join(", "), inputs.join(", "));
        write!(f, "{indent}{label}{outputs} = {}({inputs})", node.operator.name())?;
        if let serde_json::Value::Object(attributes) = node.operator.attributes()
            && !attributes.is_empty()
        {
            let attributes: Vec<String> =
                attributes.iter().map(|(name, value)| format!("{name} = {}", json_text(value))).collect();
            write!(f, " {{{}}}", attributes.join(", "))?;
        }
        for region in &node.regions {
            write!(f, " ")?;
            GraphText::new(region).write(f, indent)?;
        }
        if node.regions.is_empty() { writeln!(f) } else { Ok(()) }
    }
}

/// JSON with spaces behind commas, and names in the language's own quotes.
fn json_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(json_text).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name} = {}", json_text(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::String(text) => name_text(text, &["true", "false", "null"]),
        other => other.to_string(),
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        GraphText::new(self).write(f, "")
    }
}
