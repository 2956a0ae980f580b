//! The scales that an operator's fixed-point form computes with, and functions of one element.
//!
//! Owns what nearly every file with such a form needs: the scale of each input and of the output, and the table that a function
//! of an 8-bit element becomes.

use nablac_index::{DType, Expr, Index, Reduce, Rounding, TensorId, Unary, axes};

use crate::error::Error;
use crate::operator::Definition;
use crate::ops::requantize::{Fixed, centred, fixed_rounding, saturated, uniform};
use crate::quantization::Quantization;

/// How the integers of one value stand for reals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::ops) struct Scaled {
    pub dtype: DType,
    pub scale: f32,
    pub zero_point: i64,
}

impl Scaled {
    fn new(definition: &Definition, dtype: DType, quantization: &Quantization) -> Result<Scaled, Error> {
        let (scale, zero_point) = uniform(quantization).map_err(|fault| definition.unsupported(fault))?;
        Ok(Scaled { dtype, scale, zero_point })
    }

    /// Input `position`, which must be quantized.
    pub fn input(definition: &Definition, position: usize) -> Result<Scaled, Error> {
        let quantization = definition.quantization(position);
        let quantization =
            quantization.ok_or_else(|| definition.unsupported("an operand is not quantized"))?;
        Scaled::new(definition, definition.dtype(definition.input(position)?), quantization)
    }

    /// The output, which must be quantized.
    pub fn output(definition: &Definition) -> Result<Scaled, Error> {
        let output = definition.quantized_output(0);
        let output = output
            .ok_or_else(|| definition.malformed("its input is quantized, but its output has no scale"))?;
        Scaled::new(definition, output.dtype, &output.quantization)
    }

    /// `integer - zero_point` as `i32`.
    pub fn centred(&self, integer: Expr) -> Expr {
        centred(integer, self.zero_point)
    }

    /// Steps of the scale as an integer of the type, moved to its ends where it is beyond.
    pub fn saturated(&self, steps: Expr) -> Expr {
        saturated(steps, self.dtype, self.zero_point)
    }

    /// Whether all values fit a table.
    pub fn is_narrow(&self) -> bool {
        self.dtype.bytes() == 1
    }

    /// Refuses a zero point, which 16-bit values do not have.
    pub fn check_symmetric(&self, definition: &Definition) -> Result<(), Error> {
        definition.require(self.is_narrow() || self.zero_point == 0, || {
            format!("16-bit values with zero point {}", self.zero_point)
        })
    }
}

/// What a fixed-point form is written with: how products are rounded, and the scales of `N` inputs and the output.
#[derive(Clone, Debug)]
pub(in crate::ops) struct FixedPoint<const N: usize> {
    pub rounding: Rounding,
    pub inputs: [Scaled; N],
    pub output: Scaled,
}

impl<const N: usize> FixedPoint<N> {
    /// Nothing where the convention computes with reals.
    pub fn of(definition: &Definition) -> Result<Option<FixedPoint<N>>, Error> {
        let Some(rounding) = definition.requantization().and_then(fixed_rounding) else { return Ok(None) };
        let output = Scaled::output(definition)?;
        let mut inputs = [output; N];
        for (position, input) in inputs.iter_mut().enumerate() {
            *input = Scaled::input(definition, position)?;
            input.check_symmetric(definition)?;
        }
        output.check_symmetric(definition)?;
        Ok(Some(FixedPoint { rounding, inputs, output }))
    }

    /// `steps * real`, rounded.
    pub fn product(&self, steps: Expr, real: f64) -> Expr {
        let product = Fixed::of(real.abs()).apply(self.rounding, steps);
        if real < 0.0 { -product } else { product }
    }
}

impl FixedPoint<1> {
    /// `y[…] = function(x[…])`, from steps of the input's scale to steps of the output's; a table where the input has 8 bits.
    pub fn map(&self, definition: &mut Definition, function: impl FnOnce(Expr) -> Expr) -> Result<(), Error> {
        let [input] = self.inputs;
        let x = definition.input(0)?;
        let shape = definition.shape(x);
        let of = |integer| self.output.saturated(function(input.centred(integer)));
        if input.is_narrow() {
            let table = table(definition, input.dtype, self.output.dtype, of);
            definition.emit(self.output.dtype, &axes(&shape), &[], Reduce::Set, |at| {
                Expr::read(table, [entry(Index::of_read(x, at.to_vec()))])
            });
            return Ok(());
        }
        definition.emit(self.output.dtype, &axes(&shape), &[], Reduce::Set, |at| of(Expr::read(x, at)));
        Ok(())
    }
}

/// The number of values of an 8-bit type.
const VALUES: i64 = 256;

/// A table of a function of integers of the 8-bit type `from`.
pub(in crate::ops) fn table(
    definition: &mut Definition,
    from: DType,
    to: DType,
    function: impl FnOnce(Expr) -> Expr,
) -> TensorId {
    // Of a negative number the place is its bits, read without a sign.
    definition
        .builder
        .map("table", to, &[VALUES as usize], |at| function(Expr::from(at[0].clone()).cast(from)))
}

/// The same with exponentials and logarithms of single precision taken in double precision and rounded. Tables are computed once and
/// for all, as the framework's would be by a library that is as good as exact.
pub(in crate::ops) fn exact(function: Expr) -> Expr {
    function.rewrite(&mut |node| match node {
        Expr::Unary(operation @ (Unary::Exp | Unary::Log), x) => {
            x.cast(DType::F64).unary(operation).cast(DType::F32)
        }
        other => other,
    })
}

/// The place of an 8-bit integer in a table.
pub(in crate::ops) fn entry(integer: Index) -> Index {
    integer % VALUES
}
