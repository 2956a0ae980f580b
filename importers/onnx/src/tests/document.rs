//! Editing files: what is not changed stays.

use super::*;
use crate::{Document, DocumentNode, Element};

/// A field that no message here knows, with a number that the schema does not use.
const UNKNOWN: [u8; 6] = [0x82, 0x7d, 0x03, b'a', b'b', b'c'];

fn documented() -> Vec<u8> {
    let mut bytes = small().encode_to_vec();
    bytes.extend(UNKNOWN);
    bytes
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_document_that_is_not_edited_means_the_same_and_keeps_unknown_fields() {
    let bytes = documented();
    let written = Document::parse(&bytes, &Limits::default()).unwrap().encode();
    assert!(contains(&written, &UNKNOWN));
    assert_eq!(Model::decode(&written[..]).unwrap(), Model::decode(&bytes[..]).unwrap());
}

#[test]
fn nodes_and_constants_are_replaced() {
    let mut document = Document::parse(&documented(), &Limits::default()).unwrap();
    assert_eq!(document.opset(), 17);
    let add = &mut document.nodes[0];
    assert!(add.has_attribute("int"));
    assert_eq!((add.integers("ints"), add.integers("none")), (vec![1, -2], vec![]));
    add.inputs[1] = "v".into();
    add.set_integer("int", 0);
    document.nodes.push(DocumentNode::new("Relu", "again", &["y"], &["z"]));
    document.add_constant("v", Element::Float, &[3], [1f32, 2.0, 3.0].map(f32::to_le_bytes).concat());
    document.set_opset(21);
    document.remove_unread(&["y".into()]);
    let model = Model::decode(&document.encode()[..]).unwrap();
    assert_eq!((model.ir_version, model.opset_import[0].version), (Some(10), 21));
    let graph = model.graph.unwrap();
    assert_eq!(graph.initializer.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["v"]);
    assert_eq!(graph.node.last().unwrap().name, "again");
    let zero = graph.node[0].attribute.iter().find(|a| a.name == "int").unwrap();
    assert_eq!((zero.i, zero.r#type), (0, attribute::INT));
}

#[test]
fn what_cannot_be_edited_is_named() {
    let mut external = small();
    let tensor = &mut external.graph.as_mut().unwrap().initializer[0];
    tensor.data_location = EXTERNAL;
    let error = Document::parse(&external.encode_to_vec(), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("external data (tensor `w`)"), "{error}");
    let mut functions = small();
    functions.functions.push(Function { name: "f".into(), ..Function::default() });
    let error = Document::parse(&functions.encode_to_vec(), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("local functions"), "{error}");
}
