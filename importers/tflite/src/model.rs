//! The model table: what subgraphs share.
//!
//! Owns operator codes, buffers, the names of the whole model and what is counted over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nablac_graph::limits::{Limit, Limits};
use nablac_graph::names::UniqueNames;
use nablac_graph::source::SourceModel;

use crate::Error;
use crate::flatbuffer::{Flatbuffer, Table, Tables};
use crate::operators::{CUSTOM, OPERATORS};

/// The version of the schema that is read; the only one in use.
const VERSION: u32 = 3;

/// Tensors that may come with one node. A tensor takes four bytes in the file when its table is shared, and some
/// hundred in memory; a converter writes about three for each node.
const TENSORS_PER_NODE: u64 = 64;

/// Subgraphs within subgraphs that can be read at all, whatever the limit says: each takes some of the stack.
const DEEPEST_NESTING: u64 = 64;

/// One import.
pub(crate) struct Import<'a> {
    pub limits: &'a Limits,
    pub file: &'a Flatbuffer<'a>,
    pub value_names: UniqueNames,
    pub unsupported: Vec<String>,
    pub subgraphs: Tables<'a>,
    operator_codes: Tables<'a>,
    buffers: Tables<'a>,
    /// The data of buffers that were read; nothing for those without.
    data: BTreeMap<u32, Option<Arc<[u8]>>>,
    /// The subgraphs that were read.
    entered: BTreeSet<usize>,
    nodes: u64,
    tensors: u64,
    /// The bytes of the variables so far.
    pub state_bytes: usize,
}

/// The node list of a whole model.
pub(crate) fn import(bytes: &[u8], limits: &Limits) -> Result<SourceModel, Error> {
    let file = Flatbuffer::new(bytes);
    let root = file.root("Model")?;
    let version = root.uint32(0)?;
    if version != VERSION {
        return Err(Error::unsupported(format!("version {version} of the schema; {VERSION} is read")));
    }
    let mut import = Import {
        limits,
        file: &file,
        value_names: UniqueNames::default(),
        unsupported: Vec::new(),
        operator_codes: root.tables(1, "Model.operator_codes")?,
        subgraphs: root.tables(2, "Model.subgraphs")?,
        buffers: root.tables(4, "Model.buffers")?,
        data: BTreeMap::new(),
        entered: BTreeSet::new(),
        nodes: 0,
        tensors: 0,
        state_bytes: 0,
    };
    if import.subgraphs.len() == 0 {
        return Err(Error::model("the model", "it has no subgraph"));
    }
    let source = import.subgraph(0, 0)?;
    if import.unsupported.is_empty() { Ok(source) } else { Err(Error::Unsupported(import.unsupported)) }
}

impl<'a> Import<'a> {
    /// Keeps what is unsupported for the end, so that all of it can be reported at once.
    pub fn keep<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Unsupported(list)) => {
                self.unsupported.extend(list);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The table of a subgraph that is entered for the first time; nothing, and noted, for another time. Work
    /// stays in proportion to the file that way, and a subgraph that contains itself ends.
    pub fn enter(&mut self, index: usize, depth: u64) -> Result<Option<Table<'a>>, Error> {
        self.limits.check(Limit::Nesting, depth, || format!("subgraph {index}"))?;
        if depth > DEEPEST_NESTING {
            let what = format!("subgraphs nested {depth} deep; {DEEPEST_NESTING} can be read");
            return Err(Error::unsupported(what));
        }
        let Some(table) = self.subgraphs.get(index)? else {
            let problem = format!("subgraph {index} is named, there are {}", self.subgraphs.len());
            return Err(Error::model("the model", problem));
        };
        if !self.entered.insert(index) {
            self.unsupported.push(format!("subgraph {index} is used more than once"));
            return Ok(None);
        }
        Ok(Some(table))
    }

    pub fn count(&mut self, nodes: usize, tensors: usize) -> Result<(), Error> {
        self.nodes += nodes as u64;
        self.tensors += tensors as u64;
        self.limits.check(Limit::Nodes, self.nodes, || "the model".into())?;
        let least_nodes = self.tensors / TENSORS_PER_NODE;
        self.limits
            .check(Limit::Nodes, least_nodes, || format!("the model, with {} tensors", self.tensors))?;
        Ok(())
    }

    /// The name and version of an operator.
    pub fn operator(&self, index: u32) -> Result<(String, i64), Error> {
        let Some(code) = self.operator_codes.get(index as usize)? else {
            let problem = format!("operator code {index} is named, there are {}", self.operator_codes.len());
            return Err(Error::model("the model", problem));
        };
        // Numbers beyond 127 do not fit the older of the two fields, which then holds 127; the larger is meant.
        let number = (code.int8(0, 0)? as i32).max(code.int32(3, 0)?);
        let version = code.int32(2, 1)? as i64;
        let name = usize::try_from(number).ok().and_then(|number| OPERATORS.get(number));
        match name {
            Some(_) if number as usize == CUSTOM => {
                let name = code.text(1)?.unwrap_or_default();
                self.file.charge(name.len())?;
                Ok((format!("custom::{name}"), version))
            }
            Some(name) => Ok((name.to_string(), version)),
            None => Err(Error::unsupported(format!("operator number {number} of a newer schema"))),
        }
    }

    /// The data of a buffer; nothing for one that is empty, as those of computed values are.
    pub fn data(&mut self, buffer: u32) -> Result<Option<Arc<[u8]>>, Error> {
        if let Some(data) = self.data.get(&buffer) {
            return Ok(data.clone());
        }
        let Some(table) = self.buffers.get(buffer as usize)? else {
            let problem = format!("buffer {buffer} is named, there are {}", self.buffers.len());
            return Err(Error::model("the model", problem));
        };
        let (offset, size) = (table.uint64(1)?, table.uint64(2)?);
        let data = match table.bytes(0)? {
            Some(bytes) if !bytes.is_empty() => Some(bytes),
            // A file beyond two gigabytes keeps data behind its flatbuffer; 1 stands for an offset not yet known.
            _ if offset > 1 && size > 0 => Some(self.outside(offset, size, &format!("buffer {buffer}"))?),
            _ => None,
        };
        let data = data.map(Arc::from);
        self.data.insert(buffer, data.clone());
        Ok(data)
    }

    /// Bytes of the file behind its flatbuffer.
    pub fn outside(&self, offset: u64, size: u64, place: &str) -> Result<&'a [u8], Error> {
        let bytes = self.file.outside(offset, size, place)?;
        self.file.charge(bytes.len())?;
        Ok(bytes)
    }
}
