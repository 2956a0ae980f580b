//! Laws that compute: sums of products in integers, functions of one element by tables, and the rest on reals.

use nablac_index::{Access, DType, Expr, Index, Reduce, Statement, TensorId, Value};

use super::fixed_point::{entry, exact, table};
use super::sum::Sum;
use super::{Meaning, Meanings, RealLaw, renamed, write};
use crate::error::Error;
use crate::graph::Quantized;
use crate::operator::Definition;
use crate::ops::requantize::{dequantized, quantized_bound, quantized_real, uniform};
use crate::quantization::{Quantization, Requantization};

impl RealLaw {
    /// The law statement by statement: sums of products in integers, the rest on reals.
    pub(super) fn compute(
        &self,
        definition: &mut Definition,
        requantization: Requantization,
    ) -> Result<(), Error> {
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
        let table = table(definition, *dtype, output.dtype, |x| {
            let x = dequantized(x, from, from_zero);
            let real = statement.body.rewrite(&mut |node| match node {
                Expr::Read(access) => match self.number(&access) {
                    Some(value) => Expr::Literal(self.program.dtype(access.tensor), value),
                    None => x.clone(),
                },
                other => other,
            });
            quantized_real(exact(real), requantization, output.dtype, to, to_zero)
        });
        let out = definition.builder.local("", output.dtype, self.program.shape(statement.out));
        let of = |id: TensorId| meanings.get(&id).map_or(out, Meaning::tensor);
        let at = access.at.iter().map(|index| index.map_tensors(&of)).collect();
        let place = entry(Index::of_read(*own, at));
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
