//! ```text
//! y[n, M*g + m, i, j] = bias[M*g + m]
//! y[n, M*g + m, s*i + d*u - p, s*j + d*v - p] += x[n, C*g + c, i, j] * w[C*g + c, m, u, v]
//! ```
//! A scatter: what would land outside of `y` is dropped.

use nablac_index::{Expr, Reduce};
use serde::{Deserialize, Serialize};

use super::activation;
use super::conv::check_kernel;
use super::convolution::{self, Channels, Groups, Loops};
use super::layout::{FilterLayout, Layout};
use super::window::{Window, count, input_extents, of_length, pads, same_padding, space_loops, window_loops};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// The adjoint of a convolution, in groups. The inputs are `x`, the weights, and a bias that may be left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConvTranspose {
    /// How many groups the channels are divided into.
    pub groups: usize,
    /// The order of the dimensions of `x` and `y`.
    pub layout: Layout,
    /// The order of the dimensions of the weights; groups divide the first of them.
    pub filter: FilterLayout,
    /// Strides, dilations, and how much of what is scattered is cut off at either end.
    #[serde(flatten)]
    pub window: Window,
    /// How many positions `y` has behind those that follow from the window.
    pub output_padding: Vec<usize>,
}

impl Operation for ConvTranspose {
    const NAME: &'static str = "conv_transpose";
    const SPELLINGS: &'static [Spelling] = &[onnx("ConvTranspose", 1), tflite("TRANSPOSE_CONV")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        if node.operator() == "TRANSPOSE_CONV" { import_tflite(node) } else { import_onnx(node) }
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (x, w, bias) = (definition.input(0)?, definition.input(1)?, definition.optional(2));
        let (x_shape, w_shape, dtype) = (definition.shape(x), definition.shape(w), definition.dtype(x));
        let (batch, inputs, input) = input_extents(definition, self.layout, &x_shape)?;
        let parts = self.filter.split(&w_shape).filter(|parts| parts.2.len() == input.len());
        let mismatch = || format!("weights of shape {w_shape:?} for an input of shape {x_shape:?}");
        let (outputs, seen, kernel) = parts.ok_or_else(|| definition.malformed(mismatch()))?;
        let features = if self.grouped_by_input() { outputs * self.groups } else { outputs };
        let groups = Groups::new(definition, self.groups, inputs, features)?;
        let own = if self.grouped_by_input() { inputs } else { groups.inputs };
        definition.require(own == seen && dtype == definition.dtype(w), mismatch)?;
        let output = self.output(definition, &input, &kernel)?;

        let y = definition.builder.local("", dtype, &self.layout.arrange(batch, features, &output));
        convolution::start(definition, self.layout, &groups, bias, y)?;
        let mut loops = Loops::over_batch(batch);
        let (outer, inner) = groups.loops();
        let (outer, space) = loops.add(self.layout, outer, space_loops(&input));
        let (inner, offsets) = loops.add(self.layout, inner, window_loops(&kernel));
        definition.builder.write(y, Reduce::Sum, &loops.all, |at| {
            let Channels { output, input, output_in_group, input_in_group } =
                groups.channels(&at[outer], &at[inner]);
            let (space, offsets) = (&at[space], &at[offsets]);
            let weight = match self.grouped_by_input() {
                true => self.filter.arrange(output_in_group, input.clone(), offsets),
                false => self.filter.arrange(output.clone(), input_in_group, offsets),
            };
            let x = Expr::read(x, self.layout.arrange(at[0].clone(), input, space));
            let reached = self.window.positions(space, offsets);
            (self.layout.arrange(at[0].clone(), output, &reached), x * Expr::read(w, weight))
        });
        definition.output(y);
        Ok(())
    }
}

impl ConvTranspose {
    /// Whether the weights' input channels are those of all groups, and their output channels those of one.
    pub(crate) fn grouped_by_input(&self) -> bool {
        matches!(self.filter, FilterLayout::Iohw | FilterLayout::Ihwo)
    }

    fn output(&self, definition: &Definition, input: &[usize], kernel: &[usize]) -> Result<Vec<usize>, Error> {
        self.window.check(definition, kernel)?;
        let fits = self.output_padding.len() == kernel.len() && !input.contains(&0);
        definition.require(fits, || format!("{:?} for an input of {input:?}", self.output_padding))?;
        let extent = |d: usize| {
            let [before, after] = self.window.padding[d];
            let full = scattered(&self.window, d, input[d], kernel[d]).checked_add(self.output_padding[d]);
            full.and_then(|full| full.checked_sub(before + after)).filter(|&extent| extent > 0)
        };
        let extents: Option<Vec<usize>> = (0..kernel.len()).map(extent).collect();
        extents.ok_or_else(|| definition.malformed(format!("nothing is left of an input of {input:?} by {:?}", self.window)))
    }
}

/// How many positions all windows together reach: `stride*(input - 1) + reach`.
fn scattered(window: &Window, d: usize, input: usize, kernel: usize) -> usize {
    window.strides[d] * (input - 1) + window.reach(d, kernel)
}

