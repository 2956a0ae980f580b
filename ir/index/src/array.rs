//! Immutable typed arrays: constants, inputs and outputs.
//!
//! Owns the bytes of a tensor that has a value. Little-endian, row-major, dense; cheap to clone.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::dtype::{DType, Value, wrap};

/// A dense row-major array of one element type.
#[derive(Clone, PartialEq, Eq)]
pub struct Array {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Arc<[u8]>,
}

impl Array {
    /// An array over little-endian `bytes`; `None` when their number is not what type and shape ask for.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: impl Into<Arc<[u8]>>) -> Option<Array> {
        let bytes = bytes.into();
        let expected = elements(shape)?.checked_mul(dtype.bytes())?;
        (bytes.len() == expected).then(|| Array { dtype, shape: shape.to_vec(), bytes })
    }

    /// An array of `values`; panics when their number differs from the shape's, which is the caller's mistake.
    pub fn from_values(dtype: DType, shape: &[usize], values: impl IntoIterator<Item = Value>) -> Array {
        let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * dtype.bytes());
        for value in values {
            push_value(&mut bytes, dtype, value);
        }
        assert_eq!(bytes.len(), shape.iter().product::<usize>() * dtype.bytes(), "values for {shape:?}");
        Array { dtype, shape: shape.to_vec(), bytes: bytes.into() }
    }

    /// An `f32` array.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Array {
        Array::from_values(DType::F32, shape, values.iter().map(|&x| Value::F32(x)))
    }

    /// An `i64` array.
    pub fn from_i64(shape: &[usize], values: &[i64]) -> Array {
        Array::from_values(DType::I64, shape, values.iter().map(|&x| Value::Int(x)))
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The extents, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The element at row-major position `position`.
    pub fn get(&self, position: usize) -> Value {
        let size = self.dtype.bytes();
        let mut eight = [0u8; 8];
        eight[..size].copy_from_slice(&self.bytes[position * size..][..size]);
        match self.dtype {
            DType::F32 => Value::F32(f32::from_bits(u64::from_le_bytes(eight) as u32)),
            DType::F64 => Value::F64(f64::from_le_bytes(eight)),
            dtype => Value::Int(wrap(dtype, i64::from_le_bytes(eight))),
        }
    }

    /// All elements in row-major order.
    pub fn values(&self) -> impl Iterator<Item = Value> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// All elements as `f64`.
    pub fn to_f64(&self) -> Vec<f64> {
        self.values().map(Value::as_f64).collect()
    }

    /// All elements as `i64`.
    pub fn to_i64(&self) -> Vec<i64> {
        self.values().map(Value::as_i64).collect()
    }

    /// The same elements under another shape; `None` when their number differs.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Array> {
        Array::from_bytes(self.dtype, shape, self.bytes.clone())
    }

    /// The first 16 hexadecimal digits of the SHA-256 of type, shape and bytes: the array's name in text.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("{} {:?} ", self.dtype, self.shape));
        hasher.update(&self.bytes);
        hasher.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}

/// The number of elements of a shape; `None` when it overflows.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

fn push_value(bytes: &mut Vec<u8>, dtype: DType, value: Value) {
    match dtype {
        DType::F32 => bytes.extend((value.as_f64() as f32).to_le_bytes()),
        DType::F64 => bytes.extend(value.as_f64().to_le_bytes()),
        _ => bytes.extend(&wrap(dtype, value.as_i64()).to_le_bytes()[..dtype.bytes()]),
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{:?}@{}", self.dtype, self.shape, self.hash())
    }
}
