//! The integer meaning of an operator, from the class of its statements.
//!
//! The law is written for reals, in a program of its own, and each statement is carried over:
//! - what only moves elements, or picks the largest or smallest, works on integers as it does on reals, where scales agree;
//! - a sum of products of quantized elements accumulates `(x - zero_x) * (w - zero_w)` in integers, and is requantized;
//! - anything else computes on the reals that the integers stand for. Where the convention is fixed-point, that is allowed for
//!   functions of one 8-bit element only: TFLite has tables for them.

use std::cell::Cell;
use std::collections::BTreeMap;

use nablac_index::{
    Access, Binary, Builder, DType, Expr, Index, LoopId, Reduce, Role, Statement, Step, TensorId, Value,
    largest, smallest,
};

use super::requantize::{Accumulated, Rescaling, centred, quantized_bound, saturated, uniform};
use crate::error::Error;
use crate::graph::Quantized;
use crate::operator::Definition;
use crate::quantization::{Quantization, Requantization};

mod addition;
mod computed;
mod fixed_point;
mod functions;
mod interpolation;
mod single_precision;
mod softmax;
mod softmax_wide;
mod sum;

pub(super) use addition::{Combination, addition, check_scales};
pub(super) use fixed_point::{FixedPoint, Scaled, entry, table};
pub(super) use functions::{logistic, tanh};
pub(super) use interpolation::{Curve, Sigmoidal, sigmoid_curve};
pub(super) use single_precision::product;
pub(super) use softmax::softmax;
pub(super) use sum::bias_fault;

/// An operator's law.
pub type Law<'a> = &'a dyn Fn(&mut Definition) -> Result<(), Error>;

/// Defines an operator on quantized values by its law on reals.
pub fn derive(definition: &mut Definition, law: Law) -> Result<(), Error> {
    let Some(requantization) = definition.requantization() else {
        return Err(definition.unsupported("it is not quantized"));
    };
    let real = RealLaw::new(definition, law)?;
    let plain = |(o, id): (usize, &TensorId)| {
        real.program.dtype(*id).is_float() && definition.quantized_output(o).is_none()
    };
    if real.outputs.iter().enumerate().any(plain) {
        return match requantization.is_fixed() {
            true => Err(definition.malformed("its input is quantized, but its output has no scale")),
            false => real.compute(definition, requantization),
        };
    }
    match real.common(definition) {
        Some(common) if real.moves() => real.move_integers(definition, &common, &real.own_tensors()),
        None if real.moves() && requantization.is_fixed() => {
            real.rescale_and_move(definition, requantization)
        }
        _ => real.compute(definition, requantization),
    }
}

/// An operator's law for reals, and which of its tensors stand for which of the node's.
struct RealLaw {
    statements: Vec<Statement>,
    program: nablac_index::Program,
    outputs: Vec<TensorId>,
    /// The node's own tensors, by those of the law; with their quantization if the law sees reals in their place.
    inputs: BTreeMap<TensorId, (TensorId, Option<Quantization>)>,
}

/// What a tensor of the law is in the node's program.
#[derive(Clone, Debug)]
enum Meaning {
    /// As the law has it.
    Plain(TensorId),
    /// Integers of a type, which stand for reals.
    Quantized(TensorId, DType, Quantization),
}

impl Meaning {
    fn tensor(&self) -> TensorId {
        match self {
            Meaning::Plain(own) | Meaning::Quantized(own, ..) => *own,
        }
    }
}

/// The meanings of the law's tensors, as far as they are known.
type Meanings = BTreeMap<TensorId, Meaning>;

