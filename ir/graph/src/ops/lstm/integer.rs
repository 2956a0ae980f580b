//! A long short-term memory on integers, as TFLite's reference kernel computes it: 8-bit sequences and outputs, 16-bit gates and cells.
//! ```text
//! g[k] = (w[k]·(x - zero_x) + bias[k]) rescaled to Q3.12
//!      + (r[k]·(h - zero_h)) rescaled to Q3.12 + (p[k] * c) rescaled to Q3.12        saturated behind each
//! gate[k] = logistic(g[k]), or tanh(g[cell])                                         Q0.15
//! c = gate[forget] * c + gate[input] * gate[cell]                                    scale 2^e, saturated, clipped
//! hidden = (gate[output] * tanh(c)) rescaled + zero_hidden
//! h = (projection·(hidden - zero_hidden) + bias) rescaled + zero_h, clipped          or hidden itself
//! ```
//! Products of scales are rounded to single precision. What goes into a projection has its zero point subtracted where the rest of TFLite
//! adds it, which shows where it saturates; clipping an output does not know of its zero point.

use nablac_index::{Binary, Builder, DType, Expr, Index, Reduce, Rounding, TensorId};

use super::inputs::{CELL_STATE, Gate, Inputs, OUTPUT_STATE, PROJECTION, PROJECTION_BIAS};
use super::{Activation, Hidden, Lstm, over_time};
use crate::error::Error;
use crate::operator::Definition;
use crate::ops::quantized::{bias_fault, logistic, tanh};
use crate::ops::requantize::{Fixed, centred, fixed_rounding, integer, saturated, uniform};

/// Bits before and behind the point of what gates are functions of.
const GATE_INTEGER_BITS: i64 = 3;
const GATE_SCALE: f32 = 1.0 / 4096.0;

/// The least and the largest scale of cells, as powers of two.
const CELL_EXPONENTS: [i64; 2] = [-15, -9];

pub(super) fn define(layer: &Lstm, definition: &mut Definition) -> Result<(), Error> {
    let inputs = Inputs::new(definition, layer.time_major)?;
    let step = Step::new(layer, definition, &inputs)?;
    over_time(definition, &inputs, |builder, time, states| step.write(builder, time, states))
}

/// A sum of products that starts from a constant: the bias, less what the zero point adds.
struct Product {
    weights: TensorId,
    start: TensorId,
    factor: Fixed,
}

/// What a gate is computed from.
struct Sums {
    input: Product,
    recurrent: Product,
    peephole: Option<(TensorId, Fixed)>,
}

struct Step<'a> {
    inputs: &'a Inputs,
    rounding: Rounding,
    x: TensorId,
    input: Option<Sums>,
    forget: Sums,
    cell: Sums,
    output: Sums,
    cell_exponent: i64,
    cell_clip: i64,
    hidden: Fixed,
    hidden_zero: i64,
    projection: Option<Product>,
    output_zero: i64,
    output_clip: i64,
}

