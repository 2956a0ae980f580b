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

use super::requantize::{
    Accumulated, Rescaling, centred, dequantized, quantized_bound, quantized_real, saturated, uniform,
};
use crate::error::Error;
use crate::graph::Quantized;
use crate::operator::Definition;
use crate::quantization::{Quantization, Requantization};

mod addition;
mod functions;
mod single_precision;
mod softmax;
mod sum;

pub(super) use addition::addition;
pub(super) use functions::{logistic, tanh};
pub(super) use single_precision::product;
pub(super) use softmax::softmax;
use sum::Sum;
pub(super) use sum::bias_fault;

/// How many values a byte has.
const BYTES: i64 = 256;

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
        let rescaled = rescale(definition, own, &input, requantization, &output)?;
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

    /// The law statement by statement: sums of products in integers, the rest on reals.
    fn compute(&self, definition: &mut Definition, requantization: Requantization) -> Result<(), Error> {
        let meaning = |(real, (own, quantization)): (&TensorId, &(TensorId, Option<Quantization>))| {
            let meaning = match quantization {
                None => Meaning::Plain(*own),
                Some(q) => Meaning::Quantized(*own, definition.dtype(*own), q.clone()),
            };
            (*real, meaning)
        };
        let mut meanings: Meanings = self.inputs.iter().map(meaning).collect();
        if let Some(only) = self.function_of_bytes(definition, &meanings) {
            return self.write_table(definition, only, &meanings, requantization);
        }
        if requantization.is_fixed() && !self.is_sum(&meanings) {
            return Err(definition.unsupported(
                "its integer form is not supported: convert the model with this operator in float",
            ));
        }
        let mut start: Option<&Statement> = None;
        for (position, statement) in self.statements.iter().enumerate() {
            let next = self.statements.get(position + 1).filter(|next| next.out == statement.out);
            if statement.reduce == Reduce::Set && next.is_some_and(|next| Sum::of(next, &meanings).is_some())
            {
                start = Some(statement);
                continue;
            }
            let sum = Sum::of(statement, &meanings);
            let meaning = match sum {
                None => Meaning::Plain(self.write_real(definition, statement, &meanings)?),
                Some(sum) => self.write_sum(definition, &sum, start.take(), &meanings, requantization)?,
            };
            meanings.insert(statement.out, meaning);
        }
        for (position, id) in self.outputs.iter().enumerate() {
            let own = match (meanings.get(id), definition.quantized_output(position).cloned()) {
                (Some(Meaning::Plain(real)), Some(output)) if definition.dtype(*real).is_float() => {
                    quantize(definition, *real, requantization, &output)?
                }
                (Some(meaning), _) => meaning.tensor(),
                (None, _) => return Err(definition.unsupported("nothing writes its output")),
            };
            definition.output(own);
        }
        Ok(())
    }

    /// Whether the law is a sum that is the output itself.
    fn is_sum(&self, meanings: &Meanings) -> bool {
        self.statements.iter().any(|s| Sum::of(s, meanings).is_some_and(|sum| sum.is_integer()))
            && self.statements.iter().all(|s| self.outputs.contains(&s.out))
    }

    /// The statement of a law that is a function of one 8-bit element, and of nothing else.
    fn function_of_bytes(&self, definition: &Definition, meanings: &Meanings) -> Option<&Statement> {
        let [only] = &self.statements[..] else { return None };
        let mut positions = false;
        only.body.visit(&mut |node| positions |= matches!(node, Expr::Index(_)));
        let accesses = only.accesses();
        let byte = |access: &&Access| match meanings.get(&access.tensor) {
            Some(Meaning::Quantized(_, dtype, quantization)) => {
                dtype.bytes() == 1 && quantization.uniform().is_some()
            }
            _ => self.number(access).is_some(),
        };
        let elements: Vec<&&Access> =
            accesses.iter().filter(|access| self.number(access).is_none()).collect();
        let one = !elements.is_empty()
            && elements.windows(2).all(|pair| pair[0] == pair[1])
            && elements.iter().all(|access| access.outside.is_none());
        let output = self.outputs == [only.out] && definition.quantized_output(0).is_some();
        (only.reduce == Reduce::Set && !positions && accesses.iter().all(byte) && one && output)
            .then_some(only)
    }

    /// `table[k] = law(k)` for every value of a byte, which is known at compile time, and then `y[…] = table[x[…]]`.
    fn write_table(
        &self,
        definition: &mut Definition,
        statement: &Statement,
        meanings: &Meanings,
        requantization: Requantization,
    ) -> Result<(), Error> {
        let accesses = statement.accesses();
        let element = accesses.iter().find(|access| self.number(access).is_none());
        let (Some(access), Some(output)) = (element, definition.quantized_output(0).cloned()) else {
            return Err(definition.unsupported("it reads nothing"));
        };
        let Some(Meaning::Quantized(own, dtype, quantization)) = meanings.get(&access.tensor) else {
            return Err(definition.unsupported("its input is not quantized"));
        };
        let of = |q: &Quantization| uniform(q).map_err(|fault| definition.unsupported(fault));
        let ((from, from_zero), (to, to_zero)) = (of(quantization)?, of(&output.quantization)?);
        let first = smallest(*dtype);
        let table = definition.builder.map("table", output.dtype, &[BYTES as usize], |at| {
            let x = Expr::Index(at[0].clone() + first - from_zero).cast(DType::F32) * Expr::f32(from);
            let real = statement.body.rewrite(&mut |node| match node {
                Expr::Read(access) => match self.number(&access) {
                    Some(value) => Expr::Literal(self.program.dtype(access.tensor), value),
                    None => x.clone(),
                },
                other => other,
            });
            quantized_real(real, requantization, output.dtype, to, to_zero)
        });
        let out = definition.builder.local("", output.dtype, self.program.shape(statement.out));
        let of = |id: TensorId| meanings.get(&id).map_or(out, Meaning::tensor);
        let at = access.at.iter().map(|index| index.map_tensors(&of)).collect();
        // The remainder changes nothing, and says that the index is inside.
        let place = (Index::of_read(*own, at) - first) % BYTES;
        write(definition.builder, statement, out, &of, |_| Expr::read(table, [place]));
        definition.output(out);
        Ok(())
    }

    /// A statement on reals: what it reads is dequantized on the way. Gives the tensor that it writes.
    fn write_real(
        &self,
        definition: &mut Definition,
        statement: &Statement,
        meanings: &Meanings,
    ) -> Result<TensorId, Error> {
        for access in statement.accesses() {
            if let Some(Meaning::Quantized(_, _, quantization)) = meanings.get(&access.tensor) {
                uniform(quantization).map_err(|fault| definition.unsupported(fault))?;
            }
        }
        let out = match meanings.get(&statement.out) {
            Some(Meaning::Plain(own)) => *own,
            _ => {
                let tensor = self.program.tensor(statement.out);
                let name = self.name(statement.out, &tensor.name);
                definition.builder.local(name, tensor.dtype, &tensor.shape)
            }
        };
        let of = |id: TensorId| meanings.get(&id).map_or(out, Meaning::tensor);
        write(definition.builder, statement, out, &of, |body| {
            body.rewrite(&mut |node| match node {
                Expr::Index(index) => Expr::Index(index.map_tensors(&of)),
                Expr::Read(access) => match meanings.get(&access.tensor) {
                    Some(Meaning::Quantized(_, dtype, quantization)) => {
                        let Some((scale, zero_point)) = quantization.uniform() else {
                            return Expr::Read(access); // refused above
                        };
                        let number = |value: Value| {
                            Value::Int(quantized_bound(
                                value.as_f64() as f32,
                                *dtype,
                                scale,
                                zero_point,
                                true,
                            ))
                        };
                        dequantized(Expr::Read(renamed(access, &of, &number)), scale, zero_point)
                    }
                    _ => Expr::Read(renamed(access, &of, &|value| value)),
                },
                other => other,
            })
        });
        Ok(out)
    }

    /// A sum in integers, at the scale of the output if it is one that is quantized; as reals otherwise.
    fn write_sum(
        &self,
        definition: &mut Definition,
        sum: &Sum,
        start: Option<&Statement>,
        meanings: &Meanings,
        requantization: Requantization,
    ) -> Result<Meaning, Error> {
        let shape = self.program.shape(sum.statement.out).to_vec();
        let place = self.outputs.iter().position(|&o| o == sum.statement.out);
        let output = place.and_then(|o| definition.quantized_output(o)).cloned();
        let written = sum.write(definition, start, meanings, &shape)?;
        if let (Some(output), None) = (&output, written.real_start) {
            let own = written.requantized(definition, requantization, output, &shape)?;
            return Ok(Meaning::Plain(own));
        }
        let real = written.real(definition, &shape);
        let Some(start) = written.real_start else { return Ok(Meaning::Plain(real)) };
        let bias = self.write_real(definition, start, meanings)?;
        let total = definition
            .builder
            .map("biased", DType::F32, &shape, |at| Expr::read(real, at) + Expr::read(bias, at));
        Ok(Meaning::Plain(total))
    }

    /// What a tensor of the law is called in the node's program: outputs bear the node's name.
    fn name<'n>(&self, id: TensorId, name: &'n str) -> &'n str {
        if self.outputs.first() == Some(&id) { "" } else { name }
    }
}

