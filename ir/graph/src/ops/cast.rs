//! `y[…] = to(x[…])`: floats are truncated towards zero, integers wrap, and anything but zero is true

use nablac_index::{DType, Expr, Reduce, axes};
use serde::{Deserialize, Serialize};

use super::attribute;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Conversion to another element type.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cast {
    /// The type.
    #[serde(with = "attribute::dtype")]
    pub to: DType,
}

/// Enumerators of element types: of ONNX's `TensorProto.DataType`, and of TFLite's `TensorType`.
const ENUMERATORS: &[(DType, i64, i64)] = &[
    (DType::Bool, 9, 6),
    (DType::I8, 3, 9),
    (DType::U8, 2, 3),
    (DType::I16, 5, 7),
    (DType::U16, 4, 16),
    (DType::I32, 6, 2),
    (DType::U32, 12, 15),
    (DType::I64, 7, 4),
    (DType::U64, 13, 12),
    (DType::F32, 1, 0),
    (DType::F64, 11, 10),
];

impl Operation for Cast {
    const NAME: &'static str = "cast";
    const SPELLINGS: &'static [Spelling] = &[onnx("Cast", 6), onnx("CastLike", 15), tflite("CAST")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let to = match (node.operator(), node.output_dtype(0)) {
            ("CastLike", _) if node.is_packed(1) => {
                return Err(node.unsupported("conversion to integers of fewer than 8 bits"));
            }
            ("CastLike", _) => node.dtype(node.input(1)?),
            ("CAST", Some(dtype)) => dtype, // the options may be absent
            ("CAST", None) => from_tflite(node, "out_data_type")?,
            _ => from_onnx(node, "to")?,
        };
        cast(node, x, to).map(|y| vec![y])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let shape = definition.shape(x);
        definition.emit(self.to, &axes(&shape), &[], Reduce::Set, |at| Expr::read(x, at).cast(self.to));
        Ok(())
    }
}

/// `x` as a value of type `to`; `x` itself if it is of that type.
pub(super) fn cast(node: &mut Reader, x: ValueId, to: DType) -> Result<ValueId, Error> {
    if node.dtype(x) == to { Ok(x) } else { node.add(Cast { to }, &[x]) }
}

/// The element type that attribute `name` names by ONNX's enumerator.
pub(super) fn from_onnx(node: &Reader, name: &str) -> Result<DType, Error> {
    let enumerator = node.int(name, 0)?;
    let row = ENUMERATORS.iter().find(|row| row.1 == enumerator);
    row.map(|row| row.0)
        .ok_or_else(|| node.unsupported(format!("conversion to element type number {enumerator}")))
}

/// The element type that attribute `name` names by TFLite's enumerator.
pub(super) fn from_tflite(node: &Reader, name: &str) -> Result<DType, Error> {
    let enumerator = node.int(name, 0)?;
    let row = ENUMERATORS.iter().find(|row| row.2 == enumerator);
    row.map(|row| row.0)
        .ok_or_else(|| node.unsupported(format!("element type number {enumerator} is not supported")))
}
