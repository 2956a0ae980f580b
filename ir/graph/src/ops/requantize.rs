//! Arithmetic on the integers of quantized values: zero points, fixed-point multipliers, and the way to the scale of an output.
//!
//! Owns how reals become multipliers and exponents, for every convention of `Requantization`. The multiplier is gemmlowp's: a
//! number in 1/2…1 with 31 fractional bits, and a power of two.

use nablac_index::{Array, Builder, DType, Expr, Index, Rounding, TensorId, Unary, Value, largest, smallest};

use crate::quantization::{Quantization, Requantization};

/// `real` as `multiplier * 2^exponent`, where the multiplier has 31 fractional bits and lies in 1/2…1; 0 below 2^-32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fixed {
    pub multiplier: i64,
    pub exponent: i64,
}

impl Fixed {
    /// The nearest fixed-point number, half away from zero.
    pub fn of(real: f64) -> Fixed {
        let (fraction, exponent) = libm::frexp(real);
        let multiplier = (fraction * 2f64.powi(31)).round() as i64;
        let (multiplier, exponent) = match multiplier {
            0 => (0, 0),
            m if m == 1 << 31 => (m / 2, i64::from(exponent) + 1),
            m => (m, i64::from(exponent)),
        };
        if exponent < -31 { Fixed { multiplier: 0, exponent: 0 } } else { Fixed { multiplier, exponent } }
    }

    /// The same with 15 fractional bits.
    pub fn narrowed(self) -> Fixed {
        let largest = (1 << 15) - 1;
        Fixed { multiplier: ((self.multiplier + (1 << 15)) >> 16).min(largest), ..self }
    }

    /// `value * self`, rounded.
    pub fn apply(self, rounding: Rounding, value: Expr) -> Expr {
        value.requantize(rounding, integer(self.multiplier), integer(self.exponent))
    }
}

/// How fixed-point products are rounded; nothing where the convention computes with reals.
pub(super) fn fixed_rounding(requantization: Requantization) -> Option<Rounding> {
    match requantization {
        Requantization::F32 => None,
        Requantization::Single => Some(Rounding::Single),
        // Double precision is for sums; TFLite has no other form of the rest than this.
        Requantization::Double | Requantization::F64 => Some(Rounding::Double),
    }
}

/// An `i32` literal.
pub(super) fn integer(x: i64) -> Expr {
    Expr::integer(DType::I32, x)
}

/// `integer - zero_point` as `i32`.
pub(super) fn centred(read: Expr, zero_point: i64) -> Expr {
    let wide = read.cast(DType::I32);
    if zero_point == 0 { wide } else { wide - integer(zero_point) }
}

/// `scale * (integer - zero_point)` in single precision.
pub(super) fn dequantized(read: Expr, scale: f32, zero_point: i64) -> Expr {
    Expr::f32(scale) * centred(read, zero_point).cast(DType::F32)
}

/// An `i32` that counts steps of the output's scale from its zero point, as the output's type: moved to its ends where it is beyond.
pub(super) fn saturated(steps: Expr, dtype: DType, zero_point: i64) -> Expr {
    let (low, high) = (smallest(dtype) - zero_point, largest(dtype) - zero_point);
    let inside = steps.max(integer(low)).min(integer(high));
    let value = if zero_point == 0 { inside } else { inside + integer(zero_point) };
    value.cast(dtype)
}

/// The integer that stands for `real`; of two that are as near, the even step or the one further from zero.
pub(super) fn quantized_bound(real: f32, dtype: DType, scale: f32, zero_point: i64, even: bool) -> i64 {
    let steps = real / scale;
    let steps = if even { steps.round_ties_even() } else { steps.round() } as i64;
    steps.saturating_add(zero_point).clamp(smallest(dtype), largest(dtype))
}

