//! How integers stand for reals: `real = scale * (integer - zero_point)`, for a whole tensor or per index of one axis.
//!
//! Owns that type with its rules, and the ways in which an operator's result is brought to the scale of its output. What an
//! operator computes on integers is its file's, or follows from its law (`ops/quantized`).

use nablac_index::{Array, DType, Value, largest, smallest};

/// How the integers of a tensor stand for reals.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One scale, or one per index of `axis`.
    pub scales: Vec<f32>,
    /// As many zero points.
    pub zero_points: Vec<i64>,
    /// The axis that scales vary along; of no meaning when there is one scale.
    pub axis: usize,
}

macro_rules! requantizations { ($($Name:ident $text:literal $about:literal;)*) => {
    /// How a quantized operator's result gets to the scale of its output: the convention of a framework.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum Requantization { $(#[doc = $about] $Name),* }

    impl Requantization {
        /// Every way.
        pub const ALL: &[Requantization] = &[$(Requantization::$Name),*];
        /// The name in the text form.
        pub fn name(self) -> &'static str { match self { $(Requantization::$Name => $text),* } }
        /// What it does.
        pub fn about(self) -> &'static str { match self { $(Requantization::$Name => $about),* } }
        /// The way called `name`.
        pub fn from_name(name: &str) -> Option<Requantization> {
            Requantization::ALL.iter().copied().find(|r| r.name() == name)
        }
    }
} }

requantizations! {
    Double "double" "fixed point, rounded twice, as TFLite's reference kernels do";
    Single "single" "fixed point, rounded once, half up";
    F64    "f64"    "in double precision, half away from zero, as TFLite's fully connected layer does";
    F32    "f32"    "in single precision, half to even, as ONNX Runtime does";
}

impl Requantization {
    /// Whether operators compute on fixed-point numbers, as TFLite defines them, rather than on reals that are rounded at the end.
    pub fn is_fixed(self) -> bool {
        self != Requantization::F32
    }
}

impl Quantization {
    /// One scale and zero point for the whole tensor.
    pub fn per_tensor(scale: f32, zero_point: i64) -> Quantization {
        Quantization { scales: vec![scale], zero_points: vec![zero_point], axis: 0 }
    }

    /// The scale and zero point, where there is one of each.
    pub fn uniform(&self) -> Option<(f32, i64)> {
        match (&self.scales[..], &self.zero_points[..]) {
            (&[scale], &[zero_point]) => Some((scale, zero_point)),
            _ => None,
        }
    }

    /// What is wrong with it for a tensor of this type and shape, if anything is.
    pub fn fault(&self, dtype: DType, shape: &[usize]) -> Option<String> {
        if let Some(scale) = self.scales.iter().find(|scale| !scale.is_finite() || **scale <= 0.0) {
            return Some(format!("a scale of {scale}; scales are finite and above zero"));
        }
        if self.scales.is_empty() || self.scales.len() != self.zero_points.len() {
            let [scales, zeros] = [self.scales.len(), self.zero_points.len()];
            return Some(format!("{scales} scales and {zeros} zero points"));
        }
        let inside = |zero: &&i64| !(smallest(dtype)..=largest(dtype)).contains(*zero);
        if let Some(zero) = self.zero_points.iter().find(inside) {
            return Some(format!("a zero point of {zero}, which is no {dtype}"));
        }
        match shape.get(self.axis) {
            _ if self.scales.len() == 1 => None,
            None => Some(format!("scales along axis {} of shape {shape:?}", self.axis)),
            Some(&extent) if extent != self.scales.len() => {
                Some(format!("{} scales along axis {} of shape {shape:?}", self.scales.len(), self.axis))
            }
            Some(_) => None,
        }
    }

    /// The reals that the integers of `array` stand for.
    pub fn dequantize(&self, array: &Array) -> Array {
        let inner: usize = array.shape().iter().skip(self.axis + 1).product();
        let extent = array.shape().get(self.axis).copied().unwrap_or(1);
        let value = |(position, value): (usize, Value)| {
            let channel = if self.scales.len() == 1 { 0 } else { position / inner.max(1) % extent };
            Value::F32(self.scales[channel] * (value.as_i64() - self.zero_points[channel]) as f32)
        };
        Array::from_values(DType::F32, array.shape(), array.values().enumerate().map(value))
    }
}