/// The step from the integers of `input`, of which there may be as many as its type has values, to those of `output`.
pub(super) fn rescale(
    definition: &mut Definition,
    tensor: TensorId,
    input: &Quantization,
    requantization: Requantization,
    output: &Quantized,
) -> Result<impl Fn(Expr) -> Expr + use<>, Error> {
    let of = |q: &Quantization| uniform(q).map_err(|fault| definition.unsupported(fault));
    let ((from, from_zero), (to, to_zero)) = (of(input)?, of(&output.quantization)?);
    let own = definition.dtype(tensor);
    let bound = (largest(own) - smallest(own)) as f64;
    let accumulated = Accumulated { dtype: DType::I32, bound, scales: vec![f64::from(from)] };
    let ends = [smallest(output.dtype) - to_zero, largest(output.dtype) - to_zero];
    let rescaling = Rescaling::new(definition.builder, &accumulated, requantization, to, ends);
    let dtype = output.dtype;
    Ok(move |x: Expr| saturated(rescaling.apply(centred(x, from_zero), &Index::constant(0)), dtype, to_zero))
}

/// The integers of an output, from reals.
fn quantize(
    definition: &mut Definition,
    real: TensorId,
    requantization: Requantization,
    output: &Quantized,
) -> Result<TensorId, Error> {
    let (scale, zero_point) = uniform(&output.quantization).map_err(|fault| definition.unsupported(fault))?;
    let shape = definition.shape(real);
    Ok(definition.builder.map("quantized", output.dtype, &shape, |at| {
        quantized_real(Expr::read(real, at), requantization, output.dtype, scale, zero_point)
    }))
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
