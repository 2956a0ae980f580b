//! `y[i, …] = x[i - before, …]`; beyond the edges of `x` a value, or an element of `x` that the mode chooses

use nablac_index::{Binary, DType, Expr, Index, Reduce, Value, axes};
use serde::{Deserialize, Serialize};

use super::attribute::Real;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx, tflite};

/// What stands beyond the edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A value.
    Constant,
    /// The element at the edge.
    Edge,
    /// The elements mirrored at the edge's element: `c b | a b c | b a`.
    Reflect,
    /// The elements mirrored between the edge and what is beyond: `b a | a b c | c b`.
    Symmetric,
    /// The elements from the other end: `b c | a b c | a b`.
    Wrap,
}

/// Elements added at, or with negative amounts taken from, the ends of axes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pad {
    /// What is added.
    pub mode: Mode,
    /// The value that mode `constant` adds, unless it is the second input.
    pub value: Real,
    /// How many elements come before the first one, per axis.
    pub before: Vec<i64>,
    /// How many elements come behind the last one, per axis.
    pub after: Vec<i64>,
}

/// The most elements that are added at one end: sums with extents and coordinates stay far within 64 bits.
const MOST_ADDED: u64 = 1 << 40;

/// The most stretches of an axis that each mirror or repeat it: they all become statements.
const STRETCHES: i64 = 64;

impl Operation for Pad {
    const NAME: &'static str = "pad";
    const SPELLINGS: &'static [Spelling] = &[
        onnx("Pad", 2),
        tflite("PAD"),
        tflite("PADV2"),
        tflite("MIRROR_PAD"),
        aten("constant_pad_nd.default"),
    ];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let x = node.input(0)?;
        let (before, after) = amounts(node, x)?;
        let mode = mode(node)?;
        if before.iter().chain(&after).all(|&n| n == 0) {
            return Ok(vec![x]);
        }
        let known = if mode == Mode::Constant { value(node, x)? } else { Some(0.0) };
        let pad = Pad { mode, value: Real(known.unwrap_or(0.0)), before, after };
        let operands = match known {
            Some(_) => vec![x],
            None => vec![x, node.input(2)?],
        };
        Ok(vec![node.add(pad, &operands)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (dtype, from) = (definition.dtype(x), definition.shape(x));
        let ranks = [self.before.len(), self.after.len()] == [from.len(); 2];
        definition.require(ranks, || format!("it pads {} axes of {}", self.before.len(), from.len()))?;
        let extent = |d: usize| {
            let bounded = [self.before[d], self.after[d]].iter().all(|n| n.unsigned_abs() <= MOST_ADDED);
            let sum = if bounded { from[d] as i64 + self.before[d] + self.after[d] } else { -1 };
            usize::try_from(sum).ok()
        };
        let shape: Option<Vec<usize>> = (0..from.len()).map(extent).collect();
        let shape = shape.ok_or_else(|| {
            definition.malformed(format!("{:?} and {:?} can't be added to {from:?}", self.before, self.after))
        })?;
        if self.mode == Mode::Constant {
            return self.define_constant(definition, &shape);
        }
        if shape.contains(&0) {
            definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |_| Expr::literal(dtype, 0.0));
            return Ok(()); // no stretch has an element
        }
        let mut stretches = vec![];
        for d in 0..from.len() {
            let found = self.stretches(from[d] as i64, -self.before[d], from[d] as i64 + self.after[d]);
            stretches.push(found.ok_or_else(|| {
                definition.unsupported(format!("axis {d} of {from:?} is repeated too often: pad in steps"))
            })?);
        }
        let y = definition.builder.local("", dtype, &shape);
        for pieces in product(&stretches) {
            let sizes: Vec<usize> = pieces.iter().map(|piece| piece.length).collect();
            definition.builder.write(y, Reduce::Set, &axes(&sizes), |at| {
                let to = at.iter().zip(&pieces).map(|(i, piece)| i.clone() + piece.start);
                let read = at.iter().zip(&pieces).map(|(i, piece)| i.clone() * piece.factor + piece.offset);
                (to.collect(), Expr::read(x, read.collect::<Vec<_>>()))
            });
        }
        definition.output(y);
        Ok(())
    }
}

/// A stretch of the result along one axis: `y[start + i] = x[factor * i + offset]` for `i` in `0..length`.
#[derive(Clone, Copy)]
struct Stretch {
    start: i64,
    length: usize,
    factor: i64,
    offset: i64,
}

impl Pad {
    /// A value that is known is what a read beyond the edges gives; one that is not is chosen there.
    fn define_constant(&self, definition: &mut Definition, shape: &[usize]) -> Result<(), Error> {
        let x = definition.input(0)?;
        let (dtype, from) = (definition.dtype(x), definition.shape(x));
        let value = definition.optional(1);
        if let Some(value) = value {
            let single = definition.dtype(value) == dtype && definition.shape(value).iter().all(|&n| n == 1);
            definition.require(single, || format!("its value is not one {dtype}"))?;
        }
        let value = value.map(|v| Expr::read(v, vec![0.into(); definition.shape(v).len()]));
        definition.emit(dtype, &axes(shape), &[], Reduce::Set, |at| {
            let at: Vec<Index> = at.iter().zip(&self.before).map(|(i, n)| i.clone() - *n).collect();
            let read = Expr::read_or(x, at.clone(), Value::from_f64(dtype, self.value.0));
            match value {
                Some(value) => inside(&at, &from).into_iter().rfold(read, |y, held| held.select(y, value.clone())),
                None => read,
            }
        });
        Ok(())
    }

