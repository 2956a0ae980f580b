//! Subgraphs: tables to node lists.
//!
//! Owns which tensors are inputs, constants or computed, and the operators that compute them.

use std::collections::BTreeMap;

use nablac_graph::source::{Framework, SourceAttribute, SourceModel, SourceNode, SourceState, SourceTensor};
use nablac_index::{Array, DType};

use crate::Error;
use crate::flatbuffer::{Table, Tables};
use crate::model::Import;
use crate::options::{Kind, attribute, options};
use crate::tensor::Tensor;

/// The field of `Operator` that names the tensors within it.
const INTERMEDIATES: usize = 8;

/// The most that a model's variables may take: their initial values do not stand in the file.
const MOST_STATE_BYTES: usize = 1 << 26;

/// Where a tensor gets its value from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    /// Nowhere, as far as is known.
    Unknown,
    Input,
    Constant,
    Node,
}

/// A subgraph that is being read.
struct Graph<'a> {
    tensors: Vec<Tensor<'a>>,
    origins: Vec<Origin>,
    /// Whether it is an input of an operator or an output of the graph.
    read: Vec<bool>,
    model: SourceModel,
}

impl<'a> Import<'a> {
    /// The node list of a subgraph that stands within `depth` others; an empty one where that is unsupported.
    pub fn subgraph(&mut self, index: usize, depth: u64) -> Result<SourceModel, Error> {
        let Some(table) = self.enter(index, depth)? else { return Ok(SourceModel::default()) };
        let (tensors, operators) =
            (table.tables(0, "SubGraph.tensors")?, table.tables(3, "SubGraph.operators")?);
        self.count(operators.len(), tensors.len())?;
        let (inputs, outputs) = (table.int32s(1)?.unwrap_or_default(), table.int32s(2)?.unwrap_or_default());
        let mut graph = Graph {
            tensors: self.tensors(tensors, &inputs, &outputs)?,
            origins: vec![Origin::Unknown; tensors.len()],
            read: vec![false; tensors.len()],
            model: SourceModel { name: table.text(4)?.unwrap_or_default().into(), ..SourceModel::default() },
        };
        for &input in &inputs {
            let index = graph.index(input, "an input of the graph")?;
            graph.define(index, Origin::Input)?;
            self.describe(&mut graph, index)?;
            graph.model.inputs.push(graph.source_tensor(index));
        }
        for position in 0..operators.len() {
            let Some(operator) = operators.get(position)? else { break };
            let prefix = if index == 0 { String::new() } else { format!("subgraph_{index}/") };
            let node = self.node(&operator, position, &prefix, &mut graph, depth);
            if let Some(node) = self.keep(node)? {
                graph.model.nodes.push(node);
            }
        }
        if outputs.is_empty() && depth == 0 {
            return Err(Error::model("the graph", "it has no output"));
        }
        for &output in &outputs {
            let index = graph.index(output, "an output of the graph")?;
            self.read_value(&mut graph, index)?;
            graph.model.outputs.push(graph.source_tensor(index));
        }
        self.check_origins(&mut graph, depth)?;
        Ok(graph.model)
    }

