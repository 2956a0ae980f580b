//! Sliding windows over space: output position `i` and offset `u` within the window meet at input position
//! `stride*i + dilation*u - before`.
//!
//! Owns strides, dilations and padding, how the frameworks spell them, and the extents that follow.

use nablac_index::Index;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::error::Error;
use crate::import::Reader;
use crate::operator::Definition;
use crate::source::Framework;

/// Strides, dilations and padding are below this, so that no position overflows.
const LIMIT: i64 = 1 << 31;

const SPACE_LOOPS: [&str; 4] = ["i", "j", "k", "l"];
const WINDOW_LOOPS: [&str; 4] = ["u", "v", "s", "t"];

/// The attributes of a sliding window, one entry per dimension of space.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// How far the window moves from one output position to the next.
    pub strides: Vec<usize>,
    /// The distance between neighbours within the window.
    pub dilations: Vec<usize>,
    /// How many positions the window may stand before the first and behind the last input.
    pub padding: Vec<[usize; 2]>,
}

/// Loops over positions in space.
pub(super) fn space_loops(extents: &[usize]) -> Vec<(&'static str, usize)> {
    SPACE_LOOPS.iter().copied().zip(extents.iter().copied()).collect()
}

/// Loops over offsets within a window.
pub(super) fn window_loops(kernel: &[usize]) -> Vec<(&'static str, usize)> {
    WINDOW_LOOPS.iter().copied().zip(kernel.iter().copied()).collect()
}

impl Window {
    /// The window of a framework's node over an input of extents `input`. Automatic padding is resolved here.
    pub(super) fn import(node: &Reader, kernel: &[usize], input: &[usize]) -> Result<Window, Error> {
        match node.framework() {
            Framework::Tflite => Window::import_tflite(node, kernel, input),
            _ => Window::import_onnx(node, kernel, input),
        }
    }

    fn import_onnx(node: &Reader, kernel: &[usize], input: &[usize]) -> Result<Window, Error> {
        let mut window = Window::unpadded(node, kernel.len())?;
        match node.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => window.padding = pads(node, kernel.len())?,
            "VALID" => {}
            "SAME_UPPER" => window.pad_same(kernel, input, false),
            "SAME_LOWER" => window.pad_same(kernel, input, true),
            other => return Err(node.malformed(format!("auto_pad is `{other}`"))),
        }
        Ok(window)
    }

    fn import_tflite(node: &Reader, kernel: &[usize], input: &[usize]) -> Result<Window, Error> {
        let pair = |height: &str, width: &str| -> Result<Vec<usize>, Error> {
            [height, width].iter().map(|name| count(node, name, node.int(name, 1)?)).collect()
        };
        if kernel.len() != 2 {
            return Err(node.malformed(format!("a window of {} dimensions instead of 2", kernel.len())));
        }
        let mut window = Window {
            strides: pair("stride_h", "stride_w")?,
            dilations: pair("dilation_h_factor", "dilation_w_factor")?,
            padding: vec![[0, 0]; 2],
        };
        if same_padding(node)? {
            window.pad_same(kernel, input, false);
        }
        Ok(window)
    }

    /// ONNX's strides and dilations.
    pub(super) fn unpadded(node: &Reader, rank: usize) -> Result<Window, Error> {
        let list = |name: &str| -> Result<Vec<usize>, Error> {
            let given = node.ints(name)?.unwrap_or(vec![1; rank]);
            let counts: Result<Vec<usize>, Error> = given.iter().map(|&n| count(node, name, n)).collect();
            counts.and_then(|counts| of_length(node, name, counts, rank))
        };
        Ok(Window { strides: list("strides")?, dilations: list("dilations")?, padding: vec![[0, 0]; rank] })
    }

    /// Pads so that there are `input / stride` output positions, rounded up. The odd one goes behind, or before if `lower`.
    pub(super) fn pad_same(&mut self, kernel: &[usize], input: &[usize], lower: bool) {
        for d in 0..kernel.len() {
            let output = input[d].div_ceil(self.strides[d]);
            let seen = output.saturating_sub(1) * self.strides[d] + self.reach(d, kernel[d]);
            let total = seen.saturating_sub(input[d]);
            let less = total / 2;
            self.padding[d] = if lower { [total - less, less] } else { [less, total - less] };
        }
    }

    /// Checks the attributes against the number of dimensions; they may come from text.
    pub(super) fn check(&self, definition: &Definition, kernel: &[usize]) -> Result<(), Error> {
        let rank = kernel.len();
        check_rank(definition, rank)?;
        let lengths = [self.strides.len(), self.dilations.len(), self.padding.len()];
        definition.require(lengths == [rank; 3], || format!("a window of {rank} dimensions but {self:?}"))?;
        let limits = |n: &usize| (1..LIMIT as usize).contains(n);
        let positive = self.strides.iter().chain(&self.dilations).chain(kernel).all(limits);
        let padded = self.padding.iter().flatten().all(|&n| n < LIMIT as usize);
        definition.require(positive && padded, || format!("a window of {kernel:?} with {self:?}"))
    }

    /// The number of input positions from the first to the last that the window sees.
    pub(super) fn reach(&self, d: usize, kernel: usize) -> usize {
        self.dilations[d] * (kernel - 1) + 1
    }

    /// The extents of the output. With `ceil` a window may also stand over the edge, as long as it starts before it.
    pub(super) fn output(
        &self,
        definition: &Definition,
        input: &[usize],
        kernel: &[usize],
        ceil: bool,
    ) -> Result<Vec<usize>, Error> {
        self.check(definition, kernel)?;
        let extent = |(d, &n): (usize, &usize)| {
            let ([before, after], reach) = (self.padding[d], self.reach(d, kernel[d]));
            let free = (before + n + after).checked_sub(reach).ok_or_else(|| {
                definition.malformed(format!(
                    "a window of {reach} over {n} elements padded by {before} and {after}"
                ))
            })?;
            let over = ceil
                && free % self.strides[d] != 0
                && (free / self.strides[d] + 1) * self.strides[d] < n + before;
            Ok(free / self.strides[d] + 1 + usize::from(over))
        };
        input.iter().enumerate().map(extent).collect()
    }

    /// Whether dimension `d` of every window lies within `low..high`, relative to the input.
    pub(super) fn within(&self, d: usize, kernel: usize, output: usize, low: i64, high: i64) -> bool {
        let last = self.strides[d] * output.saturating_sub(1) + self.reach(d, kernel);
        -(self.padding[d][0] as i64) >= low && last as i64 - self.padding[d][0] as i64 <= high
    }

    /// Whether all windows lie within the input.
    pub(super) fn inside(&self, kernel: &[usize], output: &[usize], input: &[usize]) -> bool {
        (0..kernel.len()).all(|d| self.within(d, kernel[d], output[d], 0, input[d] as i64))
    }

    /// `stride*i + dilation*u - before`.
    pub(super) fn position(&self, d: usize, i: &Index, u: &Index) -> Index {
        i.clone() * self.strides[d] as i64 + u.clone() * self.dilations[d] as i64 - self.padding[d][0] as i64
    }

    /// `position` in every dimension.
    pub(super) fn positions(&self, output: &[Index], offsets: &[Index]) -> Vec<Index> {
        output.iter().zip(offsets).enumerate().map(|(d, (i, u))| self.position(d, i, u)).collect()
    }
}

