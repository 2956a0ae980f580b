//! Range: `y[i] = start + i * step`, as many as lie before `limit`. It becomes a constant of the graph.

use nablac_index::{Array, Value};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx, tflite};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("Range", 11), tflite("RANGE")];

/// The most elements of a range: they all stand in the graph.
const ELEMENTS: f64 = (1 << 24) as f64;

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let (start, limit, step) = (node.constant(0)?, node.constant(1)?, node.constant(2)?);
    let dtype = start.dtype();
    if [&start, &limit, &step].iter().any(|array| array.len() != 1 || array.dtype() != dtype) {
        return Err(node.malformed("start, limit and step are not three numbers of one type"));
    }
    let [first, end, distance] = [&start, &limit, &step].map(|array| array.get(0).as_f64());
    let count = ((end - first) / distance).ceil().max(0.0);
    if distance == 0.0 || count.is_nan() || count > ELEMENTS {
        return Err(node.malformed(format!("a range from {first} to {end} by {distance}")));
    }
    let value = |i: usize| match (start.get(0), step.get(0)) {
        (Value::Int(start), Value::Int(step)) => Value::Int(start.wrapping_add(step.wrapping_mul(i as i64))),
        _ => Value::from_f64(dtype, first + i as f64 * distance),
    };
    let count = count as usize;
    Ok(vec![node.add_constant("value", Array::from_values(dtype, &[count], (0..count).map(value)))])
}
