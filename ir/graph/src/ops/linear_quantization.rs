//! ONNX's operator form of quantization: integers, with scales and zero points as operands beside them.
//!
//! Owns how such operands are read and checked, and what an operator between them becomes. Where scales and zero points are
//! constant, that is a quantized node. Where they are known at run time only, a sum of products becomes nodes on integers:
//! ```text
//! sum = operator(a - zero_a, b - zero_b, bias)                          in i32
//! y = saturate(round(sum * (scale_a * scale_b / scale_y)) + zero_y)     in f32, half to even
//! ```
//! and any other operator computes on reals, between a dequantization and a quantization.

use nablac_index::{Array, DType, Value};

use super::cast::cast;
use super::reshape::reshape;
use super::{Dequantize, Div, Mul, Operator, Quantize, Sub};
use crate::error::Error;
use crate::graph::{Quantized, ValueId};
use crate::import::Reader;
use crate::quantization::Quantization;

/// Scales and zero points; a zero point that is left out is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    pub scale: ValueId,
    pub zero_point: Option<ValueId>,
}

impl Parameters {
    /// What constant parameters, one or one per index of `axis`, make of integers of this type and shape; nothing where they are known
    /// at run time only, or vary in another way. Scales that are no scales are errors in any case.
    pub fn known(
        self,
        node: &mut Reader,
        dtype: DType,
        shape: &[usize],
        axis: usize,
    ) -> Result<Option<Quantization>, Error> {
        let Some(scales) = self.known_scales(node)? else { return Ok(None) };
        let zeros = match self.zero_point.map(|zero| node.known(zero)) {
            None => Array::from_values(dtype, &[], [Value::Int(0)]),
            Some(None) => return Ok(None),
            Some(Some(zeros)) => zeros,
        };
        let count = scales.len().max(zeros.len());
        if scales.dtype() != DType::F32 || count > 1 && scales.shape().len().max(zeros.shape().len()) > 1 {
            return Ok(None);
        }
        let scales: Vec<f32> = scales.to_f64().into_iter().map(|scale| scale as f32).collect();
        let quantization = Quantization {
            scales: stretched(scales, count),
            zero_points: stretched(zeros.to_i64(), count),
            axis: if count == 1 { 0 } else { axis },
        };
        match quantization.fault(dtype, shape) {
            None => Ok(Some(quantization)),
            Some(fault) => Err(node.malformed(format!("it has {fault}"))),
        }
    }

    /// The scales, if they are constant; each must be one by which integers stand for reals.
    pub fn known_scales(self, node: &mut Reader) -> Result<Option<Array>, Error> {
        let scales = node.known(self.scale);
        let values = scales.as_ref().map(Array::to_f64).unwrap_or_default();
        match values.into_iter().find(|scale| !scale.is_finite() || *scale <= 0.0) {
            None => Ok(scales),
            Some(scale) => {
                Err(node.malformed(format!("it has a scale of {scale}; scales are finite and above zero")))
            }
        }
    }
}

/// One number for all, as often as there are others.
fn stretched<T: Clone>(values: Vec<T>, count: usize) -> Vec<T> {
    if values.len() == 1 { vec![values[0].clone(); count] } else { values }
}

/// Integers with their parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    pub integers: ValueId,
    pub parameters: Parameters,
    /// Along which dimension parameters vary, if they do.
    pub axis: usize,
}

/// What an operator writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub dtype: DType,
    pub parameters: Parameters,
}

/// What an operator reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    Quantized(Operand),
    Plain(ValueId),
}

impl Operand {
    /// Integers at input `position`, their scale and their zero point behind them.
    pub fn new(node: &Reader, position: usize) -> Result<Operand, Error> {
        Operand::beside(node, position, position + 1)
    }

    /// Integers at input `position`, with scale and zero point from input `scale` on.
    pub fn beside(node: &Reader, position: usize, scale: usize) -> Result<Operand, Error> {
        let integers = node.input(position)?;
        let parameters = parameters(node, scale)?;
        check_zero_point(node, parameters.zero_point, node.dtype(integers))?;
        Ok(Operand { integers, parameters, axis: 0 })
    }

    /// The same, with parameters that may vary along dimension `axis`.
    pub fn along(self, axis: usize) -> Operand {
        Operand { axis, ..self }
    }

    fn known(&self, node: &mut Reader) -> Result<Option<Quantization>, Error> {
        let (dtype, shape) = (node.dtype(self.integers), node.shape(self.integers));
        self.parameters.known(node, dtype, &shape, self.axis)
    }
}

impl Output {
    /// With the scale at input `position` and the zero point behind it, which says the type; it is `default` without one.
    pub fn new(node: &Reader, position: usize, default: DType) -> Result<Output, Error> {
        let parameters = parameters(node, position)?;
        let dtype = parameters.zero_point.map_or(default, |zero| node.dtype(zero));
        check_zero_point(node, parameters.zero_point, dtype)?;
        let single = |value: &ValueId| node.shape(*value).iter().product::<usize>() == 1;
        match [Some(parameters.scale), parameters.zero_point].iter().flatten().all(single) {
            true => Ok(Output { dtype, parameters }),
            false => Err(node.malformed("its output has more than one scale or zero point")),
        }
    }

