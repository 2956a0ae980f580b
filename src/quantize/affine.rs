//! Integers that stand for reals: `real = scale * (integer - zero_point)`.
//!
//! Owns the two types of activations and what rounding to them does to a number: ONNX's `QuantizeLinear` and `DequantizeLinear`, in
//! f32, ties to even.

use nablac_index::{Array, DType};

/// The integers of an activation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bits {
    /// `i8` with a zero point.
    Eight,
    /// `i16`, zero is 0.
    Sixteen,
}

/// How integers stand for the reals of one activation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quantization {
    /// The distance of neighbours.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i32,
    /// The type of the integers.
    pub bits: Bits,
}

impl Bits {
    /// How many they are.
    pub fn count(self) -> u32 {
        match self {
            Bits::Eight => 8,
            Bits::Sixteen => 16,
        }
    }

    /// The smallest and the largest integer.
    pub fn bounds(self) -> (i32, i32) {
        match self {
            Bits::Eight => (i8::MIN.into(), i8::MAX.into()),
            Bits::Sixteen => (i16::MIN.into(), i16::MAX.into()),
        }
    }
}

impl Quantization {
    /// The quantization whose integers span `low..=high` and 0. A range without extent gets steps of 1: every scale is positive.
    pub fn of_range(low: f64, high: f64, bits: Bits) -> Quantization {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let (smallest, largest) = bits.bounds();
        let width = match bits {
            Bits::Eight => high - low,
            Bits::Sixteen => high.max(-low),
        };
        let steps = match bits {
            Bits::Eight => largest - smallest,
            Bits::Sixteen => largest,
        };
        let scale = (width / f64::from(steps)) as f32;
        // A subnormal scale loses its digits, and may be flushed to 0 elsewhere.
        let scale = if scale >= f32::MIN_POSITIVE { scale } else { 1.0 };
        let zero_point = match bits {
            Bits::Eight => (f64::from(smallest) - low / f64::from(scale)).round_ties_even() as i32,
            Bits::Sixteen => 0,
        };
        Quantization { scale, zero_point: zero_point.clamp(smallest, largest), bits }
    }

    /// The integer of a real.
    pub fn integer(&self, x: f32) -> i32 {
        let (smallest, largest) = self.bits.bounds();
        let rounded = (x / self.scale).round_ties_even() as i64; // saturates
        rounded.saturating_add(self.zero_point.into()).clamp(smallest.into(), largest.into()) as i32
    }

    /// The real of an integer.
    pub fn real(&self, integer: i32) -> f32 {
        (integer - self.zero_point) as f32 * self.scale
    }

    /// A real as its integer stands for it.
    pub fn rounded(&self, x: f32) -> f32 {
        self.real(self.integer(x))
    }

    /// The smallest and the largest real.
    pub fn range(&self) -> (f32, f32) {
        let (smallest, largest) = self.bits.bounds();
        (self.real(smallest), self.real(largest))
    }

    /// An array as its integers stand for it.
    pub fn round(&self, array: &Array) -> Array {
        let values = floats(array).map(|x| self.rounded(x));
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        Array::from_bytes(DType::F32, array.shape(), bytes).unwrap_or_else(|| array.clone())
    }
}

/// The elements of an `f32` array.
pub fn floats(array: &Array) -> impl Iterator<Item = f32> + '_ {
    array.bytes().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_spanned_and_zero_is_exact() {
        for (low, high) in [(-1.0, 1.0), (0.0, 6.0), (2.0, 6.0), (-3.0, -1.0), (-0.001, 100.0), (-5.0, 0.3)] {
            for bits in [Bits::Eight, Bits::Sixteen] {
                let q = Quantization::of_range(low, high, bits);
                assert_eq!(q.rounded(0.0), 0.0);
                for x in [low, high] {
                    assert!(
                        (f64::from(q.rounded(x as f32)) - x).abs() <= f64::from(q.scale) * 0.5001,
                        "{x} {q:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_range_without_extent_has_a_positive_scale() {
        for (low, high) in [(0.0, 0.0), (1e-45, 1e-45), (-0.0, 0.0)] {
            let q = Quantization::of_range(low, high, Bits::Eight);
            assert_eq!((q.scale, q.rounded(0.0)), (1.0, 0.0));
        }
    }

    #[test]
    fn ties_go_to_even_and_what_is_outside_saturates() {
        let q = Quantization { scale: 0.5, zero_point: 3, bits: Bits::Eight };
        assert_eq!([0.25, 0.75, -0.25, 1.25].map(|x| q.integer(x)), [3, 5, 3, 5]);
        assert_eq!([1e30, -1e30, f32::INFINITY].map(|x| q.integer(x)), [127, -128, 127]);
    }
}
