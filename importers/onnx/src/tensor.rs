//! Tensor values: `TensorProto` to arrays.
//!
//! Owns the element types, the typed data fields and their lengths. Where external data lies is `external`'s.

use std::path::Path;

use nablac_graph::half::{f32_from_bfloat16, f32_from_binary16};
use nablac_graph::limits::Limits;
use nablac_index::{Array, DType};

use crate::Error;
use crate::external::External;
use crate::proto::{EXTERNAL, Tensor};

/// How elements are stored in `raw_data`.
#[derive(Clone, Copy, PartialEq)]
enum Storage {
    /// As the element type itself, little-endian.
    Plain,
    /// As 16-bit floats that become `F32`.
    Binary16,
    Bfloat16,
    /// As integers of so many bits, several to a byte, the first in the lowest ones.
    Packed(usize),
    /// Not read.
    Unread,
}

use Storage::*;

/// The elements of `TensorProto.DataType`: number, name, what they become, how they are stored.
const TYPES: &[(i32, &str, DType, Storage)] = &[
    (1, "FLOAT", DType::F32, Plain),
    (2, "UINT8", DType::U8, Plain),
    (3, "INT8", DType::I8, Plain),
    (4, "UINT16", DType::U16, Plain),
    (5, "INT16", DType::I16, Plain),
    (6, "INT32", DType::I32, Plain),
    (7, "INT64", DType::I64, Plain),
    (8, "STRING", DType::U8, Unread),
    (9, "BOOL", DType::Bool, Plain),
    (10, "FLOAT16", DType::F32, Binary16),
    (11, "DOUBLE", DType::F64, Plain),
    (12, "UINT32", DType::U32, Plain),
    (13, "UINT64", DType::U64, Plain),
    (14, "COMPLEX64", DType::U8, Unread),
    (15, "COMPLEX128", DType::U8, Unread),
    (16, "BFLOAT16", DType::F32, Bfloat16),
    (17, "FLOAT8E4M3FN", DType::U8, Unread),
    (18, "FLOAT8E4M3FNUZ", DType::U8, Unread),
    (19, "FLOAT8E5M2", DType::U8, Unread),
    (20, "FLOAT8E5M2FNUZ", DType::U8, Unread),
    (21, "UINT4", DType::U8, Packed(4)),
    (22, "INT4", DType::I8, Packed(4)),
    (23, "FLOAT4E2M1", DType::U8, Unread),
    (24, "FLOAT8E8M0", DType::U8, Unread),
    (25, "UINT2", DType::U8, Packed(2)),
    (26, "INT2", DType::I8, Packed(2)),
    (27, "FLOAT6E2M3", DType::U8, Unread),
    (28, "FLOAT6E3M2", DType::U8, Unread),
];

/// The element type of a value that is computed; the name of the type where there is none for it.
pub(crate) fn value_type(number: i32) -> Result<DType, String> {
    match TYPES.iter().find(|row| row.0 == number) {
        Some(&(_, _, dtype, Plain)) => Ok(dtype),
        Some(&(_, name, ..)) => Err(name.into()),
        None => Err(format!("number {number}")),
    }
}

/// Whether elements are integers of fewer bits than their array's.
pub(crate) fn is_packed(tensor: &Tensor) -> bool {
    TYPES.iter().any(|row| row.0 == tensor.data_type && matches!(row.3, Packed(_)))
}

/// Turns `TensorProto`s into arrays.
pub(crate) struct TensorReader<'a> {
    pub limits: &'a Limits,
    external: External<'a>,
}

impl<'a> TensorReader<'a> {
    pub fn new(limits: &'a Limits, folder: Option<&'a Path>, model_bytes: u64) -> TensorReader<'a> {
        TensorReader { limits, external: External::new(limits, folder, model_bytes) }
    }

    /// The tensor's value; `label` names it in errors.
    pub fn read(&mut self, tensor: Tensor, label: &str) -> Result<Array, Error> {
        let place = || format!("tensor `{label}`");
        let (dtype, storage) = element_type(&tensor, label)?;
        if tensor.segment.is_some() {
            return Err(Error::unsupported(format!("tensor `{label}` is stored in segments")));
        }
        let shape = extents(&tensor.dims, label)?;
        let elements = self.limits.check_shape(&shape, place)?;
        // What a field of integers holds in one of them.
        let (stored, entries) = match storage {
            Packed(bits) => (1, elements.div_ceil(8 / bits)),
            Plain => (dtype.bytes(), elements),
            _ => (2, elements),
        };
        let expected =
            entries.checked_mul(stored).ok_or_else(|| Error::model(place(), "its size overflows"))?;
        let bytes = if tensor.data_location == EXTERNAL {
            self.external.read(&tensor.external_data, label, expected)?
        } else if let Some(raw) = tensor.raw_data {
            raw
        } else {
            let dtype = if matches!(storage, Packed(_)) { DType::U8 } else { dtype };
            typed_data(&tensor, dtype, stored, entries, label)?
        };
        if bytes.len() != expected {
            let problem =
                format!("{expected} bytes are expected for shape {shape:?}, {} are there", bytes.len());
            return Err(Error::model(place(), problem));
        }
        let bytes = match storage {
            Binary16 => widened(&bytes, f32_from_binary16),
            Bfloat16 => widened(&bytes, f32_from_bfloat16),
            Packed(bits) => unpacked(&bytes, bits, elements, dtype),
            _ if dtype == DType::Bool => bytes.iter().map(|&b| (b != 0) as u8).collect(),
            _ => bytes,
        };
        Array::from_bytes(dtype, &shape, bytes).ok_or_else(|| Error::model(place(), "its size overflows"))
    }
}

