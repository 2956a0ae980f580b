//! Sums of products of quantized elements, in integers: `sum[at] += (x - zero_x) * (w - zero_w)`. Where one factor is real, so is the
//! sum: `sum[at] += x * real(w - zero_w)`, and the scale comes behind it.
//!
//! Owns the type of the accumulator, what a unit of it is worth, and whether a bias can be added before the rest.

use nablac_index::{Access, DType, Expr, Index, Reduce, Role, Statement, TensorId, Value};

use super::{Meaning, Meanings, renamed, write};
use crate::error::Error;
use crate::graph::Quantized;
use crate::operator::Definition;
use crate::ops::requantize::{Accumulated, PerChannel, Rescaling, centred, saturated, uniform};
use crate::quantization::{Quantization, Requantization};

/// How far the scale of a bias may be from that of the sum, relative: both are products of the same `f32` numbers.
const BIAS_SCALE_TOLERANCE: f64 = 1e-3;

/// `out[at] += product of elements`, of which some are quantized.
pub(super) struct Sum<'a> {
    pub statement: &'a Statement,
    factors: Vec<Factor<'a>>,
}

/// A read of a tensor; of a real one where there is no quantization.
struct Factor<'a> {
    access: &'a Access,
    tensor: TensorId,
    quantization: Option<&'a Quantization>,
}

/// A sum that has been written.
pub(super) struct Written<'a> {
    sum: TensorId,
    accumulated: Accumulated,
    /// The dimension of the output along which scales vary.
    dimension: Option<usize>,
    /// What the sum starts from, where that can't be added in integers.
    pub real_start: Option<&'a Statement>,
}

