//! A long short-term memory over a sequence; `h` and `c` are states that outlive it.
//! ```text
//! gate[k](t) = s[k](w[k]·x(t) + r[k]·h + p[k] * c + bias[k])         for the input, forget, cell and output gates k
//! c = gate[forget] * c + gate[input] * gate[cell]                    clipped
//! h = gate[output] * activation(c)                                   or, clipped: projection·h + projection bias
//! y(t) = h
//! ```
//! `s` is the logistic function, and the activation for the cell gate; `p` and the projection may be missing, and so may the input
//! gate, which is then what the forget gate leaves. The output gate sees the new `c`. Normalized gates are brought to mean 0 and
//! deviation 1 over the cells, and scaled, before the bias is added. The integer form is `integer`'s.

use nablac_index::{Builder, Index, Reduce, TensorId};
use serde::{Deserialize, Serialize};

use super::repetition::repeat;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, tflite};

use inputs::{CELL_STATE, COUNT, Inputs, OUTPUT_STATE};

mod inputs;
mod integer;
mod real;

/// What is done to cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// The hyperbolic tangent.
    Tanh,
}

/// How the integers that go into a projection stand for reals.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hidden {
    /// The scale.
    pub scale: f32,
    /// The zero point.
    pub zero_point: i64,
}

/// The layer. Its inputs are those of TFLite's operator: the sequence; four times weights for it; four times recurrent weights;
/// three times weights for the cells; four biases; weights and bias of the projection; the states; and four times coefficients of layer
/// normalization. The outputs are the sequence of outputs, and the next states.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lstm {
    /// Whether time, not the batch, is the first axis of the sequence.
    pub time_major: bool,
    /// Of the cells.
    pub activation: Activation,
    /// What cells are limited to, either way; 0 for no limit.
    pub cell_clip: f32,
    /// What projected outputs are limited to, either way; 0 for no limit.
    pub projection_clip: f32,
    /// What goes into a projection, or comes out where there is none; of the integer form.
    pub hidden: Option<Hidden>,
}

impl Operation for Lstm {
    const NAME: &'static str = "lstm";
    const SPELLINGS: &'static [Spelling] = &[tflite("UNIDIRECTIONAL_SEQUENCE_LSTM")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.int("diagonal_recurrent_tensors", 0)? != 0 {
            return Err(node.unsupported("recurrent weights that are diagonals: give them as matrices"));
        }
        let inputs: Vec<_> = (0..COUNT).map(|position| node.optional(position)).collect();
        let operator = Lstm {
            time_major: node.int("time_major", 0)? != 0,
            activation: activation(node)?,
            cell_clip: limit(node, "cell_clip")?,
            projection_clip: limit(node, "proj_clip")?,
            hidden: hidden(node)?,
        };
        let written = if node.is_quantized() {
            let states = [node.input(OUTPUT_STATE)?, node.input(CELL_STATE)?];
            let [h, c] = states.map(|state| node.quantized(state));
            node.add_quantized_with(operator, &inputs, &[node.quantized_output(0), h, c])?
        } else {
            node.add_with(operator, &inputs, vec![])?
        };
        node.set_state(OUTPUT_STATE, written[1])?;
        node.set_state(CELL_STATE, written[2])?;
        Ok(vec![written[0]])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        real::define(self, definition)
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        integer::define(self, definition)
    }
}

fn limit(node: &Reader, name: &str) -> Result<f32, Error> {
    let limit = node.float(name, 0.0)? as f32;
    if limit.is_finite() { Ok(limit) } else { Err(node.malformed(format!("`{name}` is {limit}"))) }
}

fn activation(node: &Reader) -> Result<Activation, Error> {
    match node.int("fused_activation_function", 0)? {
        // TFLite's kernel then takes what the cell gate gave for the cells.
        0 => Err(node.unsupported("cells without an activation: convert the model with TANH or RELU")),
        1 => Ok(Activation::Relu),
        3 => Ok(Activation::Relu6),
        4 => Ok(Activation::Tanh),
        other => Err(node.unsupported(format!("activation {other} of the cells; RELU, RELU6 and TANH are supported"))),
    }
}

/// The last of the tensors within the operator.
fn hidden(node: &Reader) -> Result<Option<Hidden>, Error> {
    const POSITION: usize = 4;
    let Some(quantization) = node.intermediate(POSITION).filter(|_| node.is_quantized()) else { return Ok(None) };
    if let Some(fault) = quantization.fault(nablac_index::DType::I8, &[]) {
        return Err(node.malformed(format!("its intermediate {POSITION} has {fault}")));
    }
    Ok(quantization.uniform().map(|(scale, zero_point)| Hidden { scale, zero_point }))
}

/// Repeats `step` for each time of the sequence. It is given the time, the output and the cells before, and gives the next ones.
fn over_time(
    definition: &mut Definition,
    inputs: &Inputs,
    step: impl FnOnce(&mut Builder, &Index, [TensorId; 2]) -> [TensorId; 2],
) -> Result<(), Error> {
    let states = [definition.input(OUTPUT_STATE)?, definition.input(CELL_STATE)?];
    let y = definition.builder.local("", definition.dtype(states[0]), &inputs.sequence());
    let last = repeat(definition, inputs.times, &states, |builder, time, states| {
        let [h, c] = step(builder, time, [states[0], states[1]]);
        let loops = [("b", inputs.batch), ("o", inputs.outputs)];
        builder.write(y, Reduce::Set, &loops, |at| {
            (inputs.place(&at[0], time, &at[1]), nablac_index::Expr::read(h, at))
        });
        Ok(vec![h, c])
    })?;
    definition.output(y);
    last.into_iter().for_each(|state| definition.output(state));
    Ok(())
}
