//! `y[…] = saturate(round(x[…] / scale[c]) + zero_point[c])`, where `c` is the index along one dimension, or nothing

use nablac_index::{DType, Expr, Reduce, TensorId, Unary, axes, largest, smallest};
use serde::{Deserialize, Serialize};

use super::attribute;
use super::cast::from_onnx;
use super::dequantize::{check, parameters, position, scale_axis};
use super::identity::Identity;
use super::linear_quantization::Parameters;
use crate::error::Error;
use crate::graph::{Quantized, ValueId};
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};
use crate::source::Framework;

/// Reals to the integers that stand for them. The inputs are `x`, scales, and zero points that may be left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Quantize {
    /// The dimension along which scales vary, if there is more than one.
    pub axis: usize,
    /// How many indices of that dimension have a scale in common; 0 where each has its own.
    pub block: usize,
    /// The type of the integers.
    #[serde(with = "attribute::dtype")]
    pub to: DType,
    /// Whether a half is rounded to even, as ONNX does, or away from zero, as TFLite does.
    pub half_to_even: bool,
}

impl Operation for Quantize {
    const NAME: &'static str = "quantize";
    const SPELLINGS: &'static [Spelling] = 
        &[onnx("QuantizeLinear", 10), onnx("com.microsoft::QuantizeLinear", 1), tflite("QUANTIZE")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.framework() == Framework::Tflite { import_tflite(node) } else { import_onnx(node) }
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (x, scale, zero) = (definition.input(0)?, definition.input(1)?, definition.optional(2));
        let (shape, dtype) = (definition.shape(x), definition.dtype(x));
        definition.require(dtype.is_float() && definition.dtype(scale) == dtype, || {
            format!("an input of type {dtype} and scales of type {}", definition.dtype(scale))
        })?;
        definition.require(self.to.is_integer() && self.to.bytes() < 4, || format!("a result of type {}", self.to))?;
        check(definition, scale, self.axis, self.block)?;
        if let Some(zero) = zero {
            check(definition, zero, self.axis, self.block)?;
        }
        let own = [Some(scale), zero].map(|t| t.map(|t| (t, definition.shape(t))));
        let round = if self.half_to_even { Unary::Round } else { Unary::RoundAway };
        definition.emit(self.to, &axes(&shape), &[], Reduce::Set, |at| {
            let [scale, zero] = &own;
            let parameter = |(tensor, shape): &(TensorId, Vec<usize>)| {
                Expr::read(*tensor, position(shape, at, self.axis, self.block))
            };
            let steps = scale.iter().fold(Expr::read(x, at), |x, scale| x / parameter(scale));
            // Bounded before it is rounded: the ends are integers, so that it is the same, and no conversion leaves its type.
            let [low, high] = [smallest(self.to), largest(self.to)].map(|end| {
                let end = Expr::integer(dtype, end);
                zero.iter().fold(end, |end, zero| end - parameter(zero).cast(dtype))
            });
            let steps = high.min(low.max(steps)).unary(round).cast(DType::I32);
            zero.iter().fold(steps, |y, zero| y + parameter(zero).cast(DType::I32)).cast(self.to)
        });
        Ok(())
    }
}

fn import_tflite(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let x = node.input(0)?;
    let Some(output) = node.quantized_output(0) else {
        return Err(node.malformed("its output has no scale"));
    };
    // From one scale to another.
    if node.quantized(x).is_some() {
        return node.same(Identity {});
    }
    let [scale, zero] = parameters(node, output.dtype, &output.quantization);
    let axis = output.quantization.axis;
    let quantize = Quantize { axis, block: 0, to: output.dtype, half_to_even: false };
    Ok(vec![node.add_plain(quantize, &[x, scale, zero], Some(output))?])
}

fn import_onnx(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let (x, scale, zero) = (node.input(0)?, node.input(1)?, node.optional(2));
    if node.is_packed(2) {
        return Err(node.unsupported("its integers have fewer than 8 bits: only constants may"));
    }
    let to = match zero {
        Some(zero) => node.dtype(zero),
        None if node.int("output_dtype", 0)? != 0 => from_onnx(node, "output_dtype")?,
        None => DType::U8,
    };
    let (axis, block) = scale_axis(node)?;
    let inputs: Vec<ValueId> = [x, scale].into_iter().chain(zero).collect();
    let shape = node.shape(x);
    let parameters = Parameters { scale, zero_point: zero };
    let known = match block {
        0 => parameters.known(node, to, &shape, axis)?,
        _ => parameters.known_scales(node).map(|_| None)?,
    };
    let quantized = known.map(|quantization| Quantized { dtype: to, quantization });
    let quantize = Quantize { axis, block, to, half_to_even: true };
    Ok(vec![node.add_plain(quantize, &inputs, quantized)?])
}