impl RealLaw {
    fn new(definition: &mut Definition, law: Law) -> Result<RealLaw, Error> {
        let mut builder = Builder::new(definition.node);
        let mut inputs = BTreeMap::new();
        let mut own = vec![];
        for (position, &input) in definition.inputs().iter().enumerate() {
            let Some(id) = input else {
                own.push(None);
                continue;
            };
            let quantization = definition.quantization(position).cloned();
            let dtype = if quantization.is_some() { DType::F32 } else { definition.dtype(id) };
            let role = match &definition.builder.program().tensor(id).role {
                Role::Constant(array) if quantization.is_none() => Role::Constant(array.clone()),
                _ => Role::Input,
            };
            let real = builder.tensor(&format!("x{position}"), dtype, &definition.shape(id), role);
            inputs.insert(real, (id, quantization));
            own.push(Some(real));
        }
        let mut real = Definition {
            builder: &mut builder,
            node: definition.node,
            operator: definition.operator,
            inputs: own,
            outputs: vec![],
            regions: definition.regions,
            has_read_regions: Cell::new(false),
            quantized: None,
        };
        law(&mut real)?;
        let outputs = real.outputs;
        let program = builder.finish();
        let mut statements = vec![];
        for step in &program.steps {
            match step {
                Step::Statement(statement) => statements.push(statement.clone()),
                _ => {
                    return Err(
                        definition.unsupported("control flow around quantized values is not supported")
                    );
                }
            }
        }
        Ok(RealLaw { statements, program, outputs, inputs })
    }

    /// Whether the law does nothing but move elements, or pick the largest or smallest.
    fn moves(&self) -> bool {
        self.statements.iter().all(|statement| {
            let picks = matches!(statement.reduce, Reduce::Set | Reduce::Min | Reduce::Max | Reduce::ArgMax);
            picks && self.is_move(&statement.body)
        })
    }

    fn is_move(&self, body: &Expr) -> bool {
        match body {
            Expr::Literal(..) => true,
            Expr::Read(access) => match self.inputs.get(&access.tensor) {
                Some((_, None)) if self.program.dtype(access.tensor).is_float() => {
                    self.number(access).is_some()
                }
                _ => true,
            },
            Expr::Binary(Binary::Min | Binary::Max, a, b) => self.is_move(a) && self.is_move(b),
            Expr::Select(abc) => {
                let real = abc[0].accesses().iter().any(|a| self.program.dtype(a.tensor).is_float());
                !real && self.is_move(&abc[1]) && self.is_move(&abc[2])
            }
            // Positions, which some laws compute beside the values.
            other => !self.program.type_of(other).is_float() && other.accesses().is_empty(),
        }
    }

    /// The element of a constant that has only one.
    fn number(&self, access: &Access) -> Option<Value> {
        match &self.program.tensor(access.tensor).role {
            Role::Constant(array) if array.len() == 1 => Some(array.get(0)),
            _ => None,
        }
    }

    /// What all quantized inputs and outputs are quantized as, if they are all alike.
    fn common(&self, definition: &Definition) -> Option<Quantized> {
        let own = |(id, q): &(TensorId, Option<Quantization>)| {
            q.clone().map(|quantization| Quantized { dtype: definition.dtype(*id), quantization })
        };
        let outputs = (0..self.outputs.len()).filter_map(|o| definition.quantized_output(o).cloned());
        let mut all = self.inputs.values().filter_map(own).chain(outputs);
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }

    fn own_tensors(&self) -> BTreeMap<TensorId, TensorId> {
        self.inputs.iter().map(|(real, (own, _))| (*real, *own)).collect()
    }

    /// A function of one input, on integers that are brought to the scale of the output first.
    fn rescale_and_move(
        &self,
        definition: &mut Definition,
        requantization: Requantization,
    ) -> Result<(), Error> {
        let mut quantized =
            self.inputs.iter().filter_map(|(real, (own, q))| q.clone().map(|q| (*real, *own, q)));
        let (Some((real, own, input)), None, Some(output)) =
            (quantized.next(), quantized.next(), definition.quantized_output(0).cloned())
        else {
            let problem = "it moves integers between different scales: requantize its inputs to the scale of its output";
            return Err(definition.unsupported(problem));
        };
        let shape = definition.shape(own);
        // TFLite's kernels take the quotient in single precision.
        let rescaled = rescale(definition, own, &input, requantization, &output, DType::F32)?;
        let rescaled =
            definition.builder.map("rescaled", output.dtype, &shape, |at| rescaled(Expr::read(own, at)));
        let mut tensors = self.own_tensors();
        tensors.insert(real, rescaled);
        self.move_integers(definition, &output, &tensors)
    }

