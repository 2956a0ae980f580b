//! A filter over time whose weights are products of one over features and one over time. Of `F` filters, `rank` each make up a unit;
//! `state` holds what each filter gave at the last `M` times, the oldest first.
//! ```text
//! feature[b, f] += x[b, i] * w[f, i]
//! next[b, M*f + m] = state[b, M*f + m + 1]            for m below M-1
//! next[b, M*f + M-1] = feature[b, f]
//! y[b, u] = bias[u]
//! y[b, u] += next[b, M*(rank*u + r) + m] * v[rank*u + r, m]
//! ```
//! On integers, as TFLite's reference kernel has it: features are brought to the scale of the 16-bit state, and there is no
//! activation but that which the ends of the output's type are.

use nablac_index::{DType, Expr, Index, Reduce, Rounding, TensorId};
use serde::{Deserialize, Serialize};

use super::activation;
use super::quantized::bias_fault;
use super::requantize::{Fixed, centred, fixed_rounding, integer, saturated, uniform};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, tflite};

/// A layer of singular value decomposition filters. The inputs are `x`, the weights over features and over time, a bias that may
/// be left out, and the state; the outputs are `y` and the next state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Svdf {
    /// How many filters make up a unit.
    pub rank: usize,
}

/// The enumerator of the rectifier in TFLite's schema.
const RELU: i64 = 1;

/// The input that is the state.
const STATE: usize = 4;

impl Operation for Svdf {
    const NAME: &'static str = "svdf";
    const SPELLINGS: &'static [Spelling] = &[tflite("SVDF")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let rank = node.int("rank", 0)?;
        let rank = usize::try_from(rank).map_err(|_| node.malformed(format!("a rank of {rank}")))?;
        let state = node.input(STATE)?;
        let inputs: Vec<_> = (0..=STATE).map(|position| node.optional(position)).collect();
        let written = match node.is_quantized() {
            true => {
                if node.int("fused_activation_function", 0)? != RELU {
                    let reason = "its integer form with an activation other than RELU, which TFLite has none of";
                    return Err(node.unsupported(reason));
                }
                let quantized = [node.quantized_output(0), node.quantized(state)];
                node.add_quantized_with(Svdf { rank }, &inputs, &quantized)?
            }
            false => node.add_with(Svdf { rank }, &inputs, vec![])?,
        };
        node.set_state(STATE, written[1])?;
        let y = if node.is_quantized() { written[0] } else { activation::fused(node, written[0])? };
        Ok(vec![y])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let filters = Filters::new(definition, self.rank)?;
        let (x, w, v) = (filters.x, filters.w, filters.v);
        let dtype = definition.dtype(x);
        let alike = [w, v, filters.state].iter().all(|&id| definition.dtype(id) == dtype);
        definition.require(alike && dtype.is_float(), || {
            "its input, weights and state are not of one type of reals".into()
        })?;
        let (space, over) = (filters.filters(), filters.features());
        let feature = definition.builder.emit("feature", dtype, &space, &over, Reduce::Sum, |at| {
            Expr::read(x, [at[0].clone(), at[2].clone()]) * Expr::read(w, [at[1].clone(), at[2].clone()])
        });
        let next = filters.shift(definition, |at| Expr::read(feature, at));
        let y = definition.builder.local("", dtype, &[filters.batch, filters.units]);
        if let Some(bias) = filters.bias {
            let own = definition.dtype(bias);
            definition.require(own == dtype, || format!("a bias of {own} for {dtype}"))?;
        }
        filters.start(definition, y);
        filters.accumulate(definition, y, |memory, time| Expr::read(next, memory) * Expr::read(v, time));
        definition.output(y);
        definition.output(next);
        Ok(())
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let filters = Filters::new(definition, self.rank)?;
        let (rounding, scales) = (filters.rounding(definition)?, Scales::new(definition)?);
        let (to_state, to_output) = scales.factors();
        let zy = scales.y.1;
        let feature = filters.integer_features(definition, scales.x.1);
        let next = filters.shift(definition, |at| {
            saturated(to_state.apply(rounding, Expr::read(feature, at)), DType::I16, 0)
        });
        let sum = definition.builder.local("sum", DType::I32, &[filters.batch, filters.units]);
        filters.start(definition, sum);
        filters.accumulate(definition, sum, |memory, time| {
            Expr::read(next, memory).cast(DType::I32) * Expr::read(filters.v, time).cast(DType::I32)
        });
        let y = definition.builder.map("", DType::I8, &[filters.batch, filters.units], |at| {
            saturated(to_output.apply(rounding, Expr::read(sum, at)), DType::I8, zy)
        });
        definition.output(y);
        definition.output(next);
        Ok(())
    }
}