impl<'a> Step<'a> {
    fn new(layer: &Lstm, definition: &mut Definition, inputs: &'a Inputs) -> Result<Step<'a>, Error> {
        let rounding = supported(layer, definition, inputs)?;
        let x = definition.input(0)?;
        let scales = Scales::new(layer, definition)?;
        let cell_exponent = scales.cell_exponent(definition)?;
        let input = match inputs.is_coupled() {
            true => None,
            false => Some(scales.sums(definition, inputs, Gate::Input)?),
        };
        let [forget, cell, output] = [Gate::Forget, Gate::Cell, Gate::Output];
        let forget = scales.sums(definition, inputs, forget)?;
        let cell = scales.sums(definition, inputs, cell)?;
        let output = scales.sums(definition, inputs, output)?;
        let product = 2f64.powi(-15) / f64::from(scales.hidden.scale) * 2f64.powi(-15);
        Ok(Step {
            inputs,
            rounding,
            x,
            input,
            forget,
            cell,
            output,
            cell_exponent,
            cell_clip: limit(layer.cell_clip, scales.cell, DType::I16),
            hidden: Fixed::of(f64::from(product as f32)),
            hidden_zero: scales.hidden.zero_point,
            projection: scales.projection(definition, inputs)?,
            output_zero: scales.h.1,
            output_clip: limit(layer.projection_clip, scales.h.0, DType::I8),
        })
    }

    fn cells(&self) -> [usize; 2] {
        [self.inputs.batch, self.inputs.cells]
    }

    fn write(&self, builder: &mut Builder, time: &Index, [h, c]: [TensorId; 2]) -> [TensorId; 2] {
        let forget = self.gate(builder, Gate::Forget, &self.forget, time, h, c);
        let new = self.gate(builder, Gate::Cell, &self.cell, time, h, c);
        let input = self.input.as_ref().map(|sums| self.gate(builder, Gate::Input, sums, time, h, c));
        let cell = builder.map("cells", DType::I16, &self.cells(), |at| {
            let read = |tensor: TensorId| Expr::read(tensor, at).cast(DType::I32);
            let kept = (read(forget) * read(c)).binary(Binary::ShrRound, integer(15));
            let opened = input.map_or(integer(32767) - read(forget), read);
            let added =
                (opened * read(new)).binary(Binary::ShrRound, integer(30 + self.cell_exponent));
            clipped(saturated(kept + added, DType::I16, 0), self.cell_clip, DType::I16)
        });
        let gate = self.gate(builder, Gate::Output, &self.output, time, h, cell);
        let activated = tanh(builder, cell, 15 + self.cell_exponent);
        let product = |at: &[Index]| {
            let [a, b] = [gate, activated].map(|tensor| Expr::read(tensor, at).cast(DType::I32));
            self.hidden.apply(self.rounding, a * b)
        };
        let Some(projection) = &self.projection else {
            let hidden = builder.map("hidden", DType::I8, &self.cells(), |at| {
                saturated(product(at), DType::I8, self.hidden_zero)
            });
            return [hidden, cell];
        };
        let hidden = builder.map("hidden", DType::I8, &self.cells(), |at| {
            saturated(product(at), DType::I8, -self.hidden_zero)
        });
        let extents = (self.inputs.outputs, self.inputs.cells);
        let sum = self.product(builder, "projected", projection, extents, |at| {
            Expr::read(hidden, [at[0].clone(), at[2].clone()])
        });
        let output = builder.map("output", DType::I8, &[self.inputs.batch, self.inputs.outputs], |at| {
            let steps = projection.factor.apply(self.rounding, Expr::read(sum, at));
            clipped(saturated(steps, DType::I8, self.output_zero), self.output_clip, DType::I8)
        });
        [output, cell]
    }

    fn gate(
        &self,
        builder: &mut Builder,
        gate: Gate,
        sums: &Sums,
        time: &Index,
        h: TensorId,
        c: TensorId,
    ) -> TensorId {
        let name = gate.name();
        let extents = (self.inputs.cells, self.inputs.features);
        let of_input = self.product(builder, &format!("{name}_of_x"), &sums.input, extents, |at| {
            Expr::read(self.x, self.inputs.place(&at[0], time, &at[2]))
        });
        let extents = (self.inputs.cells, self.inputs.outputs);
        let of_output = self.product(builder, &format!("{name}_of_h"), &sums.recurrent, extents, |at| {
            Expr::read(h, [at[0].clone(), at[2].clone()])
        });
        let inside = |sum: Expr| saturated(sum, DType::I16, 0);
        let sum = builder.map(name, DType::I16, &self.cells(), |at| {
            let first = sums.input.factor.apply(self.rounding, Expr::read(of_input, at));
            let second = sums.recurrent.factor.apply(self.rounding, Expr::read(of_output, at));
            let both = inside(inside(first).cast(DType::I32) + second);
            let Some((weights, factor)) = &sums.peephole else { return both };
            let product = Expr::read(*weights, [at[1].clone()]).cast(DType::I32)
                * Expr::read(c, at).cast(DType::I32);
            inside(both.cast(DType::I32) + factor.apply(self.rounding, product))
        });
        match gate {
            Gate::Cell => tanh(builder, sum, GATE_INTEGER_BITS),
            _ => logistic(builder, sum, GATE_INTEGER_BITS),
        }
    }

    /// `sum[b, n] = start[n]`, and `sum[b, n] += vector[b, i] * weights[n, i]`, over `n` and `i` of these extents.
    fn product(
        &self,
        builder: &mut Builder,
        name: &str,
        product: &Product,
        (rows, columns): (usize, usize),
        vector: impl FnOnce(&[Index]) -> Expr,
    ) -> TensorId {
        let space = [("b", self.inputs.batch), ("n", rows)];
        let sum = builder.local(name, DType::I32, &[self.inputs.batch, rows]);
        builder.write(sum, Reduce::Set, &space, |at| {
            (at.to_vec(), Expr::read(product.start, [at[1].clone()]))
        });
        builder.write(sum, Reduce::Sum, &[&space[..], &[("i", columns)]].concat(), |at| {
            let weight = Expr::read(product.weights, [at[1].clone(), at[2].clone()]);
            (at[..2].to_vec(), centred(vector(at), 0) * centred(weight, 0))
        });
        sum
    }
}

/// Scales and zero points of what is not a weight.
struct Scales {
    x: (f32, i64),
    h: (f32, i64),
    cell: f32,
    hidden: Hidden,
}

impl Scales {
    fn new(layer: &Lstm, definition: &Definition) -> Result<Scales, Error> {
        let (x, h, cell) =
            (scale(definition, 0)?, scale(definition, OUTPUT_STATE)?, scale(definition, CELL_STATE)?);
        let y = definition.quantized_output(0).and_then(|output| output.quantization.uniform());
        definition.require(y == Some(h), || "its output and the state of it differ in scale or zero point".into())?;
        let hidden = layer.hidden.ok_or_else(|| {
            definition.malformed("the scale of its hidden state is missing: its fifth intermediate tensor has it")
        })?;
        Ok(Scales { x, h, cell: cell.0, hidden })
    }