/// ONNX's `pads`: all that is before, then all that is behind.
pub(super) fn pads(node: &Reader, rank: usize) -> Result<Vec<[usize; 2]>, Error> {
    let given = node.ints("pads")?.unwrap_or(vec![0; 2 * rank]);
    let amount = |&n: &i64| match n {
        0..LIMIT => Ok(n as usize),
        _ => Err(node.malformed(format!("`pads` holds {n}"))),
    };
    let amounts: Vec<usize> = given.iter().map(amount).collect::<Result<_, _>>()?;
    let amounts = of_length(node, "pads", amounts, 2 * rank)?;
    Ok((0..rank).map(|d| [amounts[d], amounts[rank + d]]).collect())
}

/// Whether TFLite's `padding` is `SAME`; the other enumerator is `VALID`.
pub(super) fn same_padding(node: &Reader) -> Result<bool, Error> {
    match node.int("padding", 0)? {
        0 => Ok(true),
        1 => Ok(false),
        other => Err(node.malformed(format!("padding is {other}"))),
    }
}

/// An attribute's value as a number of at least one.
pub(super) fn count(node: &Reader, name: &str, value: i64) -> Result<usize, Error> {
    match value {
        1..LIMIT => Ok(value as usize),
        _ => Err(node.malformed(format!("`{name}` holds {value}"))),
    }
}

/// Checks that a list has an entry per dimension.
pub(super) fn of_length(
    node: &Reader,
    name: &str,
    list: Vec<usize>,
    length: usize,
) -> Result<Vec<usize>, Error> {
    match list.len() == length {
        true => Ok(list),
        false => Err(node.malformed(format!("`{name}` has {} entries instead of {length}", list.len()))),
    }
}

/// There is a loop for each dimension of space.
pub(super) fn check_rank(definition: &Definition, rank: usize) -> Result<(), Error> {
    match rank <= SPACE_LOOPS.len() {
        true => Ok(()),
        false => Err(definition.unsupported(format!("{rank} dimensions of space"))),
    }
}

/// The extents of batch, channels and space of an input in `layout`.
pub(super) fn input_extents(
    definition: &Definition,
    layout: Layout,
    shape: &[usize],
) -> Result<(usize, usize, Vec<usize>), Error> {
    layout.split(shape).ok_or_else(|| definition.malformed(format!("an input of shape {shape:?}")))
}
