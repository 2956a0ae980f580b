//! A long short-term memory on reals.

use nablac_index::{Builder, DType, Expr, Index, Reduce, TensorId, Unary};

use super::inputs::{Gate, Inputs, PROJECTION, PROJECTION_BIAS};
use super::{Activation, Lstm, over_time};
use crate::error::Error;
use crate::operator::Definition;

/// Keeps the inverse of a deviation finite, as TFLite does.
const EPSILON: f64 = 1e-8;

pub(super) fn define(layer: &Lstm, definition: &mut Definition) -> Result<(), Error> {
    let inputs = Inputs::new(definition, layer.time_major)?;
    let x = definition.input(0)?;
    let dtype = definition.dtype(x);
    let real = dtype.is_float() && inputs.are(definition, dtype, |_| true);
    definition.require(real, || "its inputs are not of one type of reals".into())?;
    let step = Step { layer, inputs: &inputs, x, dtype };
    over_time(definition, &inputs, |builder, time, states| step.write(builder, time, states))
}

struct Step<'a> {
    layer: &'a Lstm,
    inputs: &'a Inputs,
    x: TensorId,
    dtype: DType,
}

impl Step<'_> {
    fn number(&self, x: f64) -> Expr {
        Expr::literal(self.dtype, x)
    }

    fn cells(&self) -> [usize; 2] {
        [self.inputs.batch, self.inputs.cells]
    }

    fn write(&self, builder: &mut Builder, time: &Index, [h, c]: [TensorId; 2]) -> [TensorId; 2] {
        let gates: Vec<TensorId> =
            self.inputs.gates().into_iter().map(|gate| self.gate(builder, gate, time, h, c)).collect();
        let cell = builder.map("cells", self.dtype, &self.cells(), |at| {
            let [forget, new] = [gates[0], gates[1]].map(|gate| Expr::read(gate, at));
            let input = match gates.get(2) {
                Some(input) => Expr::read(*input, at),
                None => self.number(1.0) - forget.clone(),
            };
            self.clipped(forget * Expr::read(c, at) + input * new, self.layer.cell_clip)
        });
        let gate = self.gate(builder, Gate::Output, time, h, cell);
        let hidden = builder.map("hidden", self.dtype, &self.cells(), |at| {
            Expr::read(gate, at) * self.activated(Expr::read(cell, at))
        });
        [self.projected(builder, hidden), cell]
    }

    fn gate(&self, builder: &mut Builder, gate: Gate, time: &Index, h: TensorId, c: TensorId) -> TensorId {
        let name = gate.name();
        let x = |at: &[Index]| Expr::read(self.x, self.inputs.place(&at[0], time, &at[2]));
        let of_input = self.product(builder, &format!("{name}_of_x"), gate.weights(), self.inputs.features, x);
        let h = |at: &[Index]| Expr::read(h, [at[0].clone(), at[2].clone()]);
        let of_output = self.product(builder, &format!("{name}_of_h"), gate.recurrent(), self.inputs.outputs, h);
        let bias = self.inputs.get(gate.bias());
        let sum = |at: &[Index]| {
            let sum = Expr::read(of_input, at) + Expr::read(of_output, at);
            match gate.peephole().and_then(|position| self.inputs.get(position)) {
                Some(weights) => sum + Expr::read(weights, [at[1].clone()]) * Expr::read(c, at),
                None => sum,
            }
        };
        let biased = |sum: Expr, at: &[Index]| match bias {
            Some(bias) => sum + Expr::read(bias, [at[1].clone()]),
            None => sum,
        };
        let act = |x: Expr| match gate {
            Gate::Cell => self.activated(x),
            _ => self.number(1.0) / (self.number(1.0) + (-x).unary(Unary::Exp)),
        };
        let Some(coefficients) = self.inputs.get(gate.normalization()) else {
            return builder.map(name, self.dtype, &self.cells(), |at| act(biased(sum(at), at)));
        };
        let sums = builder.map(&format!("{name}_sum"), self.dtype, &self.cells(), sum);
        let [mean, square] = self.moments(builder, name, sums);
        builder.map(name, self.dtype, &self.cells(), |at| {
            let lead = [at[0].clone()];
            let deviation = (Expr::read(square, lead.clone()) + self.number(EPSILON)).unary(Unary::Sqrt);
            let normal = (Expr::read(sums, at) - Expr::read(mean, lead)) / deviation;
            act(biased(normal * Expr::read(coefficients, [at[1].clone()]), at))
        })
    }

    /// The mean over the cells, and the mean square of what differs from it.
    fn moments(&self, builder: &mut Builder, name: &str, sums: TensorId) -> [TensorId; 2] {
        let (space, over) = ([("b", self.inputs.batch)], [("n", self.inputs.cells)]);
        let share = || self.number(1.0 / self.inputs.cells.max(1) as f64);
        let mean = builder.emit(&format!("{name}_mean"), self.dtype, &space, &over, Reduce::Sum, |at| {
            Expr::read(sums, at) * share()
        });
        let square = builder.emit(&format!("{name}_variance"), self.dtype, &space, &over, Reduce::Sum, |at| {
            let off = Expr::read(sums, at) - Expr::read(mean, [at[0].clone()]);
            off.clone() * off * share()
        });
        [mean, square]
    }

    /// `sum[b, n] += vector[b, i] * weights[n, i]`.
    fn product(
        &self,
        builder: &mut Builder,
        name: &str,
        weights: usize,
        extent: usize,
        vector: impl FnOnce(&[Index]) -> Expr,
    ) -> TensorId {
        let space = [("b", self.inputs.batch), ("n", self.inputs.cells)];
        let weights = self.inputs.get(weights);
        builder.emit(name, self.dtype, &space, &[("i", extent)], Reduce::Sum, |at| {
            let weight = weights.map(|w| Expr::read(w, [at[1].clone(), at[2].clone()]));
            vector(at) * weight.unwrap_or(self.number(0.0))
        })
    }

    fn projected(&self, builder: &mut Builder, hidden: TensorId) -> TensorId {
        let Some(weights) = self.inputs.get(PROJECTION) else { return hidden };
        let space = [("b", self.inputs.batch), ("o", self.inputs.outputs)];
        let over = [("n", self.inputs.cells)];
        let sum = builder.emit("projected", self.dtype, &space, &over, Reduce::Sum, |at| {
            Expr::read(hidden, [at[0].clone(), at[2].clone()])
                * Expr::read(weights, [at[1].clone(), at[2].clone()])
        });
        builder.map("output", self.dtype, &[self.inputs.batch, self.inputs.outputs], |at| {
            let sum = Expr::read(sum, at);
            let biased = match self.inputs.get(PROJECTION_BIAS) {
                Some(bias) => sum + Expr::read(bias, [at[1].clone()]),
                None => sum,
            };
            self.clipped(biased, self.layer.projection_clip)
        })
    }

    fn clipped(&self, x: Expr, limit: f32) -> Expr {
        match limit > 0.0 {
            true => x.max(self.number(-f64::from(limit))).min(self.number(f64::from(limit))),
            false => x,
        }
    }

    fn activated(&self, x: Expr) -> Expr {
        match self.layer.activation {
            Activation::Relu => x.max(self.number(0.0)),
            Activation::Relu6 => x.max(self.number(0.0)).min(self.number(6.0)),
            Activation::Tanh => x.unary(Unary::Tanh),
        }
    }
}