    /// The law with integers in the place of reals.
    fn move_integers(
        &self,
        definition: &mut Definition,
        common: &Quantized,
        inputs: &BTreeMap<TensorId, TensorId>,
    ) -> Result<(), Error> {
        let dtype = common.dtype;
        let (scale, zero_point) =
            uniform(&common.quantization).map_err(|fault| definition.unsupported(fault))?;
        let even = definition.requantization() == Some(Requantization::F32);
        let number = |value: Value| match value {
            Value::Int(_) => value,
            real => Value::Int(quantized_bound(real.as_f64() as f32, dtype, scale, zero_point, even)),
        };
        let mut ids = inputs.clone();
        for (id, tensor) in self.program.tensors().filter(|(id, _)| !inputs.contains_key(id)) {
            let own = if tensor.dtype == DType::F32 { dtype } else { tensor.dtype };
            let place = match &tensor.role {
                Role::Constant(array) => definition.builder.constant(&tensor.name, array.clone()),
                _ => definition.builder.local(self.name(id, &tensor.name), own, &tensor.shape),
            };
            ids.insert(id, place);
        }
        for statement in &self.statements {
            let of = |id: TensorId| ids[&id];
            let real = |access: &Access| self.program.dtype(access.tensor).is_float();
            let body = |body: Expr| {
                body.rewrite(&mut |node| match node {
                    Expr::Literal(DType::F32, value) => Expr::Literal(dtype, number(value)),
                    Expr::Read(access) => match self.number(&access).filter(|_| real(&access)) {
                        Some(value) => Expr::Literal(dtype, number(value)),
                        None => Expr::Read(renamed(access, &of, &number)),
                    },
                    Expr::Index(index) => Expr::Index(index.map_tensors(&of)),
                    other => other,
                })
            };
            write(definition.builder, statement, of(statement.out), &of, body);
        }
        self.outputs.iter().for_each(|id| definition.output(ids[id]));
        Ok(())
    }

    /// What a tensor of the law is called in the node's program: outputs bear the node's name.
    fn name<'n>(&self, id: TensorId, name: &'n str) -> &'n str {
        if self.outputs.first() == Some(&id) { "" } else { name }
    }
}

/// The step from the integers of `input`, of which there may be as many as its type has values, to those of `output`; the quotient
/// of their scales is taken in `precision`.
pub(super) fn rescale(
    definition: &mut Definition,
    tensor: TensorId,
    input: &Quantization,
    requantization: Requantization,
    output: &Quantized,
    precision: DType,
) -> Result<impl Fn(Expr) -> Expr + use<>, Error> {
    let of = |q: &Quantization| uniform(q).map_err(|fault| definition.unsupported(fault));
    let ((from, from_zero), (to, to_zero)) = (of(input)?, of(&output.quantization)?);
    let own = definition.dtype(tensor);
    let bound = (largest(own) - smallest(own)) as f64;
    let (from, unit) = match precision {
        DType::F32 if requantization.is_fixed() => (f64::from(from / to), 1.0),
        _ => (f64::from(from), to),
    };
    let accumulated = Accumulated { dtype: DType::I32, bound, scales: vec![from] };
    let ends = [smallest(output.dtype) - to_zero, largest(output.dtype) - to_zero];
    let rescaling = Rescaling::new(definition.builder, &accumulated, requantization, unit, ends);
    let dtype = output.dtype;
    Ok(move |x: Expr| saturated(rescaling.apply(centred(x, from_zero), &Index::constant(0)), dtype, to_zero))
}

/// An access with its tensors renamed, and what stands beyond the edges turned into `number`.
pub(super) fn renamed(
    access: Access,
    of: &dyn Fn(TensorId) -> TensorId,
    number: &dyn Fn(Value) -> Value,
) -> Access {
    Access {
        tensor: of(access.tensor),
        at: access.at.iter().map(|index| index.map_tensors(of)).collect(),
        outside: access.outside.map(number),
    }
}

/// Writes a statement of a law into the node's program, with another output and body.
pub(super) fn write(
    builder: &mut Builder,
    statement: &Statement,
    out: TensorId,
    of: &dyn Fn(TensorId) -> TensorId,
    body: impl FnOnce(Expr) -> Expr,
) {
    let loops: Vec<(&str, usize)> = statement.loops.iter().map(|l| (l.name.as_str(), l.extent)).collect();
    builder.write(out, statement.reduce, &loops, |loops| {
        let value = |id: LoopId| loops[id.0 as usize].clone();
        let at = statement.at.iter().map(|index| index.map_tensors(of).substitute(&value)).collect();
        (at, body(statement.body.clone()).substitute(&value))
    });
}
