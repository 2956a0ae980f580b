//! `y[…] = a[…] ^ b[…]`, broadcast, of the type of `a`

use nablac_index::{Binary, DType, Expr};
use serde::{Deserialize, Serialize};

use super::{Mul, broadcast};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// Power, element by element. The exponent may be of another type.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pow {}

impl Operation for Pow {
    const NAME: &'static str = "pow";
    const SPELLINGS: &'static [Spelling] = &[onnx("Pow", 7), tflite("POW"), aten("pow.Tensor_Tensor")];

    /// A constant exponent of 2 makes a product, which is the same number and cheap.
    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let [a, b] = [node.input(0)?, node.input(1)?];
        let fits = node.shape(b).len() <= node.shape(a).len() && node.shape(b).iter().all(|&n| n == 1);
        let exponent = if fits { node.known(b) } else { None };
        match exponent {
            Some(array) if array.to_f64() == [2.0] => Ok(vec![node.add(Mul {}, &[a, a])?]),
            _ => node.same(Pow {}),
        }
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (base, exponent) =
            (definition.dtype(definition.input(0)?), definition.dtype(definition.input(1)?));
        let numbers = base != DType::Bool && exponent != DType::Bool && definition.inputs().len() == 2;
        definition.require(numbers, || format!("its operands are {base} and {exponent}, not two numbers"))?;
        let between = computed_in(base, exponent);
        broadcast::mixed(definition, base, |operands| {
            let mut operands = operands.into_iter().zip([base, exponent]);
            let mut next = || operands.next().map(|(e, own)| if own == between { e } else { e.cast(between) });
            let power = match (next(), next()) {
                (Some(a), Some(b)) => a.binary(Binary::Pow, b),
                _ => Expr::literal(between, 0.0),
            };
            if between == base { power } else { power.cast(base) }
        })
    }
}

/// The type that a power is computed in: a float if one of the two is, else the wider of them.
fn computed_in(base: DType, exponent: DType) -> DType {
    match (base.is_float(), exponent.is_float()) {
        (false, true) => exponent,
        (false, false) if exponent.bytes() > base.bytes() => exponent,
        _ => base,
    }
}
