//! `y[…] = value[]`

use nablac_index::{Array, Expr, MAX_RANK, Reduce, axes};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};
use crate::source::SourceAttribute;

/// A tensor of one value, which is the input.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fill {
    /// The extents.
    pub shape: Vec<usize>,
}

impl Operation for Fill {
    const NAME: &'static str = "fill";
    const SPELLINGS: &'static [Spelling] =
        &[onnx("ConstantOfShape", 9), tflite("FILL"), tflite("ZEROS_LIKE")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let first = node.input(0)?;
        let (shape, value) = match node.operator() {
            "ZEROS_LIKE" => {
                let zero = node.add_scalar("zero", node.dtype(first), 0.0);
                (node.shape(first).into_iter().map(|n| n as i64).collect(), zero)
            }
            "FILL" => (node.constant(0)?.to_i64(), node.input(1)?),
            _ => {
                let value = match node.raw("value") {
                    None => Array::from_f32(&[1], &[0.0]),
                    Some(SourceAttribute::Tensor(array)) => array.clone(),
                    Some(_) => return Err(node.malformed("attribute `value` is not a tensor")),
                };
                (node.constant(0)?.to_i64(), node.add_constant("value", value))
            }
        };
        let extents = shape.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
        let shape = extents.map_err(|_| node.malformed(format!("a shape {shape:?}")))?;
        Ok(vec![node.add(Fill { shape }, &[value])?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let value = definition.input(0)?;
        let (dtype, own) = (definition.dtype(value), definition.shape(value));
        definition.require(own.iter().all(|&n| n == 1) && self.shape.len() <= MAX_RANK, || {
            format!("{own:?} is not one value")
        })?;
        definition.emit(dtype, &axes(&self.shape), &[], Reduce::Set, |_| {
            Expr::read(value, vec![0.into(); own.len()])
        });
        Ok(())
    }
}