    /// The tensors under names that are unique in the model. Where two have the same one, inputs and outputs keep
    /// it before others do.
    fn tensors(
        &mut self,
        tables: Tables<'a>,
        inputs: &[i32],
        outputs: &[i32],
    ) -> Result<Vec<Tensor<'a>>, Error> {
        const NAME: usize = 3;
        let mut names = vec![String::new(); tables.len()];
        let ports = inputs.iter().chain(outputs).filter_map(|&index| usize::try_from(index).ok());
        for index in ports.chain(0..tables.len()) {
            let Some(table) = tables.get(index)? else { continue }; // a port out of range is found later
            if !names[index].is_empty() {
                continue;
            }
            names[index] = match table.text(NAME)?.unwrap_or_default() {
                "" => self.value_names.fresh(&format!("tensor_{index}")),
                name => self.value_names.claim(name),
            };
        }
        let mut tensors = Vec::with_capacity(tables.len());
        for (index, name) in names.into_iter().enumerate() {
            let Some(table) = tables.get(index)? else { break };
            tensors.push(Tensor::new(&table, name, self.limits)?);
        }
        Ok(tensors)
    }

    fn node(
        &mut self,
        table: &Table<'a>,
        position: usize,
        prefix: &str,
        graph: &mut Graph<'a>,
        depth: u64,
    ) -> Result<SourceNode, Error> {
        let (operator, version) = match self.operator(table.uint32(0)?) {
            Ok(operator) => operator,
            Err(Error::Unsupported(what)) => {
                self.unsupported.extend(what);
                ("operator".into(), 0) // its outputs still count as defined
            }
            Err(error) => return Err(error),
        };
        let name = format!("{prefix}{operator}_{position}");
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for input in table.int32s(1)?.unwrap_or_default() {
            inputs.push(match input {
                -1 => String::new(),
                _ => {
                    let index = graph.index(input, &format!("an input of operator `{name}`"))?;
                    self.read_value(graph, index)?;
                    self.value_name(graph, index)?
                }
            });
        }
        for output in table.int32s(2)?.unwrap_or_default() {
            let index = graph.index(output, &format!("an output of operator `{name}`"))?;
            graph.define(index, Origin::Node)?;
            self.describe(graph, index)?;
            outputs.push(self.value_name(graph, index)?);
        }
        let mut attributes = self.attributes(table, &name, depth)?;
        let mut intermediates = Vec::new();
        for intermediate in table.int32s(INTERMEDIATES)?.unwrap_or_default() {
            let index = graph.index(intermediate, &format!("an intermediate of operator `{name}`"))?;
            self.describe(graph, index)?;
            intermediates.push(self.value_name(graph, index)?);
        }
        if !intermediates.is_empty() {
            attributes.insert("intermediates".into(), SourceAttribute::Texts(intermediates));
        }
        Ok(SourceNode { name, framework: Framework::Tflite, operator, version, inputs, outputs, attributes })
    }

    fn value_name(&self, graph: &Graph, index: usize) -> Result<String, Error> {
        let name = &graph.tensors[index].name;
        self.file.charge(name.len())?;
        Ok(name.clone())
    }

    fn attributes(
        &mut self,
        operator: &Table<'a>,
        name: &str,
        depth: u64,
    ) -> Result<BTreeMap<String, SourceAttribute>, Error> {
        let mut attributes = BTreeMap::new();
        let tag = operator.uint8(3)?;
        let options = options(tag).map_err(|tag| {
            Error::unsupported(format!("operator `{name}` has options number {tag} of a newer schema"))
        })?;
        if let (Some(options), Some(table)) = (options, operator.table(4, options.map_or("", |o| o.name))?) {
            for (slot, field) in options.fields.iter().enumerate().filter(|(_, field)| field.name != "_") {
                let value = match field.kind {
                    Kind::subgraph => {
                        let index = usize::try_from(table.int32(slot, 0)?).unwrap_or(usize::MAX);
                        Some(SourceAttribute::Graph(Box::new(self.subgraph(index, depth + 1)?)))
                    }
                    _ => attribute(&table, slot, field)?,
                };
                attributes.extend(value.map(|value| (field.name.to_string(), value)));
            }
        }
        if let Some(bytes) = self.custom_options(operator, name)? {
            let array = Array::from_bytes(DType::U8, &[bytes.len()], bytes);
            attributes
                .extend(array.map(|array| ("custom_options".to_string(), SourceAttribute::Tensor(array))));
        }
        Ok(attributes)
    }

    fn custom_options(&self, operator: &Table<'a>, name: &str) -> Result<Option<&'a [u8]>, Error> {
        let (offset, size) = (operator.uint64(9)?, operator.uint64(10)?);
        match operator.bytes(5)? {
            Some(bytes) if !bytes.is_empty() => Ok(Some(bytes)),
            _ if offset > 1 && size > 0 => {
                self.outside(offset, size, &format!("custom options of operator `{name}`")).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Notes that a value is read, and delivers it where it is a constant.
    fn read_value(&mut self, graph: &mut Graph<'a>, index: usize) -> Result<(), Error> {
        graph.read[index] = true;
        if graph.origins[index] != Origin::Unknown {
            return Ok(());
        }
        let tensor = &graph.tensors[index];
        let data = if tensor.variable { None } else { self.data(tensor.buffer)? };
        let Some(data) = data else { return Ok(()) };
        let constant = self.keep(tensor.constant(&data))?;
        let quantization = self.keep(tensor.quantization())?.flatten();
        let name = &graph.tensors[index].name;
        graph.model.constants.extend(constant.map(|array| (name.clone(), array)));
        graph.model.quantization.extend(quantization.map(|q| (name.clone(), q)));
        graph.origins[index] = Origin::Constant;
        Ok(())
    }

    /// Delivers type and quantization of a value that is not constant.
    fn describe(&mut self, graph: &mut Graph<'a>, index: usize) -> Result<(), Error> {
        let tensor = &graph.tensors[index];
        let dtype = self.keep(tensor.dtype())?;
        let quantization = self.keep(tensor.quantization())?.flatten();
        graph.model.dtypes.extend(dtype.map(|dtype| (tensor.name.clone(), dtype)));
        graph.model.quantization.extend(quantization.map(|q| (tensor.name.clone(), q)));
        Ok(())
    }

    /// Checks that everything that is read gets its value from somewhere.
    fn check_origins(&mut self, graph: &mut Graph<'a>, depth: u64) -> Result<(), Error> {
        for index in 0..graph.tensors.len() {
            let tensor = &graph.tensors[index];
            if !graph.read[index] || graph.origins[index] != Origin::Unknown {
                continue;
            }
            if tensor.variable {
                let state = self.state(graph, index, depth);
                let state = self.keep(state)?;
                graph.model.states.extend(state);
            } else if let Some(obstacle) = tensor.obstacle {
                self.unsupported.push(format!("{}: {obstacle}", tensor.place()));
            } else if tensor.elements() == Some(0) {
                let constant = self.keep(tensor.constant(&Vec::new().into()))?;
                graph.model.constants.extend(constant.map(|array| (tensor.name.clone(), array)));
            } else {
                return Err(Error::model(tensor.place(), "it is read, and nothing defines it"));
            }
        }
        Ok(())
    }
}

impl<'a> Import<'a> {
    /// A variable as what goes from one run to the next.
    fn state(&mut self, graph: &mut Graph<'a>, index: usize, depth: u64) -> Result<SourceState, Error> {
        let place = graph.tensors[index].place();
        if depth > 0 {
            return Err(Error::unsupported(format!("{place} is a variable of a subgraph")));
        }
        if self.data(graph.tensors[index].buffer)?.is_some() {
            return Err(Error::unsupported(format!("{place} is a variable with a value in the file")));
        }
        self.describe(graph, index)?;
        let tensor = &graph.tensors[index];
        let bytes = tensor.elements().and_then(|n| n.checked_mul(tensor.dtype().ok()?.bytes()));
        self.state_bytes = self.state_bytes.saturating_add(bytes.unwrap_or(usize::MAX));
        if self.state_bytes > MOST_STATE_BYTES {
            let what = format!("{place}: variables of more than {MOST_STATE_BYTES} bytes");
            return Err(Error::unsupported(what));
        }
        Ok(SourceState { name: tensor.name.clone(), initial: tensor.initial()? })
    }
}

impl Graph<'_> {
    fn index(&self, index: i32, what: &str) -> Result<usize, Error> {
        usize::try_from(index).ok().filter(|&index| index < self.tensors.len()).ok_or_else(|| {
            Error::model(what, format!("tensor {index} is named, there are {}", self.tensors.len()))
        })
    }

    fn define(&mut self, index: usize, origin: Origin) -> Result<(), Error> {
        if self.origins[index] != Origin::Unknown {
            let problem = "it is defined twice; each value is expected to have one definition";
            return Err(Error::model(self.tensors[index].place(), problem));
        }
        self.origins[index] = origin;
        Ok(())
    }

    fn source_tensor(&self, index: usize) -> SourceTensor {
        let tensor = &self.tensors[index];
        SourceTensor {
            name: tensor.name.clone(),
            dtype: self.model.dtypes.get(&tensor.name).copied(),
            shape: Some(tensor.source_dims()),
        }
    }
}
