//! Constant: a node without inputs whose attribute is its value. It becomes a constant of the graph.

use nablac_index::{Array, DType, Value};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};
use crate::source::SourceAttribute;

pub(super) const SPELLINGS: &[Spelling] = &[onnx("Constant", 1)];

/// The attributes that a value may stand in.
const FORMS: &[&str] = &["value", "value_float", "value_floats", "value_int", "value_ints"];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let float = |x: &f64| Value::F32(*x as f32);
    let array = match FORMS.iter().find_map(|form| node.raw(form)) {
        Some(SourceAttribute::Tensor(array)) => array.clone(),
        Some(SourceAttribute::Float(x)) => Array::from_values(DType::F32, &[], [float(x)]),
        Some(SourceAttribute::Floats(x)) => Array::from_values(DType::F32, &[x.len()], x.iter().map(float)),
        Some(SourceAttribute::Int(x)) => Array::from_i64(&[], &[*x]),
        Some(SourceAttribute::Ints(x)) => Array::from_i64(&[x.len()], x),
        _ => return Err(node.unsupported("its value is neither a tensor, numbers nor a number")),
    };
    Ok(vec![node.add_constant("value", array)])
}
