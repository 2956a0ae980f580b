//! What pooling operators have in common: a window that slides over each channel by itself.

use nablac_index::{DType, Expr, Index, Reduce, TensorId, Value};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::window::{Window, count, input_extents, space_loops, window_loops};
use crate::error::Error;
use crate::import::Reader;
use crate::operator::Definition;
use crate::source::Framework;

/// The attributes of a pooling operator.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Pool {
    /// The extents of the window.
    pub kernel: Vec<usize>,
    /// Strides, dilations and padding.
    #[serde(flatten)]
    pub window: Window,
    /// Whether a window that starts inside may end beyond the padding.
    pub ceil_mode: bool,
    /// The order of the dimensions of `x` and `y`.
    pub layout: Layout,
}

/// A pooling operator's tensors and extents.
pub(super) struct Sweep {
    pub x: TensorId,
    pub dtype: DType,
    pub input: Vec<usize>,
    pub output: Vec<usize>,
    /// The loops over the output, in the order of the layout.
    pub space: Vec<(&'static str, usize)>,
    /// The loops over the window.
    pub over: Vec<(&'static str, usize)>,
    /// Whether every window lies within the input.
    pub inside: bool,
}

/// One point of a pooling operator's loops.
pub(super) struct Point {
    pub batch: Index,
    pub channel: Index,
    pub output: Vec<Index>,
    pub offsets: Vec<Index>,
}

impl Pool {
    pub(super) fn import(node: &Reader) -> Result<Pool, Error> {
        let tflite = node.framework() == Framework::Tflite;
        // ONNX Runtime's pools of integers know both orders.
        let last = tflite || node.int("channels_last", 0)? != 0;
        let layout = if last { Layout::ChannelsLast } else { Layout::ChannelsFirst };
        let shape = node.shape(node.input(0)?);
        let (_, _, input) =
            layout.split(&shape).ok_or_else(|| node.malformed(format!("an input of shape {shape:?}")))?;
        let kernel = match tflite {
            true => vec![node.int("filter_height", 0)?, node.int("filter_width", 0)?],
            false => node
                .ints("kernel_shape")?
                .ok_or_else(|| node.malformed("attribute `kernel_shape` is missing"))?,
        };
        let kernel: Vec<usize> =
            kernel.into_iter().map(|n| count(node, "kernel_shape", n)).collect::<Result<_, Error>>()?;
        if kernel.len() != input.len() {
            return Err(node.malformed(format!("a window of {kernel:?} over an input of shape {shape:?}")));
        }
        let window = Window::import(node, &kernel, &input)?;
        // Automatic padding fixes the output's extents, whatever `ceil_mode` says.
        let ceil_mode = node.int("ceil_mode", 0)? != 0 && node.text("auto_pad", "NOTSET")? == "NOTSET";
        Ok(Pool { kernel, window, ceil_mode, layout })
    }

    pub(super) fn sweep(&self, definition: &Definition) -> Result<Sweep, Error> {
        let x = definition.input(0)?;
        let shape = definition.shape(x);
        let (batch, channels, input) = input_extents(definition, self.layout, &shape)?;
        definition.require(input.len() == self.kernel.len(), || {
            format!("a window of {:?} over an input of shape {shape:?}", self.kernel)
        })?;
        let output = self.window.output(definition, &input, &self.kernel, self.ceil_mode)?;
        Ok(Sweep {
            x,
            dtype: definition.dtype(x),
            space: self.layout.arrange(("n", batch), ("c", channels), &space_loops(&output)),
            over: window_loops(&self.kernel),
            inside: self.window.inside(&self.kernel, &output, &input),
            input,
            output,
        })
    }

    /// The parts of a point of the loops `space`, or of `space` and `over`.
    pub(super) fn point(&self, at: &[Index]) -> Point {
        let (output, offsets) = at.split_at(2 + self.kernel.len());
        match self.layout.split(output) {
            Some((batch, channel, output)) => Point { batch, channel, output, offsets: offsets.to_vec() },
            None => unreachable!("batch and channel are among the loops"),
        }
    }

    /// What the window sees at a point of the loops: `x[n, c, stride*i + dilation*u - before, … else outside]`.
    pub(super) fn seen(&self, sweep: &Sweep, at: &[Index], outside: Value) -> Expr {
        let point = self.point(at);
        let positions = self.window.positions(&point.output, &point.offsets);
        let at = self.layout.arrange(point.batch, point.channel, &positions);
        if sweep.inside { Expr::read(sweep.x, at) } else { Expr::read_or(sweep.x, at, outside) }
    }

    /// `y[n, c, i, …] reduce x[n, c, stride*i + dilation*u - before, …]`; beyond the edges stands what changes nothing.
    pub(super) fn reduce(
        &self,
        definition: &mut Definition,
        sweep: &Sweep,
        name: &str,
        reduce: Reduce,
    ) -> TensorId {
        let outside = reduce.identity(sweep.dtype).unwrap_or(Value::Int(0));
        definition
            .builder
            .emit(name, sweep.dtype, &sweep.space, &sweep.over, reduce, |at| self.seen(sweep, at, outside))
    }
}