fn element_type(tensor: &Tensor, label: &str) -> Result<(DType, Storage), Error> {
    match TYPES.iter().find(|row| row.0 == tensor.data_type) {
        Some(&(_, name, _, Unread)) => {
            Err(Error::unsupported(format!("tensor `{label}` has element type {name}")))
        }
        Some(&(_, _, dtype, storage)) => Ok((dtype, storage)),
        None => {
            let problem = format!("its data_type is {}, 1 to {} are expected", tensor.data_type, TYPES.len());
            Err(Error::model(format!("tensor `{label}`"), problem))
        }
    }
}

fn extents(dims: &[i64], label: &str) -> Result<Vec<usize>, Error> {
    let extent = |&d: &i64| {
        usize::try_from(d)
            .map_err(|_| Error::model(format!("tensor `{label}`"), format!("its extent is {d}")))
    };
    dims.iter().map(extent).collect()
}

/// The bytes that `raw_data` would hold, from the field that belongs to the element type.
fn typed_data(
    tensor: &Tensor,
    dtype: DType,
    stored: usize,
    elements: usize,
    label: &str,
) -> Result<Vec<u8>, Error> {
    let (floats, doubles) = (&tensor.float_data, &tensor.double_data);
    let (ints, longs, unsigned) = (&tensor.int32_data, &tensor.int64_data, &tensor.uint64_data);
    let place = || format!("tensor `{label}`");
    let expect = |field: &str, length: usize| match length == elements {
        true => Ok(()),
        false => {
            let problem =
                format!("{elements} elements are expected in {field} or raw_data, {length} are there");
            Err(Error::model(place(), problem))
        }
    };
    match dtype {
        DType::F32 if stored == 4 => {
            expect("float_data", floats.len())?;
            Ok(floats.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
        DType::F64 => {
            expect("double_data", doubles.len())?;
            Ok(doubles.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
        DType::I64 => {
            expect("int64_data", longs.len())?;
            Ok(longs.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
        DType::U32 | DType::U64 => {
            expect("uint64_data", unsigned.len())?;
            narrowed(unsigned.iter().map(|&x| x.into()), dtype, stored, &place())
        }
        _ => {
            expect("int32_data", ints.len())?;
            narrowed(ints.iter().map(|&x| x.into()), dtype, stored, &place())
        }
    }
}

/// Elements that are stored in `stored` bytes each, from a field of wider integers.
fn narrowed(
    elements: impl Iterator<Item = i128>,
    dtype: DType,
    stored: usize,
    place: &str,
) -> Result<Vec<u8>, Error> {
    let (low, high) = range(dtype, stored);
    let mut bytes = Vec::new();
    for x in elements {
        if !(low..=high).contains(&x) {
            return Err(Error::model(place, format!("the element {x} is out of the range of its type")));
        }
        bytes.extend(&x.to_le_bytes()[..stored]);
    }
    Ok(bytes)
}

/// What an element may be; 16-bit floats are there as their bits.
fn range(dtype: DType, stored: usize) -> (i128, i128) {
    let bits = 8 * stored as u32;
    match dtype {
        DType::Bool => (0, 1),
        DType::I8 | DType::I16 | DType::I32 => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => (0, (1 << bits) - 1),
    }
}

/// One byte for each of `elements` integers of `bits` bits.
fn unpacked(bytes: &[u8], bits: usize, elements: usize, dtype: DType) -> Vec<u8> {
    let above = 8 - bits; // what an integer is shifted up by, and back with its sign
    let element = |position: usize| {
        let shifted = bytes[position * bits / 8] >> (position * bits % 8) << above;
        if dtype == DType::I8 { (shifted as i8 >> above) as u8 } else { shifted >> above }
    };
    (0..elements).map(element).collect()
}

fn widened(bytes: &[u8], widen: fn(u16) -> f32) -> Vec<u8> {
    bytes.chunks_exact(2).flat_map(|b| widen(u16::from_le_bytes([b[0], b[1]])).to_le_bytes()).collect()
}
