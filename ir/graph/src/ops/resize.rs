//! Position `i` of the result stands at position `p = step * i` of `x`, or with half pixels at `p = step * (i + 1/2) - 1/2`:
//! ```text
//! y[i, …] = x[nearest(p), …]
//! y[i, …] = (1 - w) * x[low, …] + w * x[high, …]      low = floor(p), high = ceil(p), w = p - low; both moved to the edges
//! ```
//! along each axis whose extent changes. TFLite interpolates integers by positions with ten bits behind the point
//! (`resize/fixed_point.rs`).

use nablac_index::{Array, Builder, DType, Expr, Index, Reduce, TensorId, Value, axes};
use serde::{Deserialize, Serialize};

use super::quantized;
use super::requantize::fixed_rounding;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};
use crate::source::Framework;

mod fixed_point;
mod spelling;

/// What is taken at a position between elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The element before it.
    Floor,
    /// The element behind it.
    Ceil,
    /// The nearer one; of two, the one before.
    HalfDown,
    /// The nearer one; of two, the one behind.
    HalfUp,
    /// Both, in proportion.
    Linear,
}

/// Another sampling of a tensor along its axes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Resize {
    /// The shape of the result.
    pub shape: Vec<usize>,
    /// The distance of neighbours of the result, in elements of the operand, per axis.
    pub steps: Vec<f64>,
    /// Whether elements stand at the middle of their pixels rather than at the edge.
    pub half_pixel: bool,
    /// What is taken between elements.
    pub mode: Mode,
}

impl Operation for Resize {
    const NAME: &'static str = "resize";
    const SPELLINGS: &'static [Spelling] = &[
        onnx("Resize", 10),
        onnx("Upsample", 7),
        tflite("RESIZE_BILINEAR"),
        tflite("RESIZE_NEAREST_NEIGHBOR"),
    ];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let resize = match node.framework() {
            Framework::Tflite => spelling::tflite(node, x)?,
            _ => spelling::onnx(node, x)?,
        };
        if resize.shape == node.shape(x) && resize.steps.iter().all(|&step| step == 1.0) {
            return Ok(vec![x]);
        }
        Ok(vec![node.add(resize, &[x])?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (dtype, from) = (definition.dtype(x), definition.shape(x));
        self.check(definition, &from)?;
        if self.mode != Mode::Linear {
            let sources = (0..from.len()).map(|d| self.nearest(definition.builder, d, from[d]));
            let sources: Vec<Source> = sources.collect();
            definition.emit(dtype, &axes(&self.shape), &[], Reduce::Set, |at| {
                Expr::read(x, sources.iter().zip(at).map(|(s, i)| s.at(i)).collect::<Vec<_>>())
            });
            return Ok(());
        }
        definition.require(dtype.is_float(), || format!("{dtype} is not interpolated"))?;
        let lines: Vec<Line> = (0..from.len()).map(|d| self.line(definition.builder, d, from[d], dtype)).collect();
        definition.emit(dtype, &axes(&self.shape), &[], Reduce::Set, |at| corners(x, dtype, &lines, at));
        Ok(())
    }

    fn define_quantized(&self, definition: &mut Definition) -> Result<(), Error> {
        let fixed = definition.requantization().and_then(fixed_rounding).is_some();
        match fixed && self.mode == Mode::Linear {
            true => fixed_point::define(self, definition),
            false => quantized::derive(definition, &|definition| self.define(definition)),
        }
    }
}

/// The most positions along an axis: beyond it, neighbours are one number in single precision, in which they are computed.
const POSITIONS: usize = 1 << 24;

impl Resize {
    fn check(&self, definition: &Definition, from: &[usize]) -> Result<(), Error> {
        let ranks = [self.shape.len(), self.steps.len()] == [from.len(); 2];
        let sane = self.steps.iter().all(|step| step.is_finite() && *step >= 0.0);
        let empty = from.iter().zip(&self.shape).any(|(&n, &to)| n == 0 && to > 0);
        let told_apart = self.shape.iter().zip(from).all(|(&to, &n)| to == n || to <= POSITIONS);
        definition.require(ranks && sane && !empty && told_apart, || format!("{:?} by {:?} of {from:?}", self.shape, self.steps))
    }

    /// Where position `i` of axis `d` stands, in single precision.
    fn position(&self, d: usize, i: usize) -> f32 {
        let step = self.steps[d] as f32;
        match self.half_pixel {
            true => (i as f32 + 0.5) * step - 0.5,
            false => i as f32 * step,
        }
    }

    /// Whether the result has the elements of axis `d` as they are.
    fn keeps(&self, d: usize, extent: usize) -> bool {
        self.steps[d] == 1.0 && self.shape[d] == extent
    }

