//! Single nodes and their attributes.
//!
//! Owns which operator of which opset a node applies, and the values of attributes, nested graphs included.

use std::collections::{BTreeMap, BTreeSet};

use nablac_graph::source::{Framework, SourceAttribute, SourceNode};

use crate::Error;
use crate::function::Key;
use crate::model::{Import, Opsets, Scope, default_domain};
use crate::proto::{self, attribute};
use crate::tensor::is_packed;

/// A node with what is not decided yet: which function it calls, and attributes that refer to a function's own.
#[derive(Clone)]
pub(crate) struct Converted {
    pub node: SourceNode,
    pub key: Key,
    pub references: References,
}

/// Values by name.
pub(crate) type Attributes = BTreeMap<String, SourceAttribute>;

/// Of an attribute within a function: its name, and the name of the function's attribute that gives its value.
pub(crate) type References = Vec<(String, String)>;

/// The graph that a node is in, and how many nodes come before it there.
type Place<'a> = (&'a Scope<'a>, usize);

impl Import<'_> {
    /// A node under its final name. Without a scope it is a function's, and may not contain graphs.
    pub fn convert(
        &mut self,
        proto: proto::Node,
        name: String,
        opsets: &Opsets,
        scope: Option<Place>,
    ) -> Result<Converted, Error> {
        let domain = default_domain(&proto.domain);
        let place = format!("node `{name}` ({})", proto.op_type);
        if proto.op_type.is_empty() {
            return Err(Error::model(place, "it has no op_type"));
        }
        let key = (domain.to_string(), proto.op_type.clone(), proto.overload);
        let version = match opsets.get(domain) {
            Some(&version) => version,
            None if self.functions.contains_key(&key) => 0, // a call is replaced; no operator sees the version
            None => {
                let problem = format!("opset_import has no entry for its domain `{domain}`");
                return Err(Error::model(place, problem));
            }
        };
        let (attributes, references) = self.attributes(proto.attribute, &place, scope)?;
        let node = SourceNode {
            name,
            framework: Framework::Onnx,
            operator: if domain.is_empty() { key.1.clone() } else { format!("{domain}::{}", key.1) },
            version,
            inputs: proto.input,
            outputs: proto.output,
            attributes,
        };
        Ok(Converted { node, key, references })
    }

    fn attributes(
        &mut self,
        protos: Vec<proto::Attribute>,
        place: &str,
        scope: Option<Place>,
    ) -> Result<(Attributes, References), Error> {
        let (mut attributes, mut references) = (Attributes::new(), References::new());
        let mut seen = BTreeSet::new();
        for proto in protos {
            let name = proto.name.clone();
            if !seen.insert(name.clone()) {
                return Err(Error::model(place, format!("attribute `{name}` stands twice")));
            }
            if !proto.ref_attr_name.is_empty() {
                references.push((name, proto.ref_attr_name));
                continue;
            }
            let value = self.attribute(proto, place, scope);
            if let Some(value) = self.keep(value)? {
                attributes.insert(name, value);
            }
        }
        Ok((attributes, references))
    }

    /// An attribute's value.
    pub fn attribute(
        &mut self,
        proto: proto::Attribute,
        place: &str,
        scope: Option<Place>,
    ) -> Result<SourceAttribute, Error> {
        let label = format!("{place}: attribute `{}`", proto.name);
        let missing = || Error::model(&label, "the value of its type is missing");
        Ok(match proto.r#type {
            attribute::INT => SourceAttribute::Int(proto.i),
            attribute::FLOAT => SourceAttribute::Float(proto.f as f64),
            attribute::STRING => SourceAttribute::Text(text(proto.s, &label)?),
            attribute::INTS => SourceAttribute::Ints(proto.ints),
            attribute::FLOATS => SourceAttribute::Floats(proto.floats.iter().map(|&x| x as f64).collect()),
            attribute::STRINGS => {
                let texts = proto.strings.into_iter().map(|bytes| text(bytes, &label));
                SourceAttribute::Texts(texts.collect::<Result<_, _>>()?)
            }
            attribute::TENSOR => {
                let name = format!("{} of {place}", proto.name);
                let tensor = proto.t.ok_or_else(missing)?;
                if is_packed(&tensor) {
                    return Err(Error::unsupported(format!("{label}: integers of fewer than 8 bits")));
                }
                SourceAttribute::Tensor(self.tensors.read(tensor, &name)?)
            }
            attribute::GRAPH => {
                let graph = proto.g.ok_or_else(missing)?;
                let Some(scope) = scope else {
                    return Err(Error::unsupported(format!("{label}: a graph within a function")));
                };
                SourceAttribute::Graph(Box::new(self.graph(graph, Some(scope))?))
            }
            other => match attribute::UNREAD.iter().find(|row| row.0 == other) {
                Some((_, kind)) => return Err(Error::unsupported(format!("{label} of type {kind}"))),
                None => {
                    return Err(Error::model(label, format!("its type is {other}, 1 to 14 are expected")));
                }
            },
        })
    }
}

fn text(bytes: Vec<u8>, label: &str) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| Error::unsupported(format!("{label} is not UTF-8 text")))
}