impl<'a> Sum<'a> {
    /// The statement as such a sum, if it is one.
    pub fn of(statement: &'a Statement, meanings: &'a Meanings) -> Option<Sum<'a>> {
        let mut factors = vec![];
        let product = collect(&statement.body, meanings, &mut factors);
        let quantized = factors.iter().any(|factor| factor.quantization.is_some());
        (statement.reduce == Reduce::Sum && product && quantized).then_some(Sum { statement, factors })
    }

    /// Whether all factors are integers.
    pub fn is_integer(&self) -> bool {
        self.factors.iter().all(|factor| factor.quantization.is_some())
    }

    /// Writes the sum in integers, from the value of `start` on if that is at the same scale.
    pub fn write<'s>(
        &self,
        definition: &mut Definition,
        start: Option<&'s Statement>,
        meanings: &Meanings,
        shape: &[usize],
    ) -> Result<Written<'s>, Error> {
        let (scales, dimension) = self.scales(definition)?;
        let bias = match start {
            Some(start) if self.is_integer() => self.bias(definition, start, &scales, meanings)?,
            _ => None,
        };
        // TFLite accumulates 16-bit activations in 64 bits, unless there is a 32-bit bias.
        let narrow = self.factors.iter().all(|f| definition.dtype(f.tensor) != DType::I16);
        let dtype = match bias {
            _ if !self.is_integer() => DType::F32,
            Some(bias) => definition.dtype(bias),
            None if narrow => DType::I32,
            None => DType::I64,
        };
        let sum = definition.builder.local("sum", dtype, shape);
        let of = |id: TensorId| meanings.get(&id).map_or(sum, Meaning::tensor);
        if let (Some(start), Some(_)) = (start, bias) {
            write(definition.builder, start, sum, &of, |body| {
                body.rewrite(&mut |node| match node {
                    Expr::Read(access) => Expr::Read(renamed(access, &of, &|value| value)),
                    other => other,
                })
            });
        }
        let zeros: Vec<Option<PerChannel>> = self.factors.iter().map(|f| f.zero_points(definition)).collect();
        let product = self
            .factors
            .iter()
            .zip(&zeros)
            .map(|(factor, zero)| factor.expression(zero.as_ref(), &of).cast(dtype));
        let product = product.reduce(|a, b| a * b).unwrap_or(Expr::integer(dtype, 1));
        write(definition.builder, self.statement, sum, &of, |_| product);
        let bound = self.bound(definition, bias);
        let real_start = start.filter(|_| bias.is_none());
        Ok(Written { sum, accumulated: Accumulated { dtype, bound, scales }, dimension, real_start })
    }

    /// What one unit of the sum is worth, and the dimension of the output along which that varies.
    fn scales(&self, definition: &Definition) -> Result<(Vec<f64>, Option<usize>), Error> {
        let (mut scales, mut dimension) = (vec![1.0], None);
        let quantized = self.factors.iter().filter_map(|f| f.quantization.map(|q| (f.access, q)));
        for (access, quantization) in quantized {
            if let Some((scale, _)) = quantization.uniform() {
                scales.iter_mut().for_each(|s| *s *= f64::from(scale));
                continue;
            }
            let along = &access.at[quantization.axis];
            let place = self.statement.at.iter().position(|index| index == along);
            if place.is_none() || dimension.is_some_and(|d| Some(d) != place) {
                return Err(definition.unsupported("scales vary along a dimension that is summed over"));
            }
            dimension = place;
            let own = quantization.scales.iter().enumerate();
            scales = own.map(|(c, &s)| scales[c.min(scales.len() - 1)] * f64::from(s)).collect();
        }
        Ok((scales, dimension))
    }

    /// The tensor of integers that the sum may start from; nothing where the bias must be added to the real sum.
    fn bias(
        &self,
        definition: &Definition,
        start: &Statement,
        scales: &[f64],
        meanings: &Meanings,
    ) -> Result<Option<TensorId>, Error> {
        let fixed = definition.requantization().is_some_and(Requantization::is_fixed);
        let meaning = match &start.body {
            Expr::Read(access) => meanings.get(&access.tensor),
            _ => None,
        };
        let fault = match meaning {
            // Some converters leave out the scale of a bias: it is that of the sum.
            Some(Meaning::Plain(own)) if definition.dtype(*own).is_integer() => return Ok(Some(*own)),
            Some(Meaning::Quantized(own, _, quantization)) => match scale_fault(quantization, scales) {
                None => return Ok(Some(*own)),
                Some(fault) => fault,
            },
            _ => "the bias is not quantized".into(),
        };
        if fixed { Err(definition.malformed(fault)) } else { Ok(None) }
    }

    /// The most that the sum's absolute value can be: from the values of constant weights, else from their types.
    fn bound(&self, definition: &Definition, bias: Option<TensorId>) -> f64 {
        let terms =
            self.statement.reduced_loops(0).into_iter().map(|l| self.statement.loops[l].extent as f64);
        let factor = |factor: &Factor| {
            let zeros = factor.quantization.iter().flat_map(|q| &q.zero_points);
            let zero = zeros.map(|z| z.abs()).max().unwrap_or(0) as f64;
            largest_value(definition, factor.tensor) + zero
        };
        let factors = self.factors.iter().map(factor);
        terms.product::<f64>() * factors.product::<f64>()
            + bias.map_or(0.0, |id| largest_value(definition, id))
    }
}

/// Collects the factors of a product of reads of quantized tensors; says whether it is one.
fn collect<'a>(body: &'a Expr, meanings: &'a Meanings, factors: &mut Vec<Factor<'a>>) -> bool {
    match body {
        Expr::Binary(nablac_index::Binary::Mul, a, b) => {
            collect(a, meanings, factors) && collect(b, meanings, factors)
        }
        Expr::Read(access) => match meanings.get(&access.tensor) {
            Some(Meaning::Quantized(tensor, _, quantization)) => {
                let nothing_outside = access.outside.is_none_or(|value| value.as_f64() == 0.0);
                let outside = access.outside.is_none() || quantization.uniform().is_some();
                factors.push(Factor { access, tensor: *tensor, quantization: Some(quantization) });
                nothing_outside && outside
            }
            Some(Meaning::Plain(tensor)) => {
                factors.push(Factor { access, tensor: *tensor, quantization: None });
                true
            }
            _ => false,
        },
        _ => false,
    }
}

