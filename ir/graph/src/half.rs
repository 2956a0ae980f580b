//! 16-bit floats, as model files store them.
//!
//! Owns their widening to `f32`, which is exact for every value. Nothing computes in 16 bits.

/// The `f32` equal to an IEEE 754 binary16 value, given as its bits; a NaN keeps its sign and payload.
pub fn f32_from_binary16(bits: u16) -> f32 {
    let sign = (bits as u32 & 0x8000) << 16;
    let exponent = bits as u32 >> 10 & 0x1f;
    let fraction = bits as u32 & 0x3ff;
    let magnitude = match exponent {
        0 => (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits(), // fraction × 2^-24: a subnormal
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The `f32` equal to a bfloat16 value, given as its bits: the upper half of an `f32`.
pub fn f32_from_bfloat16(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sign × 2^(e-15) × 1.f, and sign × 2^-14 × 0.f, computed in f64 where both are exact.
    fn law(bits: u16) -> f64 {
        let (exponent, fraction) = ((bits >> 10 & 0x1f) as i32, (bits & 0x3ff) as f64 / 1024.0);
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        match exponent {
            0 => sign * fraction * 2f64.powi(-14),
            31 if fraction == 0.0 => sign * f64::INFINITY,
            31 => f64::NAN,
            _ => sign * (1.0 + fraction) * 2f64.powi(exponent - 15),
        }
    }

    #[test]
    fn binary16_follows_its_law_for_every_value() {
        for bits in 0..=u16::MAX {
            let (widened, law) = (f32_from_binary16(bits) as f64, law(bits));
            assert!(widened.to_bits() == law.to_bits() || widened.is_nan() && law.is_nan(), "{bits:04x}");
        }
    }

    #[test]
    fn bfloat16_is_the_upper_half() {
        assert_eq!(f32_from_bfloat16(0x3fc0), 1.5);
        assert_eq!(f32_from_bfloat16(0xff80), f32::NEG_INFINITY);
        assert_eq!(f32_from_bfloat16(0x0001).to_bits(), 0x0001_0000);
    }
}
