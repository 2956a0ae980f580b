//! `y[…] = scale[c] * (x[…] - zero_point[c])`, where `c` is the index along one dimension, or nothing

use nablac_index::{Array, DType, Expr, Index, Reduce, TensorId, Value, axes};
use serde::{Deserialize, Serialize};

use super::linear_quantization::Parameters;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};
use crate::quantization::Quantization;
use crate::source::Framework;

/// Integers to the reals that they stand for. The inputs are `x`, scales, and zero points that may be left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Dequantize {
    /// The dimension along which scales vary, if there is more than one.
    pub axis: usize,
    /// How many indices of that dimension have a scale in common: ONNX's `block_size`; 0 where each has its own.
    pub block: usize,
}

impl Operation for Dequantize {
    const NAME: &'static str = "dequantize";
    const SPELLINGS: &'static [Spelling] = 
        &[onnx("DequantizeLinear", 10), onnx("com.microsoft::DequantizeLinear", 1), tflite("DEQUANTIZE")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        if node.framework() == Framework::Tflite {
            let quantized = node.quantized(x);
            // Converters write weights as half floats, and widen them by this operator.
            let quantized = match quantized {
                None if node.dtype(x).is_float() => return Ok(vec![x]),
                None => return Err(node.malformed("its input has no scale")),
                Some(quantized) => quantized,
            };
            return dequantize(node, x, &quantized.quantization).map(|y| vec![y]);
        }
        let (axis, block) = scale_axis(node)?;
        let parameters = Parameters { scale: node.input(1)?, zero_point: node.optional(2) };
        match block {
            0 => parameters.known(node, node.dtype(x), &node.shape(x), axis).map(drop)?,
            _ => parameters.known_scales(node).map(drop)?,
        }
        let mut inputs = vec![x, node.input(1)?];
        inputs.extend(node.optional(2));
        Ok(vec![node.add_plain(Dequantize { axis, block }, &inputs, None)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (x, scale, zero) = (definition.input(0)?, definition.input(1)?, definition.optional(2));
        let (shape, dtype) = (definition.shape(x), definition.dtype(scale));
        definition.require(dtype.is_float(), || format!("scales of type {dtype}"))?;
        definition.require(definition.dtype(x).is_integer(), || "its input is no integer".into())?;
        check(definition, scale, self.axis, self.block)?;
        if let Some(zero) = zero {
            check(definition, zero, self.axis, self.block)?;
        }
        let own = [Some(scale), zero].map(|t| t.map(|t| (t, definition.shape(t))));
        let difference = if definition.dtype(x).bytes() < 4 { DType::I32 } else { definition.dtype(x) };
        definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
            let [scale, zero] = &own;
            let parameter = |(tensor, shape): &(TensorId, Vec<usize>)| {
                Expr::read(*tensor, position(shape, at, self.axis, self.block))
            };
            let x = Expr::read(x, at).cast(difference);
            let x = zero.iter().fold(x, |x, zero| x - parameter(zero).cast(difference));
            scale.iter().fold(x.cast(dtype), |x, scale| x * parameter(scale))
        });
        Ok(())
    }
}

/// Adds a node for the reals that the integers of `x` stand for.
pub(crate) fn dequantize(node: &mut Reader, x: ValueId, quantization: &Quantization) -> Result<ValueId, Error> {
    let [scale, zero] = parameters(node, node.dtype(x), quantization);
    node.add_plain(Dequantize { axis: quantization.axis, block: 0 }, &[x, scale, zero], None)
}

/// Scales and zero points as constants: of no dimension where there is one of each.
pub(super) fn parameters(node: &mut Reader, dtype: DType, quantization: &Quantization) -> [ValueId; 2] {
    let Quantization { scales, zero_points, .. } = quantization;
    let shape = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
    let scales = Array::from_f32(&shape, scales);
    let zeros = zero_points.iter().map(|&zero| Value::Int(zero));
    let zeros = Array::from_values(dtype, &shape, zeros);
    [node.add_constant("scale", scales), node.add_constant("zero_point", zeros)]
}

/// Along which dimension the scales of an ONNX node vary, and in blocks of how many.
pub(super) fn scale_axis(node: &mut Reader) -> Result<(usize, usize), Error> {
    let (x, scale) = (node.shape(node.input(0)?), node.shape(node.input(1)?));
    if scale.iter().product::<usize>() == 1 && scale.len() < 2 {
        return Ok((0, 0));
    }
    let axis = node.axis(node.int("axis", 1)?, x.len())?;
    let block = usize::try_from(node.int("block_size", 0)?);
    Ok((axis, block.map_err(|_| node.malformed("`block_size` is negative"))?))
}

/// Checks that scales or zero points fit the input: one, one per index of the axis, or one per block.
pub(super) fn check(
    definition: &Definition,
    parameter: TensorId,
    axis: usize,
    block: usize,
) -> Result<(), Error> {
    let (x, own) = (definition.shape(definition.input(0)?), definition.shape(parameter));
    let extent = x.get(axis).copied().unwrap_or(1);
    let fits = match own[..] {
        [] | [1] => true,
        [count] if block == 0 => count == extent,
        _ if block == 0 => false,
        _ => {
            let blocks = extent.div_ceil(block);
            let expected = x.iter().enumerate().map(|(d, &n)| if d == axis { blocks } else { n });
            own.iter().copied().eq(expected)
        }
    };
    definition.require(fits, || format!("scales of shape {own:?} along axis {axis} of an input of shape {x:?}"))
}

/// Where the scale of the element `at` stands.
pub(super) fn position(shape: &[usize], at: &[Index], axis: usize, block: usize) -> Vec<Index> {
    match shape {
        [] => vec![],
        [1] => vec![Index::constant(0)],
        [_] if block == 0 => vec![at[axis].clone()],
        _ => {
            let index = |(d, i): (usize, &Index)| if d == axis { i.clone() / block as i64 } else { i.clone() };
            at.iter().enumerate().map(index).collect()
        }
    }
}