    fn known(&self, node: &mut Reader) -> Result<Option<Quantized>, Error> {
        let quantization = self.parameters.known(node, self.dtype, &[], 0)?;
        Ok(quantization.map(|quantization| Quantized { dtype: self.dtype, quantization }))
    }

    /// The integers that stand for `real`, which is in steps of `scale`.
    fn quantize(&self, node: &mut Reader, real: ValueId, scale: ValueId) -> Result<ValueId, Error> {
        let quantize = Quantize { axis: 0, block: 0, to: self.dtype, half_to_even: true };
        let inputs: Vec<ValueId> = [real, scale].into_iter().chain(self.parameters.zero_point).collect();
        node.add_plain(quantize, &inputs, None)
    }
}

fn parameters(node: &Reader, position: usize) -> Result<Parameters, Error> {
    let (scale, zero_point) = (node.input(position)?, node.optional(position + 1));
    match node.dtype(scale) {
        DType::F32 => Ok(Parameters { scale, zero_point }),
        other => Err(node.malformed(format!("input {position} is a scale of type {other}, not f32"))),
    }
}

fn check_zero_point(node: &Reader, zero_point: Option<ValueId>, integers: DType) -> Result<(), Error> {
    if !matches!(integers, DType::I8 | DType::U8) {
        return Err(node.malformed(format!("integers of type {integers}; they are of type i8 or u8")));
    }
    match zero_point.map(|zero| node.dtype(zero)).filter(|own| *own != integers) {
        None => Ok(()),
        Some(own) => {
            Err(node.malformed(format!("a zero point of type {own} beside integers of type {integers}")))
        }
    }
}

/// Adds `operator` between scales: as a quantized node, or on reals.
pub(super) fn apply(
    node: &mut Reader,
    operator: impl Into<Operator>,
    inputs: &[Input],
    output: &Output,
) -> Result<ValueId, Error> {
    let operator = operator.into();
    let mut known = vec![];
    for input in inputs {
        known.push(match input {
            Input::Plain(value) => Some((*value, None)),
            Input::Quantized(operand) => operand.known(node)?.map(|q| (operand.integers, Some(q))),
        });
    }
    let known: Option<Vec<_>> = known.into_iter().collect();
    if let (Some(known), Some(quantized)) = (known, output.known(node)?) {
        let mut values = vec![];
        for (value, quantization) in known {
            values.push(Some(match quantization {
                None => value,
                Some(quantization) => node.quantized_as(value, &quantization)?,
            }));
        }
        return node.add_quantized(operator, &values, Some(quantized));
    }
    let mut reals = vec![];
    for input in inputs {
        reals.push(match input {
            Input::Plain(value) => *value,
            Input::Quantized(Operand { integers, parameters, axis }) => {
                let inputs = [*integers, parameters.scale].into_iter().chain(parameters.zero_point);
                let dequantize = Dequantize { axis: *axis, block: 0 };
                node.add_plain(dequantize, &inputs.collect::<Vec<_>>(), None)?
            }
        });
    }
    let real = node.add(operator, &reals)?;
    output.quantize(node, real, output.parameters.scale)
}

/// A sum of products of two operands, from a bias in units of their scales' product on.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub operator: Operator,
    pub operands: [Operand; 2],
    /// The dimension of the result that each operand's `axis` is.
    pub axes: [usize; 2],
    pub bias: Option<ValueId>,
    /// Scales the result.
    pub alpha: f64,
    /// Nothing for a result in reals.
    pub output: Option<Output>,
}

impl Product {
    /// Adds the nodes.
    pub fn add(&self, node: &mut Reader) -> Result<ValueId, Error> {
        if let Some(bias) = self.bias.filter(|bias| node.dtype(*bias) != DType::I32) {
            let dtype = node.dtype(bias);
            return Err(node.malformed(format!("a bias of type {dtype}; it is of type i32")));
        }
        match self.quantized(node)? {
            Some(y) => Ok(y),
            None => self.computed(node),
        }
    }

