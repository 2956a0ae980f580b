//! Functions of 16-bit elements by tables that are interpolated, as TFLite's reference kernels have them.
//!
//! A general table has 513 entries, the function at steps of 128, with entries moved by half of what a straight line is off in the
//! middle between two; `value[i]` is the function at step `i` and `middle[i]` the one half a step behind it, in units of the output:
//! ```text
//! table[i] = round(value[i]) - round((round((value[i+1] + round(value[i])) / 2) - round(middle[i])) / 2)
//! y = table[i] + ((table[i+1] - table[i]) * (x & 127) + 64) >> 7      where i = 256 + (x >> 7)
//! ```
//! Sigmoid and tanh share a table of the sigmoid at steps of 1/24, of which both are symmetric.

use nablac_index::{Array, Binary, Builder, DType, Expr, Index, Reduce, TensorId, Unary, Value, axes};

use super::fixed_point::{FixedPoint, exact};
use crate::error::Error;
use crate::operator::Definition;
use crate::ops::requantize::integer;

/// Steps of a general table.
const STEPS: usize = 512;

/// The values that one step of a general table stands for.
const STEP: i64 = 128;

/// A function on 16-bit integers, tabulated in single or double precision.
pub(in crate::ops) struct Curve<'a> {
    pub precision: DType,
    /// What the smallest and the largest integer stand for.
    pub ends: [f64; 2],
    /// What one step of the output stands for.
    pub unit: f64,
    pub function: &'a dyn Fn(Expr) -> Expr,
}

impl Curve<'_> {
    /// A number of the precision, and what follows from it.
    fn number(&self, x: f64) -> f64 {
        if self.precision == DType::F32 { f64::from(x as f32) } else { x }
    }

    fn literal(&self, x: f64) -> Expr {
        Expr::literal(self.precision, x)
    }

    /// `y[…] = function(x[…])` of 16-bit elements, by a table in single precision.
    pub fn map(
        definition: &mut Definition,
        fixed: &FixedPoint<1>,
        function: &dyn Fn(Expr) -> Expr,
    ) -> Result<(), Error> {
        let ([input], output) = (&fixed.inputs, &fixed.output);
        if input.dtype != DType::I16 || output.dtype != DType::I16 {
            let reason = format!("a function from {} to {}: keep it in float", input.dtype, output.dtype);
            return Err(definition.unsupported(reason));
        }
        let ends = [i16::MIN, i16::MAX].map(|end| f64::from(input.scale * f32::from(end)));
        let function: &dyn Fn(Expr) -> Expr = &|x| exact(function(x));
        let curve = Curve { precision: DType::F32, ends, unit: f64::from(output.scale), function };
        let table = curve.table(definition.builder);
        let x = definition.input(0)?;
        let shape = definition.shape(x);
        definition.emit(DType::I16, &axes(&shape), &[], Reduce::Set, |at| {
            interpolated(table, x, at).cast(DType::I16)
        });
        Ok(())
    }

    /// The table, which is computed now.
    pub fn table(&self, builder: &mut Builder) -> TensorId {
        let number = |x| self.number(x);
        let [low, high] = self.ends;
        let step = number(number(high - low) / STEPS as f64);
        let half = number(step / 2.0);
        // All values of the output over all that it can stand for.
        let values = f64::from(1 << 16);
        let width = number(number(self.unit * f64::from(i16::MAX)) - number(self.unit * f64::from(i16::MIN)));
        let inverse = number(values / width);
        let round = |x: Expr| x.unary(Unary::RoundAway);
        let two = || self.literal(2.0);
        let at_step = |i: Index, behind: Option<f64>| {
            let x = self.literal(low) + Expr::from(i).cast(self.precision) * self.literal(step);
            let x = behind.map_or(x.clone(), |behind| x + self.literal(behind));
            (self.function)(x) * self.literal(inverse)
        };
        let steps = [STEPS];
        let mut map =
            |name: &str, body: &dyn Fn(&[Index]) -> Expr| builder.map(name, self.precision, &steps, body);
        let value = map("value", &|at| at_step(at[0].clone(), None));
        let next = map("next", &|at| at_step(at[0].clone() + 1, None));
        let middle = map("middle", &|at| round(at_step(at[0].clone(), Some(half))));
        let between = map("between", &|at| {
            round((Expr::read(next, at) + round(Expr::read(value, at))) / two()) - Expr::read(middle, at)
        });
        let saturated = |x: Expr| {
            let ends = [i16::MIN, i16::MAX].map(|end| self.literal(f64::from(end)));
            let [low, high] = ends;
            x.max(low).min(high).cast(DType::I16)
        };
        let table = builder.local("table", DType::I16, &[STEPS + 1]);
        builder.write(table, Reduce::Set, &axes(&steps), |at| {
            let entry = round(Expr::read(value, at)) - round(Expr::read(between, at) / two());
            (at.to_vec(), saturated(entry))
        });
        builder.write(table, Reduce::Set, &[], |_| {
            let last = (self.function)(self.literal(high)) * self.literal(inverse);
            (vec![Index::constant(STEPS as i64)], saturated(round(last)))
        });
        table
    }
}