fn import_onnx(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let [x, w] = [node.shape(node.input(0)?), node.shape(node.input(1)?)];
    let (Some((_, _, input)), Some((_, _, kernel))) =
        (Layout::ChannelsFirst.split(&x), FilterLayout::Iohw.split(&w).filter(|_| x.len() == w.len()))
    else {
        return Err(node.malformed(format!("weights of shape {w:?} for an input of shape {x:?}")));
    };
    if input.contains(&0) || kernel.contains(&0) {
        return Err(node.malformed(format!("weights of shape {w:?} for an input of shape {x:?}")));
    }
    check_kernel(node, &kernel)?;
    let rank = kernel.len();
    let groups = count(node, "group", node.int("group", 1)?)?;
    let mut window = Window::unpadded(node, rank)?;
    let padding = node.ints("output_padding")?.unwrap_or(vec![0; rank]);
    let padding: Result<Vec<usize>, _> = padding.into_iter().map(usize::try_from).collect();
    let padding = padding.map_err(|_| node.malformed("`output_padding` is negative"))?;
    let mut output_padding = of_length(node, "output_padding", padding, rank)?;
    for (d, extent) in wanted(node, &input, &window)?.into_iter().enumerate() {
        let full = scattered(&window, d, input[d], kernel[d]).saturating_add(output_padding[d]);
        let (total, less) = (full.saturating_sub(extent), full.saturating_sub(extent) / 2);
        let upper = node.text("auto_pad", "NOTSET")? == "SAME_UPPER";
        window.padding[d] = if upper { [less, total - less] } else { [total - less, less] };
        output_padding[d] += extent.saturating_sub(full);
    }
    if !node.has("output_shape") && node.text("auto_pad", "NOTSET")? == "NOTSET" {
        window.padding = pads(node, rank)?;
    }
    let (layout, filter) = (Layout::ChannelsFirst, FilterLayout::Iohw);
    node.same(ConvTranspose { groups, layout, filter, window, output_padding })
}

/// The extents that ONNX's `output_shape` or `auto_pad` ask for; empty when padding is given instead.
fn wanted(node: &Reader, input: &[usize], window: &Window) -> Result<Vec<usize>, Error> {
    if let Some(shape) = node.ints("output_shape")? {
        // Some exporters write batch and channels before the extents of space.
        let space = &shape[shape.len().saturating_sub(input.len())..];
        let extents: Result<Vec<usize>, Error> =
            space.iter().map(|&n| count(node, "output_shape", n)).collect();
        return of_length(node, "output_shape", extents?, input.len());
    }
    match node.text("auto_pad", "NOTSET")?.as_str() {
        "SAME_UPPER" | "SAME_LOWER" => Ok(input.iter().zip(&window.strides).map(|(n, s)| n * s).collect()),
        "NOTSET" | "VALID" | "" => Ok(vec![]),
        other => Err(node.malformed(format!("auto_pad is `{other}`"))),
    }
}

/// The inputs are the output's shape, the weights, `x`, and perhaps a bias. Padding is that of the convolution that leads from
/// the output back to `x`.
fn import_tflite(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let (layout, filter) = (Layout::ChannelsLast, FilterLayout::Ohwi);
    let shape = node.constant(0)?.to_i64();
    let (x, w, bias) = (node.input(2)?, node.input(1)?, node.optional(3));
    let shapes = [node.shape(x), node.shape(w)];
    let fault = || node.malformed(format!("weights of shape {:?} for an input of shape {:?}", shapes[1], shapes[0]));
    let (_, _, input) = layout.split(&shapes[0]).filter(|x| x.2.len() == 2 && !x.2.contains(&0)).ok_or_else(fault)?;
    let (_, _, kernel) = filter.split(&shapes[1]).filter(|w| w.2.len() == 2 && !w.2.contains(&0)).ok_or_else(fault)?;
    let (_, _, output) =
        layout.split(&shape).ok_or_else(|| node.malformed(format!("an output of shape {shape:?}")))?;
    let output: Result<Vec<usize>, Error> = output.iter().map(|&n| count(node, "output_shape", n)).collect();
    let output = of_length(node, "output_shape", output?, 2)?;
    let stride = |name| count(node, name, node.int(name, 1)?);
    let strides = vec![stride("stride_h")?, stride("stride_w")?];
    let mut window = Window { strides, dilations: vec![1; 2], padding: vec![[0, 0]; 2] };
    if same_padding(node)? {
        window.pad_same(&kernel, &output, false);
    }
    let mut output_padding = vec![0; 2];
    for d in 0..2 {
        let reached = scattered(&window, d, input[d], kernel[d]);
        let seen = window.padding[d][0] + output[d];
        window.padding[d][1] = reached.saturating_sub(seen);
        output_padding[d] = seen.saturating_sub(reached);
    }
    let operator = ConvTranspose { groups: 1, layout, filter, window, output_padding };
    let y = node.add_with(operator, &[Some(x), Some(w), bias], vec![])?[0];
    Ok(vec![activation::fused(node, y)?])
}
