//! DynamicQuantizeLinear: reals to 8-bit integers, with the scale that just holds them and zero:
//! ```text
//! scale = (max(0, x[…]) - min(0, x[…])) / 255
//! zero_point = saturate(round(-min(0, x[…]) / scale))
//! y[…] = saturate(round(x[…] / scale) + zero_point)
//! ```
//! Where all are zero, any scale does: it is 1, as in ONNX Runtime.

use nablac_index::DType;

use super::compare::Relation;
use super::reduce::Reduction;
use super::reshape::reshape;
use super::{Compare, Div, Max, Min, Neg, Quantize, ReduceMax, ReduceMin, Sub, Where};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

pub(super) const SPELLINGS: &[Spelling] = &[onnx("DynamicQuantizeLinear", 11)];

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let x = node.input(0)?;
    if node.dtype(x) != DType::F32 {
        return Err(node.malformed(format!("an input of type {}, not f32", node.dtype(x))));
    }
    let flat = reshape(node, x, &[node.shape(x).iter().product()])?;
    let reduction = Reduction { axes: vec![0], keep_dimensions: false };
    let zero = node.add_scalar("zero", DType::F32, 0.0);
    let largest = node.add(ReduceMax { reduction: reduction.clone() }, &[flat])?;
    let largest = node.add(Max {}, &[largest, zero])?;
    let smallest = node.add(ReduceMin { reduction }, &[flat])?;
    let smallest = node.add(Min {}, &[smallest, zero])?;

    let range = node.add(Sub {}, &[largest, smallest])?;
    let steps = node.add_scalar("steps", DType::F32, 255.0);
    let step = node.add(Div {}, &[range, steps])?;
    let nothing = node.add(Compare { relation: Relation::Equal }, &[range, zero])?;
    let one = node.add_scalar("one", DType::F32, 1.0);
    let scale = node.add(Where {}, &[nothing, one, step])?;

    let quantize = Quantize { axis: 0, block: 0, to: DType::U8, half_to_even: true };
    let below = node.add(Neg {}, &[smallest])?;
    let zero_point = node.add(quantize.clone(), &[below, scale])?;
    let y = node.add(quantize, &[x, scale, zero_point])?;
    Ok(vec![y, scale, zero_point])
}