    /// The power of two that the scale of cells is.
    fn cell_exponent(&self, definition: &Definition) -> Result<i64, Error> {
        let exponent = self.cell.log2().round();
        let [least, most] = CELL_EXPONENTS.map(|exponent| exponent as f32);
        if exponent.exp2() != self.cell || !(least..=most).contains(&exponent) {
            let reason = format!("cells of scale {}: powers of two from 2^-15 to 2^-9 are known", self.cell);
            return Err(definition.unsupported(reason));
        }
        Ok(exponent as i64)
    }

    fn sums(&self, definition: &mut Definition, inputs: &Inputs, gate: Gate) -> Result<Sums, Error> {
        let bias = inputs.get(gate.bias());
        let (w, r) = (weight_scale(definition, gate.weights())?, weight_scale(definition, gate.recurrent())?);
        check_bias(definition, gate.bias(), w, self.x.0)?;
        let peephole = match gate.peephole().and_then(|p| inputs.get(p).map(|id| (p, id))) {
            None => None,
            Some((position, id)) => {
                Some((id, factor([self.cell, weight_scale(definition, position)?], GATE_SCALE)))
            }
        };
        let name = |what: &str| format!("{}_{what}", gate.name());
        let start = start(definition, &name("bias"), gate.weights(), bias, -self.x.1)?;
        let input = Product { start, ..product(definition, gate.weights(), factor([w, self.x.0], GATE_SCALE))? };
        let start = self::start(definition, &name("offset"), gate.recurrent(), None, -self.h.1)?;
        let own = product(definition, gate.recurrent(), factor([r, self.h.0], GATE_SCALE))?;
        Ok(Sums { input, recurrent: Product { start, ..own }, peephole })
    }