/// Loops by name and extent.
type Loops = Vec<(&'static str, usize)>;

/// The inputs with their extents, checked against each other.
struct Filters {
    x: TensorId,
    w: TensorId,
    v: TensorId,
    bias: Option<TensorId>,
    state: TensorId,
    batch: usize,
    features: usize,
    units: usize,
    rank: usize,
    times: usize,
}

/// Scales and zero points.
struct Scales {
    x: (f32, i64),
    w: f32,
    v: f32,
    state: f32,
    y: (f32, i64),
}

impl Scales {
    fn new(definition: &Definition) -> Result<Scales, Error> {
        let of = |position: usize| {
            let own = definition.quantization(position);
            let own = own.ok_or_else(|| definition.malformed(format!("input {position} has no scale")))?;
            uniform(own).map_err(|fault| definition.unsupported(fault))
        };
        let (x, w, v, state) = (of(0)?, of(1)?, of(2)?, of(STATE)?);
        definition.require([w, v, state].iter().all(|(_, zero)| *zero == 0), || {
            "weights or a state with a zero point other than 0".into()
        })?;
        let unit = f64::from(state.0) * f64::from(v.0);
        if let Some(fault) = definition.quantization(3).and_then(|bias| bias_fault(bias, &[unit])) {
            return Err(definition.malformed(fault));
        }
        let output = definition.quantized_output(0);
        let output = output.ok_or_else(|| definition.malformed("its output has no scale"))?;
        let y = uniform(&output.quantization).map_err(|fault| definition.unsupported(fault))?;
        Ok(Scales { x, w: w.0, v: v.0, state: state.0, y })
    }

    /// From a sum of features to the state, and from a sum over time to the output. The products of scales are rounded to single
    /// precision, as the kernel's are.
    fn factors(&self) -> (Fixed, Fixed) {
        let to_state = self.x.0 * self.w / self.state;
        let to_output = self.state * self.v / self.y.0;
        (Fixed::of(f64::from(to_state)), Fixed::of(f64::from(to_output)))
    }
}

impl Filters {
    /// How products are rounded, for the types that there is an integer form of.
    fn rounding(&self, definition: &Definition) -> Result<Rounding, Error> {
        let types = [self.x, self.w, self.v, self.state].map(|id| definition.dtype(id));
        let output = definition.quantized_output(0).map(|output| output.dtype);
        let known = types == [DType::I8, DType::I8, DType::I16, DType::I16] && output == Some(DType::I8);
        let rounding = definition.requantization().and_then(fixed_rounding);
        rounding.filter(|_| known).ok_or_else(|| {
            definition.unsupported(format!(
                "its integer form for {types:?}: there is that of TFLite, in fixed point for i8 with weights over time and a \
                 state of i16"
            ))
        })
    }

    fn new(definition: &Definition, rank: usize) -> Result<Filters, Error> {
        let (x, w, v, state) =
            (definition.input(0)?, definition.input(1)?, definition.input(2)?, definition.input(STATE)?);
        let shapes = [x, w, v, state].map(|id| definition.shape(id));
        let (&[batch, features], &[filters, own], &[of_time, times]) =
            (&shapes[0][..], &shapes[1][..], &shapes[2][..])
        else {
            return Err(definition.malformed(format!("an input and weights of shapes {:?}", &shapes[..3])));
        };
        let bias = definition.optional(3);
        let whole = rank > 0 && filters % rank == 0 && times > 0;
        let units = if whole { filters / rank } else { 0 };
        let fits = whole && own == features && of_time == filters && shapes[3] == [batch, filters * times];
        let fits = fits && bias.is_none_or(|bias| definition.shape(bias) == [units]);
        definition.require(fits, || format!("rank {rank} with input, weights and state of shapes {shapes:?}"))?;
        Ok(Filters { x, w, v, bias, state, batch, features, units, rank, times })
    }

    fn filters(&self) -> Loops {
        vec![("b", self.batch), ("f", self.units * self.rank)]
    }

    fn features(&self) -> Loops {
        vec![("i", self.features)]
    }

    /// The position of a filter's time `m` within the state.
    fn place(&self, filter: &Index, m: impl Into<Index>) -> Index {
        filter.clone() * self.times as i64 + m.into()
    }

    /// The next state, whose newest values are `newest`.
    fn shift(&self, definition: &mut Definition, newest: impl FnOnce(&[Index]) -> Expr) -> TensorId {
        let (dtype, shape) = (definition.dtype(self.state), definition.shape(self.state));
        let next = definition.builder.local("next", dtype, &shape);
        let filters = self.filters();
        let older = [&filters[..], &[("m", self.times - 1)]].concat();
        if self.times > 1 {
            definition.builder.write(next, Reduce::Set, &older, |at| {
                let place = self.place(&at[1], at[2].clone());
                let from = Expr::read(self.state, [at[0].clone(), place.clone() + 1]);
                (vec![at[0].clone(), place], from)
            });
        }
        definition.builder.write(next, Reduce::Set, &filters, |at| {
            (vec![at[0].clone(), self.place(&at[1], self.times as i64 - 1)], newest(at))
        });
        next
    }

    /// `sum[b, u] = bias[u]`.
    fn start(&self, definition: &mut Definition, sum: TensorId) {
        let Some(bias) = self.bias else { return };
        let loops = [("b", self.batch), ("u", self.units)];
        definition.builder.write(sum, Reduce::Set, &loops, |at| {
            (at.to_vec(), Expr::read(bias, [at[1].clone()]))
        });
    }

    /// Adds, for each unit, what `product` gives of the place in the state and of the weight over time.
    fn accumulate(
        &self,
        definition: &mut Definition,
        sum: TensorId,
        product: impl FnOnce([Index; 2], [Index; 2]) -> Expr,
    ) {
        let loops = [("b", self.batch), ("u", self.units), ("r", self.rank), ("m", self.times)];
        definition.builder.write(sum, Reduce::Sum, &loops, |at| {
            let filter = at[1].clone() * self.rank as i64 + at[2].clone();
            let place = self.place(&filter, at[3].clone());
            (at[..2].to_vec(), product([at[0].clone(), place], [filter, at[3].clone()]))
        });
    }

    /// Sums of products of integers less their zero points, where that of the input is taken into a constant.
    fn integer_features(&self, definition: &mut Definition, zero_point: i64) -> TensorId {
        let (x, w) = (self.x, self.w);
        let (space, over) = (self.filters(), self.features());
        let builder = &mut definition.builder;
        let offset = builder.emit("offset", DType::I32, &space[1..], &over, Reduce::Sum, |at| {
            centred(Expr::read(w, at), 0) * integer(-zero_point)
        });
        let sum = builder.local("feature", DType::I32, &[self.batch, self.units * self.rank]);
        builder.write(sum, Reduce::Set, &space, |at| (at.to_vec(), Expr::read(offset, [at[1].clone()])));
        builder.write(sum, Reduce::Sum, &[&space[..], &over[..]].concat(), |at| {
            let product = centred(Expr::read(x, [at[0].clone(), at[2].clone()]), 0)
                * centred(Expr::read(w, [at[1].clone(), at[2].clone()]), 0);
            (at[..2].to_vec(), product)
        });
        sum
    }
}
