//! ```text
//! y[n, M*g + m, i, j] = bias[M*g + m]
//! y[n, M*g + m, i, j] += x[n, C*g + c, s*i + d*u - p, s*j + d*v - p else 0] * w[M*g + m, c, u, v]
//! ```

use nablac_index::{Expr, Reduce, Value};
use serde::{Deserialize, Serialize};

use super::activation;
use super::convolution::{self, Groups, Loops};
use super::layout::{FilterLayout, Layout};
use super::window::{Window, count, input_extents, of_length, space_loops, window_loops};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// Convolution over any number of dimensions, in groups. The inputs are `x`, the weights, and a bias that may be left out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Conv {
    /// How many groups the channels are divided into.
    pub groups: usize,
    /// The order of the dimensions of `x` and `y`.
    pub layout: Layout,
    /// The order of the dimensions of the weights.
    pub filter: FilterLayout,
    /// Strides, dilations and padding.
    #[serde(flatten)]
    pub window: Window,
}

impl Operation for Conv {
    const NAME: &'static str = "conv";
    const SPELLINGS: &'static [Spelling] = &[onnx("Conv", 1), tflite("CONV_2D"), tflite("DEPTHWISE_CONV_2D")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let conv = Conv::of(node, node.input(0)?, node.input(1)?)?;
        let y = node.same(conv)?[0];
        Ok(vec![activation::fused(node, y)?])
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let (x, w, bias) = (definition.input(0)?, definition.input(1)?, definition.optional(2));
        let (x_shape, w_shape, dtype) = (definition.shape(x), definition.shape(w), definition.dtype(x));
        let (batch, inputs, input) = input_extents(definition, self.layout, &x_shape)?;
        let parts = self.filter.split(&w_shape).filter(|parts| parts.2.len() == input.len());
        let mismatch = || format!("weights of shape {w_shape:?} for an input of shape {x_shape:?}");
        let (features, seen, kernel) = parts.ok_or_else(|| definition.malformed(mismatch()))?;
        let groups = Groups::new(definition, self.groups, inputs, features)?;
        definition.require(groups.inputs == seen && dtype == definition.dtype(w), mismatch)?;
        let output = self.window.output(definition, &input, &kernel, false)?;

        let y = definition.builder.local("", dtype, &self.layout.arrange(batch, features, &output));
        convolution::start(definition, self.layout, &groups, bias, y)?;
        let inside = self.window.inside(&kernel, &output, &input);
        let mut loops = Loops::over_batch(batch);
        let (outer, inner) = groups.loops();
        let (outer, space) = loops.add(self.layout, outer, space_loops(&output));
        let (inner, offsets) = loops.add(self.layout, inner, window_loops(&kernel));
        definition.builder.write(y, Reduce::Sum, &loops.all, |at| {
            let channel = groups.channels(&at[outer], &at[inner]);
            let (space, offsets) = (&at[space], &at[offsets]);
            let seen = self.layout.arrange(at[0].clone(), channel.input, &self.window.positions(space, offsets));
            let x = match inside {
                true => Expr::read(x, seen),
                false => Expr::read_or(x, seen, Value::from_f64(dtype, 0.0)),
            };
            let weight = self.filter.arrange(channel.output.clone(), channel.input_in_group, offsets);
            (self.layout.arrange(at[0].clone(), channel.output, space), x * Expr::read(w, weight))
        });
        definition.output(y);
        Ok(())
    }
}

impl Conv {
    /// The convolution of `x` by weights `w` that a framework's node says.
    pub(super) fn of(node: &Reader, x: ValueId, w: ValueId) -> Result<Conv, Error> {
        let (layout, filter) = match node.operator() {
            "CONV_2D" => (Layout::ChannelsLast, FilterLayout::Ohwi),
            "DEPTHWISE_CONV_2D" => (Layout::ChannelsLast, FilterLayout::Ihwo),
            _ => (Layout::ChannelsFirst, FilterLayout::Oihw),
        };
        let [x, w] = [node.shape(x), node.shape(w)];
        let mismatch = || node.malformed(format!("weights of shape {w:?} for an input of shape {x:?}"));
        let (_, inputs, space) = layout.split(&x).ok_or_else(mismatch)?;
        let (_, seen, kernel) = filter.split(&w).ok_or_else(mismatch)?;
        if x.len() != w.len() || seen == 0 || kernel.contains(&0) {
            return Err(mismatch());
        }
        check_kernel(node, &kernel)?;
        let groups = match node.operator() {
            "CONV_2D" => inputs / seen,
            "DEPTHWISE_CONV_2D" => inputs,
            _ => count(node, "group", node.int("group", 1)?)?,
        };
        let window = Window::import(node, &kernel, &space)?;
        Ok(Conv { groups, layout, filter, window })
    }
}

/// ONNX repeats the extents of the weights in `kernel_shape`.
pub(super) fn check_kernel(node: &Reader, kernel: &[usize]) -> Result<(), Error> {
    let Some(given) = node.ints("kernel_shape")? else { return Ok(()) };
    let given: Result<Vec<usize>, Error> = given.iter().map(|&n| count(node, "kernel_shape", n)).collect();
    let given = of_length(node, "kernel_shape", given?, kernel.len())?;
    match given == kernel {
        true => Ok(()),
        false => Err(node.malformed(format!("kernel_shape is {given:?}, but the weights' is {kernel:?}"))),
    }
}
