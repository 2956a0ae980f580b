//! Tensors: types, shapes, constant data and quantization.
//!
//! Owns what a `Tensor` table and its buffer say by themselves. Whether a tensor is an input, a constant or
//! computed is `graph`'s.

use nablac_graph::Quantization;
use nablac_graph::half::{f32_from_bfloat16, f32_from_binary16};
use nablac_graph::limits::{Limit, Limits};
use nablac_graph::source::SourceDim;
use nablac_index::{Array, DType, Value};

use crate::Error;
use crate::flatbuffer::Table;

/// How elements are stored in a buffer.
#[derive(Clone, Copy, PartialEq)]
enum Storage {
    /// As the element type itself, little-endian.
    Plain,
    /// As 16-bit floats that become `F32`.
    Binary16,
    Bfloat16,
    /// Two to a byte, the first in the lower half.
    Nibbles,
    /// Not read.
    Unread,
}

use Storage::*;

/// The elements of `TensorType`, by number: name, what they become, how they are stored.
const TYPES: &[(&str, DType, Storage)] = &[
    ("FLOAT32", DType::F32, Plain),
    ("FLOAT16", DType::F32, Binary16),
    ("INT32", DType::I32, Plain),
    ("UINT8", DType::U8, Plain),
    ("INT64", DType::I64, Plain),
    ("STRING", DType::U8, Unread),
    ("BOOL", DType::Bool, Plain),
    ("INT16", DType::I16, Plain),
    ("COMPLEX64", DType::U8, Unread),
    ("INT8", DType::I8, Plain),
    ("FLOAT64", DType::F64, Plain),
    ("COMPLEX128", DType::U8, Unread),
    ("UINT64", DType::U64, Plain),
    ("RESOURCE", DType::U8, Unread),
    ("VARIANT", DType::U8, Unread),
    ("UINT32", DType::U32, Plain),
    ("UINT16", DType::U16, Plain),
    ("INT4", DType::I4, Nibbles),
    ("BFLOAT16", DType::F32, Bfloat16),
    ("INT2", DType::U8, Unread),
    ("UINT4", DType::U8, Unread),
    ("FLOAT8_E4M3FN", DType::U8, Unread),
    ("FLOAT8_E5M2", DType::U8, Unread),
];

/// A `Tensor` table.
pub(crate) struct Tensor<'a> {
    /// The name that is unique in the model.
    pub name: String,
    pub dims: Vec<i32>,
    pub kind: i8,
    pub buffer: u32,
    pub variable: bool,
    /// What keeps a constant from being read.
    pub obstacle: Option<&'static str>,
    quantization: Option<Table<'a>>,
}