    /// As a quantized node, if scales and zero points are constant.
    fn quantized(&self, node: &mut Reader) -> Result<Option<ValueId>, Error> {
        let [a, b] = [self.operands[0].known(node)?, self.operands[1].known(node)?];
        let output = self.output.as_ref().map(|output| output.known(node)).transpose()?;
        let (Some(a), Some(b), Some(output)) = (a, b, output.map_or(Some(None), |known| known.map(Some)))
        else {
            return Ok(None);
        };
        let vary = a.scales.len().max(b.scales.len());
        let bias = self.bias.map(|bias| (bias, node.shape(bias)));
        // A bias that is stretched along the dimension of the scales has none of its own there.
        let stretched = bias.as_ref().is_some_and(|(_, own)| vary > 1 && own.last() != Some(&vary));
        if self.alpha != 1.0 || a.scales.len() > 1 && b.scales.len() > 1 || stretched {
            return Ok(None);
        }
        let bias = bias.map(|(bias, own)| {
            let scales =
                (0..vary).map(|c| a.scales[c.min(a.scales.len() - 1)] * b.scales[c.min(b.scales.len() - 1)]);
            let axis = if vary == 1 { 0 } else { own.len() - 1 };
            let quantization = Quantization { scales: scales.collect(), zero_points: vec![0; vary], axis };
            node.quantized_as(bias, &quantization)
        });
        let bias = bias.transpose()?;
        let a = node.quantized_as(self.operands[0].integers, &a)?;
        let b = node.quantized_as(self.operands[1].integers, &b)?;
        let inputs: Vec<Option<ValueId>> = [a, b].into_iter().chain(bias).map(Some).collect();
        node.add_quantized(self.operator.clone(), &inputs, output).map(Some)
    }

    /// As nodes on integers and on tensors of scales.
    fn computed(&self, node: &mut Reader) -> Result<ValueId, Error> {
        let [a, b] = &self.operands;
        let sum = integer_sum(node, self.operator.clone(), [a, b].map(Centred::of), self.bias)?;
        let rank = node.shape(sum).len();
        let mut scales = vec![];
        for (operand, axis) in self.operands.iter().zip(self.axes) {
            scales.push(placed(node, operand.parameters.scale, operand.integers, operand.axis, rank, axis)?);
        }
        if self.alpha != 1.0 {
            let alpha = node.add_scalar("alpha", DType::F32, self.alpha);
            scales[0] = node.add(Mul {}, &[alpha, scales[0]])?;
        }
        let mut scale = node.add(Mul {}, &scales)?;
        if let Some(output) = &self.output {
            let steps = reshape(node, output.parameters.scale, &[])?;
            scale = node.add(Div {}, &[scale, steps])?;
        }
        let real = cast(node, sum, DType::F32)?;
        let real = node.add(Mul {}, &[real, scale])?;
        match &self.output {
            None => Ok(real),
            Some(output) => {
                let one = node.add_scalar("one", DType::F32, 1.0);
                output.quantize(node, real, one)
            }
        }
    }
}

/// Integers and their zero points, which may vary along a dimension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Centred {
    pub integers: ValueId,
    pub zero_point: Option<ValueId>,
    pub axis: usize,
}

impl Centred {
    fn of(operand: &Operand) -> Centred {
        Centred { integers: operand.integers, zero_point: operand.parameters.zero_point, axis: operand.axis }
    }

    /// Integers at input `position`, with the zero point at input `zero_point` if there is one.
    pub fn new(node: &Reader, position: usize, zero_point: usize, axis: usize) -> Result<Centred, Error> {
        let (integers, zero_point) = (node.input(position)?, node.optional(zero_point));
        check_zero_point(node, zero_point, node.dtype(integers))?;
        Ok(Centred { integers, zero_point, axis })
    }

    /// `integers - zero_point` as `i32`.
    fn add(&self, node: &mut Reader) -> Result<ValueId, Error> {
        let wide = cast(node, self.integers, DType::I32)?;
        let Some(zero_point) = self.zero_point else { return Ok(wide) };
        let rank = node.shape(self.integers).len();
        let zero_point = placed(node, zero_point, self.integers, self.axis, rank, self.axis)?;
        let zero_point = cast(node, zero_point, DType::I32)?;
        node.add(Sub {}, &[wide, zero_point])
    }
}

/// `operator` on integers without their zero points, as `i32`.
pub(super) fn integer_sum(
    node: &mut Reader,
    operator: Operator,
    operands: [Centred; 2],
    bias: Option<ValueId>,
) -> Result<ValueId, Error> {
    let mut inputs = vec![];
    for operand in operands {
        inputs.push(operand.add(node)?);
    }
    inputs.extend(bias);
    node.add(operator, &inputs)
}

/// Numbers that vary along `from` of the tensor `of`, in a shape that they vary in along dimension `to` of a tensor of rank `rank`. Those
/// that vary along several dimensions have as many as the tensor, and stay.
fn placed(
    node: &mut Reader,
    numbers: ValueId,
    of: ValueId,
    from: usize,
    rank: usize,
    to: usize,
) -> Result<ValueId, Error> {
    let (own, whole) = (node.shape(numbers), node.shape(of));
    let shape = match own[..] {
        _ if own.iter().product::<usize>() == 1 => vec![],
        [count] if whole.get(from) == Some(&count) && to < rank => {
            (0..rank).map(|d| if d == to { count } else { 1 }).collect()
        }
        _ if own.len() == whole.len() && own.iter().zip(&whole).all(|(own, n)| *own == 1 || own == n) => own,
        _ => {
            let problem =
                format!("scales or zero points of shape {own:?} along axis {from} of shape {whole:?}");
            return Err(node.malformed(problem));
        }
    };
    reshape(node, numbers, &shape)
}