/// The integer next to `steps`, which is a real of type `dtype`, within `ends`; what is no number counts as the first of them. Bounded
/// before it is rounded: the ends are integers, so that it is the same, and no conversion leaves its type.
pub(super) fn nearest_within(steps: Expr, dtype: DType, round: Unary, ends: [i64; 2]) -> Expr {
    let [low, high] = ends.map(|end| Expr::integer(dtype, end));
    high.min(low.max(steps)).unary(round).cast(DType::I32)
}

/// A real as the output's type; the convention says how it is rounded.
pub(super) fn quantized_real(
    real: Expr,
    requantization: Requantization,
    dtype: DType,
    scale: f32,
    zero_point: i64,
) -> Expr {
    let (steps, round) = match requantization {
        Requantization::F32 => (real / Expr::f32(scale), Unary::Round),
        // TFLite's tables multiply by the inverse of the scale.
        _ => (real * Expr::f32(1.0 / scale), Unary::RoundAway),
    };
    let ends = [smallest(dtype) - zero_point, largest(dtype) - zero_point];
    saturated(nearest_within(steps, DType::F32, round, ends), dtype, zero_point)
}

/// A number per channel, ready to be read: a literal where all are equal, else a constant of the program.
#[derive(Clone, Debug)]
pub(super) enum PerChannel {
    Same(Expr),
    Table(TensorId),
}

impl PerChannel {
    /// `values` as a constant called `name` behind the node's own name.
    pub fn new(builder: &mut Builder, name: &str, dtype: DType, values: &[Value]) -> PerChannel {
        match values {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => {
                PerChannel::Same(Expr::Literal(dtype, *first))
            }
            _ => {
                let (_, prefix) = builder.label();
                let name = if prefix.is_empty() { name.into() } else { format!("{prefix}.{name}") };
                let array = Array::from_values(dtype, &[values.len()], values.iter().copied());
                PerChannel::Table(builder.constant(&name, array))
            }
        }
    }

    /// The number of a channel.
    pub fn at(&self, channel: &Index) -> Expr {
        match self {
            PerChannel::Same(literal) => literal.clone(),
            PerChannel::Table(table) => Expr::read(*table, [channel.clone()]),
        }
    }
}

/// What is known of an accumulator before it is brought to the scale of an output.
#[derive(Clone, Debug)]
pub(super) struct Accumulated {
    /// `i32`, or `i64` behind 16-bit activations.
    pub dtype: DType,
    /// The most that its absolute value can be.
    pub bound: f64,
    /// What one unit of it is worth, in double precision: one number, or one per channel.
    pub scales: Vec<f64>,
}

/// How an accumulator gets to the scale of an output.
#[derive(Clone, Debug)]
pub(super) enum Rescaling {
    /// By a fixed-point multiplier and a power of two.
    Fixed(Rounding, PerChannel, PerChannel),
    /// By a real number of this type, rounded as the operation says, to between these ends.
    Real(DType, Unary, PerChannel, [i64; 2]),
}

impl Rescaling {
    /// To steps of `scale`, by the convention of `requantization`; `ends` are the first and last step that the output can hold.
    pub fn new(
        builder: &mut Builder,
        accumulated: &Accumulated,
        requantization: Requantization,
        scale: f32,
        ends: [i64; 2],
    ) -> Rescaling {
        let scales: Vec<f64> = accumulated.scales.iter().map(|own| own / f64::from(scale)).collect();
        let fixed = || scales.iter().map(|&scale| Fixed::of(scale));
        match (requantization, accumulated.dtype) {
            (Requantization::F32, _) => {
                let scales: Vec<Value> =
                    accumulated.scales.iter().map(|&own| Value::F32(own as f32 / scale)).collect();
                let factor = PerChannel::new(builder, "scale", DType::F32, &scales);
                Rescaling::Real(DType::F32, Unary::Round, factor, ends)
            }
            (Requantization::F64, DType::I32) if are_fixed_exact(&scales, accumulated.bound, ends) => {
                Rescaling::fixed(builder, Rounding::Away, fixed())
            }
            (Requantization::F64, _) => {
                let scales: Vec<Value> = scales.iter().map(|&scale| Value::F64(scale)).collect();
                let factor = PerChannel::new(builder, "scale", DType::F64, &scales);
                Rescaling::Real(DType::F64, Unary::RoundAway, factor, ends)
            }
            (_, DType::I64) => Rescaling::fixed(builder, Rounding::Narrow, fixed().map(Fixed::narrowed)),
            (Requantization::Single, _) => Rescaling::fixed(builder, Rounding::Single, fixed()),
            (Requantization::Double, _) => Rescaling::fixed(builder, Rounding::Double, fixed()),
        }
    }