    fn projection(&self, definition: &mut Definition, inputs: &Inputs) -> Result<Option<Product>, Error> {
        if !inputs.is_projected() {
            return Ok(None);
        }
        let weights = weight_scale(definition, PROJECTION)?;
        check_bias(definition, PROJECTION_BIAS, weights, self.hidden.scale)?;
        let bias = inputs.get(PROJECTION_BIAS);
        // The zero point was subtracted where it is added elsewhere.
        let start = start(definition, "projection_bias", PROJECTION, bias, self.hidden.zero_point)?;
        let own = product(definition, PROJECTION, factor([weights, self.hidden.scale], self.h.0))?;
        Ok(Some(Product { start, ..own }))
    }
}

/// `a * b / unit` in single precision, as a fixed-point number.
fn factor([a, b]: [f32; 2], unit: f32) -> Fixed {
    Fixed::of(f64::from(a * b / unit))
}

/// A product with the weights of input `position`; its start is not known yet.
fn product(definition: &Definition, position: usize, factor: Fixed) -> Result<Product, Error> {
    let weights = definition.input(position)?;
    Ok(Product { weights, start: weights, factor })
}

/// `start[n] = bias[n]`, and `start[n] += weights[n, i] * offset`: known at compile time.
fn start(
    definition: &mut Definition,
    name: &str,
    weights: usize,
    bias: Option<TensorId>,
    offset: i64,
) -> Result<TensorId, Error> {
    let weights = definition.input(weights)?;
    let shape = definition.shape(weights);
    let (rows, columns) = (("n", shape[0]), ("i", shape[1]));
    let builder = &mut definition.builder;
    let start = builder.local(name, DType::I32, &shape[..1]);
    if let Some(bias) = bias {
        builder.write(start, Reduce::Set, &[rows], |at| (at.to_vec(), Expr::read(bias, at)));
    }
    builder.write(start, Reduce::Sum, &[rows, columns], |at| {
        (at[..1].to_vec(), centred(Expr::read(weights, at), 0) * integer(offset))
    });
    Ok(start)
}

fn scale(definition: &Definition, position: usize) -> Result<(f32, i64), Error> {
    let own = definition.quantization(position);
    let own = own.ok_or_else(|| definition.malformed(format!("input {position} has no scale")))?;
    uniform(own).map_err(|fault| definition.unsupported(fault))
}

fn weight_scale(definition: &Definition, position: usize) -> Result<f32, Error> {
    let (scale, zero_point) = scale(definition, position)?;
    definition.require(zero_point == 0, || format!("input {position}, weights, has zero point {zero_point}"))?;
    Ok(scale)
}

/// A bias has the scale of the product that it is added to.
fn check_bias(definition: &Definition, position: usize, weights: f32, vector: f32) -> Result<(), Error> {
    let unit = f64::from(weights) * f64::from(vector);
    match definition.quantization(position).and_then(|bias| bias_fault(bias, &[unit])) {
        Some(fault) => Err(definition.malformed(format!("input {position}: {fault}"))),
        None => Ok(()),
    }
}

/// What there is an integer form of.
fn supported(layer: &Lstm, definition: &Definition, inputs: &Inputs) -> Result<Rounding, Error> {
    if inputs.is_normalized() {
        return Err(definition.unsupported("layer normalization in its integer form: keep the layer in float"));
    }
    if layer.activation != Activation::Tanh {
        return Err(definition.unsupported("its integer form with an activation other than TANH"));
    }
    if inputs.has_peepholes() && inputs.cells != inputs.outputs {
        let reason = "its integer form with weights for the cells and a projection to another size, where TFLite's kernel \
                      reads the cells of other rows";
        return Err(definition.unsupported(reason));
    }
    let is_peephole = |position| (9..=11).contains(&position);
    let is_bias = |position| (12..=15).contains(&position) || position == PROJECTION_BIAS;
    let narrow = |position: usize| position <= 8 || position == PROJECTION || position == OUTPUT_STATE;
    let known = inputs.are(definition, DType::I8, narrow)
        && inputs.are(definition, DType::I16, |p| is_peephole(p) || p == CELL_STATE)
        && inputs.are(definition, DType::I32, is_bias);
    let rounding = definition.requantization().and_then(fixed_rounding);
    rounding.filter(|_| known).ok_or_else(|| {
        definition.unsupported("an integer form other than TFLite's, in fixed point for i8 with cells of i16")
    })
}

/// A limit as a number of steps, truncated; 0 for none.
fn limit(real: f32, scale: f32, dtype: DType) -> i64 {
    let most = nablac_index::largest(dtype) as f32;
    if real > 0.0 { (real / scale).min(most) as i64 } else { 0 }
}

fn clipped(value: Expr, limit: i64, dtype: DType) -> Expr {
    let bound = |x| Expr::integer(dtype, x);
    if limit > 0 { value.max(bound(-limit)).min(bound(limit)) } else { value }
}