impl Factor<'_> {
    /// Zero points that vary by channel, as a constant.
    fn zero_points(&self, definition: &mut Definition) -> Option<PerChannel> {
        let values: Vec<Value> =
            self.quantization?.zero_points.iter().map(|&zero| Value::Int(zero)).collect();
        let first = values.first().copied();
        let vary = values.iter().any(|value| Some(*value) != first);
        vary.then(|| PerChannel::new(definition.builder, "zero_point", DType::I32, &values))
    }

    /// `x - zero_x` as `i32`, or a real `x`; beyond the edges stands the zero point, which adds nothing.
    fn expression(&self, zeros: Option<&PerChannel>, of: &dyn Fn(TensorId) -> TensorId) -> Expr {
        let Some(quantization) = self.quantization else {
            return Expr::Read(renamed(self.access.clone(), of, &|value| value));
        };
        let zero = quantization.zero_points.first().copied().unwrap_or(0);
        let read = Expr::Read(renamed(self.access.clone(), of, &|_| Value::Int(zero)));
        match zeros {
            None => centred(read, zero),
            Some(zeros) => centred(read, 0) - zeros.at(&self.access.at[quantization.axis].map_tensors(of)),
        }
    }
}

/// What keeps a bias from being added to a sum whose units are worth `scales`, if anything does.
fn scale_fault(bias: &Quantization, scales: &[f64]) -> Option<String> {
    if bias.zero_points.iter().any(|&zero| zero != 0) {
        return Some("the bias has a zero point other than 0".into());
    }
    let of_bias = |c: usize| f64::from(bias.scales[c.min(bias.scales.len() - 1)]);
    let of_sum = |c: usize| scales[c.min(scales.len() - 1)];
    let off = |c: &usize| (of_bias(*c) - of_sum(*c)).abs() > BIAS_SCALE_TOLERANCE * of_sum(*c);
    let channel = (0..bias.scales.len().max(scales.len())).find(off)?;
    let [own, sum] = [of_bias(channel), of_sum(channel)];
    Some(format!("the bias has scale {own:e} in channel {channel}, but input and weights give {sum:e}"))
}

/// The largest absolute value among a tensor's elements, as far as is known.
fn largest_value(definition: &Definition, id: TensorId) -> f64 {
    let tensor = definition.builder.program().tensor(id);
    match &tensor.role {
        Role::Constant(array) => array.values().fold(0.0, |most, x| x.as_f64().abs().max(most)),
        _ => (nablac_index::smallest(tensor.dtype) as f64)
            .abs()
            .max(nablac_index::largest(tensor.dtype) as f64),
    }
}

impl Written<'_> {
    fn channel(&self, at: &[Index]) -> Index {
        self.dimension.map_or(Index::constant(0), |d| at[d].clone())
    }

    /// The sum at the scale of the output.
    pub fn requantized(
        &self,
        definition: &mut Definition,
        requantization: Requantization,
        output: &Quantized,
        shape: &[usize],
    ) -> Result<TensorId, Error> {
        let (scale, zero) = uniform(&output.quantization).map_err(|fault| definition.unsupported(fault))?;
        let ends = [nablac_index::smallest(output.dtype) - zero, nablac_index::largest(output.dtype) - zero];
        let rescaling = Rescaling::new(definition.builder, &self.accumulated, requantization, scale, ends);
        Ok(definition.builder.map("", output.dtype, shape, |at| {
            saturated(rescaling.apply(Expr::read(self.sum, at), &self.channel(at)), output.dtype, zero)
        }))
    }

    /// The reals that the sum stands for, in single precision.
    pub fn real(&self, definition: &mut Definition, shape: &[usize]) -> TensorId {
        let scales: Vec<Value> = self.accumulated.scales.iter().map(|&s| Value::F32(s as f32)).collect();
        let scale = PerChannel::new(definition.builder, "scale", DType::F32, &scales);
        definition.builder.map("", DType::F32, shape, |at| {
            Expr::read(self.sum, at).cast(DType::F32) * scale.at(&self.channel(at))
        })
    }
}