    fn fixed(
        builder: &mut Builder,
        rounding: Rounding,
        fixed: impl Iterator<Item = Fixed> + Clone,
    ) -> Rescaling {
        let multipliers: Vec<Value> = fixed.clone().map(|fixed| Value::Int(fixed.multiplier)).collect();
        let exponents: Vec<Value> = fixed.map(|fixed| Value::Int(fixed.exponent)).collect();
        let multiplier = PerChannel::new(builder, "multiplier", DType::I32, &multipliers);
        // An exponent fits a byte.
        Rescaling::Fixed(rounding, multiplier, PerChannel::new(builder, "exponent", DType::I8, &exponents))
    }

    /// The steps of an accumulator, as `i32`.
    pub fn apply(&self, accumulator: Expr, channel: &Index) -> Expr {
        match self {
            Rescaling::Fixed(rounding, multiplier, exponent) => {
                let exponent = match exponent.at(channel) {
                    Expr::Literal(_, value) => integer(value.as_i64()),
                    read => read.cast(DType::I32),
                };
                accumulator.requantize(*rounding, multiplier.at(channel), exponent)
            }
            Rescaling::Real(dtype, round, scale, ends) => {
                nearest_within(accumulator.cast(*dtype) * scale.at(channel), *dtype, *round, *ends)
            }
        }
    }
}

/// The most scales of one layer whose accumulators are tried one by one.
const DISTINCT_SCALES: usize = 1024;

/// The most accumulators that are tried for one scale: a few milliseconds' work.
const TRIED: f64 = 4e6;

fn are_fixed_exact(scales: &[f64], bound: f64, ends: [i64; 2]) -> bool {
    let mut distinct = scales.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    distinct.len() <= DISTINCT_SCALES && distinct.iter().all(|&scale| is_fixed_exact(scale, bound, ends))
}

/// Whether `Rounding::Away` gives what double precision does for every accumulator up to `bound` in absolute value, or, from where
/// on the result is beyond `ends`, is beyond them as well.
fn is_fixed_exact(scale: f64, bound: f64, ends: [i64; 2]) -> bool {
    let fixed = Fixed::of(scale);
    let furthest = (ends[0].abs().max(ends[1].abs()) + 2) as f64 / scale;
    // Both are monotone: what is beyond an end stays so, as long as the result fits 32 bits.
    let tried = bound.min(furthest).ceil();
    if tried > TRIED || bound * scale > f64::from(1 << 30) || fixed.exponent > 0 {
        return false;
    }
    let clamp = |x: i64| x.clamp(ends[0], ends[1]);
    let tried = tried as i64;
    (-tried..=tried).all(|accumulator| {
        let [multiplier, exponent] = [fixed.multiplier, fixed.exponent].map(Value::Int);
        let value = Value::Int(accumulator);
        let own = nablac_index::arithmetic::requantize(Rounding::Away, value, multiplier, exponent);
        clamp(own.as_i64()) == clamp((accumulator as f64 * scale).round() as i64)
    })
}

/// The scale and zero point of a value that has one of each.
pub(super) fn uniform(quantization: &Quantization) -> Result<(f32, i64), String> {
    quantization.uniform().ok_or_else(|| {
        format!("{} scales along axis {}; activations have one", quantization.scales.len(), quantization.axis)
    })
}