    /// The stretches that make up an axis of `extent` elements, padded to the coordinates `low..high` of the operand.
    fn stretches(&self, extent: i64, low: i64, high: i64) -> Option<Vec<Stretch>> {
        let mode = match self.mode {
            _ if extent == 1 => Mode::Edge, // there is only one element to take
            mode => mode,
        };
        let period = if mode == Mode::Reflect { extent - 1 } else { extent };
        if mode == Mode::Edge {
            let parts = [(low, 0, 0, 0), (0, extent, 1, 0), (extent, high, 0, extent - 1)];
            return (extent > 0).then(|| self.cut(low, high, &parts));
        }
        if period <= 0 || (high - low) / period > STRETCHES {
            return None;
        }
        let repetition = |k: i64| {
            let (first, last) = (k * period, (k + 1) * period);
            match mode {
                // Mirror images leave out the elements that they are mirrored at.
                Mode::Reflect if k % 2 == 0 => (first, last + 1, 1, -first),
                Mode::Reflect => (first + 1, last, -1, last),
                Mode::Symmetric if k % 2 != 0 => (first, last, -1, last - 1),
                _ => (first, last, 1, -first),
            }
        };
        // One more in front: a stretch that is not mirrored has the coordinates of both of its ends.
        let parts: Vec<_> = (low.div_euclid(period) - 1..=high.div_euclid(period)).map(repetition).collect();
        Some(self.cut(low, high, &parts))
    }

    /// The parts `(first, last, factor, offset)`, `x[factor * coordinate + offset]` at the coordinates `first..last`, cut to
    /// `low..high` and counted from `low`.
    fn cut(&self, low: i64, high: i64, parts: &[(i64, i64, i64, i64)]) -> Vec<Stretch> {
        let cut = |&(first, last, factor, offset): &(i64, i64, i64, i64)| {
            let (first, last) = (first.max(low), last.min(high));
            let length = usize::try_from(last - first).ok().filter(|&length| length > 0)?;
            Some(Stretch { start: first - low, length, factor, offset: factor * first + offset })
        };
        parts.iter().filter_map(cut).collect()
    }
}

/// Every choice of one stretch per axis.
fn product(stretches: &[Vec<Stretch>]) -> Vec<Vec<Stretch>> {
    stretches.iter().fold(vec![vec![]], |boxes, axis| {
        let extended = |pieces: &Vec<Stretch>| {
            let pieces = pieces.clone();
            axis.iter().map(move |piece| [&pieces[..], &[*piece]].concat()).collect::<Vec<_>>()
        };
        boxes.iter().flat_map(extended).collect()
    })
}

/// What must hold for `at` to lie within `shape`.
fn inside(at: &[Index], shape: &[usize]) -> Vec<Expr> {
    let bound = |i: &Index, relation, bound| {
        Expr::Index(i.clone()).binary(relation, Expr::integer(DType::I64, bound))
    };
    let bounds = |(i, &n): (&Index, &usize)| [bound(i, Binary::Ge, 0), bound(i, Binary::Lt, n as i64)];
    at.iter().zip(shape).flat_map(bounds).collect()
}

fn mode(node: &Reader) -> Result<Mode, Error> {
    if node.operator() == "MIRROR_PAD" {
        return Ok(if node.int("mode", 0)? == 0 { Mode::Reflect } else { Mode::Symmetric });
    }
    match node.text("mode", "constant")?.as_str() {
        "constant" => Ok(Mode::Constant),
        "edge" => Ok(Mode::Edge),
        "reflect" => Ok(Mode::Reflect),
        "wrap" => Ok(Mode::Wrap),
        other => Err(node.malformed(format!("there is no mode `{other}`"))),
    }
}

/// The amounts before and after each axis. ONNX lists all that come before, then all that come after; TFLite gives pairs;
/// ATen gives pairs from the last axis on.
fn amounts(node: &mut Reader, x: ValueId) -> Result<(Vec<i64>, Vec<i64>), Error> {
    let rank = node.shape(x).len();
    let name = if node.operator() == "constant_pad_nd.default" { "pad" } else { "pads" };
    let given = node.list(name, 1)?.ok_or_else(|| node.malformed("it has no amounts"))?;
    let axes = match node.optional_constant(3)? {
        Some(axes) => node.axes(&axes.to_i64(), rank)?,
        None if node.operator() == "constant_pad_nd.default" => {
            (0..rank).rev().take(given.len() / 2).collect()
        }
        None => (0..rank).collect(),
    };
    if given.len() != 2 * axes.len() {
        return Err(node.malformed(format!("{} amounts for {} axes", given.len(), axes.len())));
    }
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (position, &axis) in axes.iter().enumerate() {
        let places =
            if node.operator() == "Pad" { [position, position + axes.len()] } else { [2 * position, 2 * position + 1] };
        [before[axis], after[axis]] = places.map(|place| given[place]);
    }
    Ok((before, after))
}

/// The value that mode `constant` adds: an attribute, or an input that is constant.
fn value(node: &mut Reader, x: ValueId) -> Result<Option<f64>, Error> {
    if node.has("value") || node.optional(2).is_none() {
        return node.float("value", 0.0).map(Some);
    }
    let Some(array) = node.optional(2).and_then(|value| node.known(value)) else { return Ok(None) };
    if let Some(quantized) = node.optional(2).and_then(|value| node.quantized(value)).filter(|_| array.len() == 1) {
        return Ok(Some(quantized.quantization.dequantize(&array).get(0).as_f64()));
    }
    let exact = array.len() == 1
        && array.dtype() == node.dtype(x)
        && Value::from_f64(array.dtype(), array.get(0).as_f64()) == array.get(0);
    Ok(exact.then(|| array.get(0).as_f64()))
}