impl<'a> Tensor<'a> {
    /// Reads the table of a tensor whose `name` is settled.
    pub fn new(table: &Table<'a>, name: String, limits: &Limits) -> Result<Tensor<'a>, Error> {
        const SHAPE: usize = 0;
        const SHAPE_SIGNATURE: usize = 7;
        let shape = if table.length(SHAPE, 4)? > 0 { SHAPE } else { SHAPE_SIGNATURE };
        limits.check(Limit::Rank, table.length(shape, 4)? as u64, || format!("tensor `{name}`"))?;
        let obstacle = if table.table(6, "Tensor.sparsity")?.is_some() {
            Some("it is stored sparsely")
        } else if table.uint32(10)? != 0 {
            Some("its data lies in another file")
        } else {
            None
        };
        let tensor = Tensor {
            dims: table.int32s(shape)?.unwrap_or_default(),
            kind: table.int8(1, 0)?,
            buffer: table.uint32(2)?,
            variable: table.int8(5, 0)? != 0,
            obstacle,
            quantization: table.table(4, "Tensor.quantization")?,
            name,
        };
        let least: Vec<usize> = tensor.dims.iter().map(|&d| usize::try_from(d).unwrap_or(1)).collect();
        limits.check_shape(&least, || tensor.place())?;
        Ok(tensor)
    }

    pub fn place(&self) -> String {
        format!("tensor `{}`", self.name)
    }

    /// The shape as an input or output has it. Its `shape` field is what the model was converted for, with 1 where
    /// the signature leaves an extent open.
    pub fn source_dims(&self) -> Vec<SourceDim> {
        let dim = |&d: &i32| match usize::try_from(d) {
            Ok(extent) => SourceDim::Fixed(extent),
            Err(_) => SourceDim::Named(String::new()),
        };
        self.dims.iter().map(dim).collect()
    }

    /// The element type of a value that is computed.
    pub fn dtype(&self) -> Result<DType, Error> {
        match self.kind()? {
            (_, dtype, Plain) => Ok(dtype),
            (name, ..) => Err(Error::unsupported(format!("{} has element type {name}", self.place()))),
        }
    }

    /// The number of elements; nothing while an extent is open.
    pub fn elements(&self) -> Option<usize> {
        let extents: Option<Vec<usize>> = self.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        nablac_index::elements(&extents?)
    }

    /// The constant that `data` holds.
    pub fn constant(&self, data: &std::sync::Arc<[u8]>) -> Result<Array, Error> {
        let (name, dtype, storage) = self.kind()?;
        if let Some(obstacle) = self.obstacle {
            return Err(Error::unsupported(format!("{}: {obstacle}", self.place())));
        }
        if storage == Unread {
            return Err(Error::unsupported(format!("{} has element type {name}", self.place())));
        }
        let extent = |&d: &i32| {
            let problem = format!("a constant's extents are expected, {:?} is there", self.dims);
            usize::try_from(d).map_err(|_| Error::model(self.place(), problem))
        };
        let shape = self.dims.iter().map(extent).collect::<Result<Vec<usize>, _>>()?;
        let elements = nablac_index::elements(&shape);
        let expected = match storage {
            Nibbles => elements.map(|n| n.div_ceil(2)),
            Plain => elements.and_then(|n| n.checked_mul(dtype.bytes())),
            _ => elements.and_then(|n| n.checked_mul(2)),
        };
        if expected != Some(data.len()) {
            let expected = expected.map_or("too many".into(), |n| n.to_string());
            let problem =
                format!("{expected} bytes are expected for shape {shape:?}, {} are there", data.len());
            return Err(Error::model(self.place(), problem));
        }
        let bytes = match storage {
            Binary16 => widened(data, f32_from_binary16).into(),
            Bfloat16 => widened(data, f32_from_bfloat16).into(),
            Nibbles => unpacked(data, elements.unwrap_or(0)).into(),
            _ if dtype == DType::Bool => data.iter().map(|&b| (b != 0) as u8).collect(),
            _ => data.clone(),
        };
        Array::from_bytes(dtype, &shape, bytes)
            .ok_or_else(|| Error::model(self.place(), "its size overflows"))
    }

    /// What a variable holds before the first run: zero, as far as its elements are 8-bit integers or no integers.
    pub fn initial(&self) -> Result<Array, Error> {
        let dtype = self.dtype()?;
        let zero = self.quantization()?.filter(|_| dtype == DType::I8).and_then(|q| q.uniform());
        let value = Value::from_i64(dtype, zero.map_or(0, |(_, zero_point)| zero_point));
        let shape: Vec<usize> = self.dims.iter().filter_map(|&d| usize::try_from(d).ok()).collect();
        if shape.len() != self.dims.len() {
            return Err(Error::model(self.place(), "a variable's extents are expected to be fixed"));
        }
        let elements = shape.iter().product();
        Ok(Array::from_values(dtype, &shape, std::iter::repeat_n(value, elements)))
    }

    /// How its integers stand for real numbers; nothing when the file gives no scale.
    pub fn quantization(&self) -> Result<Option<Quantization>, Error> {
        let Some(table) = self.quantization else { return Ok(None) };
        let broken = |problem: String| Error::model(format!("quantization of {}", self.place()), problem);
        if table.uint8(4)? != 0 {
            let what = format!("{} has quantization other than by scale and zero point", self.place());
            return Err(Error::unsupported(what));
        }
        let scales = table.float32s(2)?.unwrap_or_default();
        if scales.is_empty() {
            return Ok(None);
        }
        let zero_points = match table.int64s(3)?.unwrap_or_default() {
            none if none.is_empty() => vec![0; scales.len()],
            some => some,
        };
        if zero_points.len() != scales.len() {
            return Err(broken(format!("{} scales and {} zero points", scales.len(), zero_points.len())));
        }
        if let Some(scale) = scales.iter().find(|scale| !scale.is_finite()) {
            return Err(broken(format!("a scale is {scale}")));
        }
        let axis = table.int32(6, 0)?;
        let extent = usize::try_from(axis).ok().and_then(|axis| self.dims.get(axis));
        if scales.len() > 1 && extent != i32::try_from(scales.len()).ok().as_ref() {
            let problem =
                format!("{} scales along axis {axis} of a tensor of shape {:?}", scales.len(), self.dims);
            return Err(broken(problem));
        }
        Ok(Some(Quantization { scales, zero_points, axis: usize::try_from(axis).unwrap_or(0) }))
    }

    fn kind(&self) -> Result<(&'static str, DType, Storage), Error> {
        usize::try_from(self.kind).ok().and_then(|kind| TYPES.get(kind)).copied().ok_or_else(|| {
            let what = format!("{} has element type number {}", self.place(), self.kind);
            Error::unsupported(what)
        })
    }
}

fn widened(bytes: &[u8], widen: fn(u16) -> f32) -> Vec<u8> {
    bytes.chunks_exact(2).flat_map(|b| widen(u16::from_le_bytes([b[0], b[1]])).to_le_bytes()).collect()
}

/// Each half of a byte as a signed number; the last byte may hold only one.
fn unpacked(bytes: &[u8], count: usize) -> Vec<u8> {
    let halves = |&byte: &u8| [(byte << 4) as i8 >> 4, byte as i8 >> 4];
    bytes.iter().flat_map(halves).take(count).map(|half| half as u8).collect()
}
