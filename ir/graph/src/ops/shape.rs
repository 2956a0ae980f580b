//! Shape, Size and Rank: what is known about a tensor without its elements. It becomes a constant of the graph.

use nablac_index::{Array, DType, Value};

use super::cast::from_tflite;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx, tflite};

pub(super) const SPELLINGS: &[Spelling] =
    &[onnx("Shape", 1), onnx("Size", 1), tflite("SHAPE"), tflite("RANK")];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let shape = node.shape(node.input(0)?);
    let extents = |part: &[usize]| part.iter().map(|&n| Value::Int(n as i64)).collect::<Vec<_>>();
    let array = match node.operator() {
        "Size" => Array::from_i64(&[], &[shape.iter().product::<usize>() as i64]),
        "RANK" => Array::from_values(DType::I32, &[], [Value::Int(shape.len() as i64)]),
        "SHAPE" => {
            let dtype = if node.has("out_type") { from_tflite(node, "out_type")? } else { DType::I32 };
            Array::from_values(dtype, &[shape.len()], extents(&shape))
        }
        _ => {
            let rank = shape.len() as i64;
            let place = |i: i64| if i < 0 { i.saturating_add(rank) } else { i }.clamp(0, rank) as usize;
            let (start, end) = (place(node.int("start", 0)?), place(node.int("end", i64::MAX)?));
            let part = &shape[start.min(end)..end];
            Array::from_values(DType::I64, &[part.len()], extents(part))
        }
    };
    Ok(vec![node.add_constant("value", array)])
}