/// `table` at a 16-bit integer, interpolated; the result is an `i16` as `i32`. The integer is an element, read as an index too.
pub(in crate::ops) fn interpolated(table: TensorId, element: TensorId, at: &[Index]) -> Expr {
    // The remainder changes nothing: it shows that reads stay inside.
    let step = (Index::of_read(element, at.to_vec()) / STEP + STEPS as i64 / 2) % STEPS as i64;
    let read = |step: Index| Expr::read(table, [step]).cast(DType::I32);
    let base = read(step.clone());
    let slope = (read(step + 1) - base.clone()).cast(DType::I16).cast(DType::I32);
    let offset = Expr::read(element, at).cast(DType::I32).binary(Binary::And, integer(STEP - 1));
    let delta = (slope * offset + integer(STEP / 2)).binary(Binary::Shr, integer(7));
    (base + delta).cast(DType::I16).cast(DType::I32)
}

/// Which function of the sigmoid's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ops) enum Sigmoidal {
    Sigmoid,
    Tanh,
}

/// Entries per unit of the sigmoid's argument.
const SIGMOID_STEPS: f64 = 24.0;

/// The last entry of the sigmoid's table, which stands for one.
const SIGMOID_LAST: i64 = 255;

/// The sigmoid at `i / 24` in 16 bits behind the point. A straight line between two entries is off by up to an eighth of the
/// curvature, below the curve: entries are moved up by half of that.
fn sigmoid_table(builder: &mut Builder) -> TensorId {
    let entry = |i: i64| {
        let s = 1.0 / (1.0 + libm::exp(-(i as f64) / SIGMOID_STEPS));
        let curvature = s * (1.0 - s) * (2.0 * s - 1.0) / (SIGMOID_STEPS * SIGMOID_STEPS);
        let raised = (65536.0 * (s + curvature / 16.0)).round() as i64;
        Value::Int(if i >= SIGMOID_LAST { 65535 } else { raised })
    };
    let entries = Array::from_values(DType::U16, &[257], (0..257).map(entry));
    let (_, prefix) = builder.label();
    builder.constant(&format!("{prefix}.sigmoid"), entries)
}

/// Sigmoid or tanh of 16-bit elements, to 15 bits behind the point.
///
/// `x` times three quarters of its scale in 12 bits behind the point, by a multiplier of 15 bits, is a place in the table and what
/// lies behind it; tanh has twice the argument, and is twice the sigmoid less one.
pub(in crate::ops) fn sigmoid_curve(
    definition: &mut Definition,
    fixed: &FixedPoint<1>,
    function: Sigmoidal,
) -> Result<(), Error> {
    let [input] = &fixed.inputs;
    let unit = 1.0 / 32768.0;
    definition.require(fixed.output.dtype == DType::I16 && fixed.output.scale == unit, || {
        format!("a result of {} at scale {}, not of i16 at 1/32768", fixed.output.dtype, fixed.output.scale)
    })?;
    let (mut multiplier, mut shift) = (f64::from(input.scale) * 4096.0 * 3.0, 0);
    while multiplier <= 32767.0 / 2.0 && shift <= 30 {
        (multiplier, shift) = (multiplier * 2.0, shift + 1);
    }
    definition.require(multiplier < 32768.0, || format!("a scale of {}", input.scale))?;
    let x = definition.input(0)?;
    let shape = definition.shape(x);
    let table = sigmoid_table(definition.builder);
    let half = if shift > 0 { 1i64 << (shift - 1) } else { 0 };
    let scaled = |at: &[Index]| {
        let product = Expr::read(x, at).cast(DType::I32) * integer(multiplier as i64) + integer(half);
        product.binary(Binary::Shr, integer(shift))
    };
    let bits = if function == Sigmoidal::Tanh { 8 } else { 9 };
    let magnitude = definition.builder.map("magnitude", DType::I32, &shape, |at| {
        scaled(at).unary(Unary::Abs).min(integer(SIGMOID_LAST << bits))
    });
    definition.emit(DType::I16, &axes(&shape), &[], Reduce::Set, |at| {
        let place = Index::of_read(magnitude, at.to_vec()) / (1 << bits) % 256;
        let read = |place: Index| Expr::read(table, [place]).cast(DType::I32);
        let (base, next) = (read(place.clone()), read(place + 1));
        let offset = Expr::read(magnitude, at).binary(Binary::And, integer((1 << bits) - 1));
        let sum = base.clone().binary(Binary::Shl, integer(bits)) + offset * (next - base);
        let negative = scaled(at).binary(Binary::Lt, integer(0));
        let rounded = match function {
            Sigmoidal::Sigmoid => {
                let sum = sum.min(integer(0x7FFF << 10));
                negative.select(integer((1 << 25) + 511) - sum.clone(), sum + integer(512))
            }
            Sigmoidal::Tanh => {
                negative.select(integer((1 << 23) + 127) - sum.clone(), sum - integer((1 << 23) - 128))
            }
        };
        let shift = if function == Sigmoidal::Tanh { 8 } else { 10 };
        rounded.binary(Binary::Shr, integer(shift)).cast(DType::I16)
    });
    Ok(())
}
