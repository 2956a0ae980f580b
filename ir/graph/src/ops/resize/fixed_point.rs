//! Linear interpolation of integers as TFLite's reference kernel has it. Positions have ten bits behind the point, and so have the
//! shares of the four elements around a point; their sum, which has twenty, is rounded half away from zero.
//!
//! ```text
//! step = (1024 * n + to / 2) / to              or (1024 * (n - 1) + (to - 1) / 2) / (to - 1) from corner to corner
//! v = step * i                                 and step / 2 - 512 more with half pixels
//! low = max(v / 1024, 0), high = min((v + 1023) / 1024, n - 1), share of high = v - 1024 * low
//! ```
//! Zero points stay out of it: all shares add up to one. Unsigned integers, which are of an older scheme, it interpolates in single
//! precision, and rounds half up.

use nablac_index::{Array, Binary, DType, Expr, Index, Reduce, TensorId, Value, axes};

use super::{Resize, Source, constant};
use crate::error::Error;
use crate::operator::Definition;
use crate::ops::requantize::saturated;

/// One, in positions and shares.
const ONE: i64 = 1 << 10;

/// The elements around the positions along one axis.
struct Line {
    low: Source,
    high: Source,
    /// The share of the second one.
    share: TensorId,
}

pub(super) fn define(resize: &Resize, definition: &mut Definition) -> Result<(), Error> {
    let x = definition.input(0)?;
    let from = definition.shape(x);
    resize.check(definition, &from)?;
    let output = definition.quantized_output(0).cloned();
    let Some(output) = output.filter(|q| definition.quantization(0) == Some(&q.quantization)) else {
        return Err(definition.malformed("its input and output have different scales"));
    };
    let (&[batch, height, width, channels], [kept, _, _, last]) = (&from[..], &resize.shape[..]) else {
        return Err(definition.unsupported("interpolation of integers over other than images"));
    };
    definition.require((batch, channels) == (*kept, *last), || "it resizes batch or channels".into())?;
    if output.dtype == DType::U8 {
        return unsigned(resize, definition, [height, width]);
    }
    let wide = if output.dtype.bytes() == 1 { DType::I32 } else { DType::I64 };
    let [rows, columns] = [line(resize, definition, 1, height), line(resize, definition, 2, width)];
    definition.emit(output.dtype, &axes(&resize.shape), &[], Reduce::Set, |at| {
        let number = |x: i64| Expr::integer(wide, x);
        let shares = |line: &Line, d: usize| {
            let high = Expr::read(line.share, [at[d].clone()]).cast(wide);
            [number(ONE) - high.clone(), high]
        };
        let (vertical, horizontal) = (shares(&rows, 1), shares(&columns, 2));
        let mut sum: Option<Expr> = None;
        for (row, share) in [&rows.low, &rows.high].into_iter().zip(vertical) {
            for (column, own) in [&columns.low, &columns.high].into_iter().zip(&horizontal) {
                let place = vec![at[0].clone(), row.at(&at[1]), column.at(&at[2]), at[3].clone()];
                let term = Expr::read(x, place).cast(wide) * share.clone() * own.clone();
                sum = Some(sum.map_or(term.clone(), |sum| sum + term));
            }
        }
        let sum = sum.unwrap_or(number(0));
        let half = sum.clone().binary(Binary::Gt, number(0)).select(number(ONE * ONE / 2), number(-ONE * ONE / 2));
        saturated(((sum + half) / number(ONE * ONE)).cast(DType::I32), output.dtype, 0)
    });
    Ok(())
}

/// The four elements around a point in single precision, summed in the kernel's order.
fn unsigned(resize: &Resize, definition: &mut Definition, extents: [usize; 2]) -> Result<(), Error> {
    let x = definition.input(0)?;
    let [rows, columns] =
        [1, 2].map(|d| resize.line(definition.builder, d, extents[d - 1], DType::F32));
    definition.emit(DType::U8, &axes(&resize.shape), &[], Reduce::Set, |at| {
        let ends = |line: &super::Line, i: &Index| {
            let one = || Expr::f32(1.0);
            let low = (line.low.at(i), one());
            let Some((high, weight)) = &line.high else { return vec![low] };
            let weight = Expr::read(*weight, [i.clone()]);
            vec![(low.0, one() - weight.clone()), (high.at(i), weight)]
        };
        let term = |(row, share): &(Index, Expr), (column, own): &(Index, Expr)| {
            let place = vec![at[0].clone(), row.clone(), column.clone(), at[3].clone()];
            Expr::read(x, place).cast(DType::F32) * share.clone() * own.clone()
        };
        let (rows, columns) = (ends(&rows, &at[1]), ends(&columns, &at[2]));
        let terms = columns.iter().flat_map(|column| rows.iter().map(move |row| (row, column)));
        let sum = terms.map(|(row, column)| term(row, column)).reduce(|a, b| a + b);
        (sum.unwrap_or(Expr::f32(0.0)) + Expr::f32(0.5)).cast(DType::U8)
    });
    Ok(())
}

fn line(resize: &Resize, definition: &mut Definition, d: usize, extent: usize) -> Line {
    let (n, to) = (extent as i64, resize.shape[d] as i64);
    // From corner to corner, where the step says so: both are known by the steps that they make.
    let corners = to > 1 && !resize.half_pixel && resize.steps[d] as f32 == (n - 1) as f32 / (to - 1) as f32;
    let step = match corners && n != to {
        true => (ONE * (n - 1) + (to - 1) / 2) / (to - 1),
        false => (ONE * n + to / 2) / to,
    };
    let more = if resize.half_pixel { step / 2 - ONE / 2 } else { 0 };
    let position = |i: i64| step * i + more;
    let low = |i: i64| (position(i) / ONE).max(0).min(n - 1);
    let lows: Vec<i64> = (0..to).map(low).collect();
    let highs: Vec<i64> = (0..to).map(|i| ((position(i) + ONE - 1) / ONE).clamp(0, n - 1)).collect();
    let shares = (0..to).map(|i| Value::Int(position(i) - ONE * low(i)));
    let shares = Array::from_values(DType::I32, &[to as usize], shares);
    let builder = &mut definition.builder;
    let (low, high) =
        (Source::new(builder, "low", extent, &lows), Source::new(builder, "high", extent, &highs));
    Line { low, high, share: constant(builder, "share", shares) }
}