    fn nearest(&self, builder: &mut Builder, d: usize, extent: usize) -> Source {
        if self.keeps(d, extent) {
            return Source::Affine { factor: 1, offset: 0, divisor: 1 };
        }
        let nearest = |i: usize| {
            let position = f64::from(self.position(d, i));
            let nearest = match self.mode {
                Mode::Floor | Mode::Linear => position.floor(),
                Mode::Ceil => position.ceil(),
                Mode::HalfDown => (position - 0.5).ceil(),
                Mode::HalfUp => (position + 0.5).floor(),
            };
            nearest.clamp(0.0, extent as f64 - 1.0) as i64
        };
        let positions: Vec<i64> = (0..self.shape[d]).map(nearest).collect();
        Source::new(builder, "nearest", extent, &positions)
    }

    fn line(&self, builder: &mut Builder, d: usize, extent: usize, dtype: DType) -> Line {
        if self.keeps(d, extent) {
            return Line { low: self.nearest(builder, d, extent), high: None };
        }
        let last = extent as f32 - 1.0;
        let positions: Vec<f32> = (0..self.shape[d]).map(|i| self.position(d, i)).collect();
        let low = |p: f32| p.floor().clamp(0.0, last);
        let lows: Vec<i64> = positions.iter().map(|&p| low(p) as i64).collect();
        let highs: Vec<i64> = positions.iter().map(|&p| p.ceil().clamp(0.0, last) as i64).collect();
        let weights = positions.iter().map(|&p| Value::from_f64(dtype, f64::from(p - low(p))));
        let weights = Array::from_values(dtype, &[self.shape[d]], weights);
        let low = Source::new(builder, "low", extent, &lows);
        let high = Source::new(builder, "high", extent, &highs);
        Line { low, high: Some((high, constant(builder, "weight", weights))) }
    }
}

/// Which element of an axis a position of the result reads.
enum Source {
    /// `(factor * i + offset) / divisor`.
    Affine { factor: i64, offset: i64, divisor: i64 },
    /// As a table says, of an axis of this extent.
    Table(TensorId, i64),
}

impl Source {
    /// The elements as a quotient where one fits, as it does for the usual scales, else as a table.
    fn new(builder: &mut Builder, name: &str, extent: usize, positions: &[i64]) -> Source {
        let (n, to) = (extent as i64, positions.len() as i64);
        let candidates = [
            (n, 0, to),                             // floor(i * n / to)
            (2 * n, n, 2 * to),                     // floor((i + 1/2) * n / to)
            (2 * (n - 1), to - 1, 2 * (to - 1)),    // round(i * (n - 1) / (to - 1))
        ];
        let fits = |&(factor, offset, divisor): &(i64, i64, i64)| {
            let quotient = |i: usize| (factor * i as i64 + offset).checked_div_euclid(divisor);
            positions.iter().enumerate().all(|(i, &position)| quotient(i) == Some(position))
        };
        match candidates.into_iter().find(fits) {
            Some((factor, offset, divisor)) => Source::Affine { factor, offset, divisor },
            None => {
                let values = positions.iter().map(|&position| Value::Int(position));
                let table = Array::from_values(DType::I32, &[positions.len()], values);
                Source::Table(constant(builder, name, table), n)
            }
        }
    }

    fn at(&self, i: &Index) -> Index {
        match *self {
            Source::Affine { factor, offset, divisor } => (i.clone() * factor + offset) / divisor,
            // The remainder changes nothing: it shows that reads stay inside.
            Source::Table(table, extent) => Index::of_read(table, vec![i.clone()]) % extent.max(1),
        }
    }
}

/// The two elements between which a position lies, and the share of the second; only one where the axis stays.
struct Line {
    low: Source,
    high: Option<(Source, TensorId)>,
}

/// The sum over the elements around a point, each times its share.
fn corners(x: TensorId, dtype: DType, lines: &[Line], at: &[Index]) -> Expr {
    let mut sum = vec![(vec![], None::<Expr>)];
    for (line, i) in lines.iter().zip(at) {
        let times = |share: &Option<Expr>, own: Expr| Some(share.clone().map_or(own.clone(), |share| share * own));
        sum = match &line.high {
            None => sum.into_iter().map(|(place, share)| (with(&place, line.low.at(i)), share)).collect(),
            Some((high, weight)) => {
                let weight = || Expr::read(*weight, [i.clone()]);
                let rest = || Expr::literal(dtype, 1.0) - weight();
                let both = |(place, share): (Vec<Index>, Option<Expr>)| {
                    let low = (with(&place, line.low.at(i)), times(&share, rest()));
                    [low, (with(&place, high.at(i)), times(&share, weight()))]
                };
                sum.into_iter().flat_map(both).collect()
            }
        };
    }
    let term = |(place, share): (Vec<Index>, Option<Expr>)| {
        let read = Expr::read(x, place);
        share.map_or(read.clone(), |share| read * share)
    };
    sum.into_iter().map(term).reduce(|a, b| a + b).unwrap_or(Expr::literal(dtype, 0.0))
}

fn with(place: &[Index], index: Index) -> Vec<Index> {
    [place, &[index]].concat()
}

/// A constant called `name` behind the node's own name.
fn constant(builder: &mut Builder, name: &str, array: Array) -> TensorId {
    let (_, prefix) = builder.label();
    builder.constant(&format!("{prefix}.{name}"), array)
}
