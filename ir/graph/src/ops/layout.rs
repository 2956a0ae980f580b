//! In which order an operator's tensors hold batch, channels and space. A layout only permutes the indices of a law.

use serde::{Deserialize, Serialize};

/// The order of the dimensions of an activation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[n, c, i, j, …]`, as ONNX and PyTorch have it.
    ChannelsFirst,
    /// `[n, i, j, …, c]`, as TFLite has it.
    ChannelsLast,
}

impl Layout {
    /// Batch, channel and space in the order of the layout.
    pub(super) fn arrange<T: Clone>(self, batch: T, channel: T, space: &[T]) -> Vec<T> {
        let space = space.to_vec();
        match self {
            Layout::ChannelsFirst => [vec![batch, channel], space].concat(),
            Layout::ChannelsLast => [vec![batch], space, vec![channel]].concat(),
        }
    }

    /// Batch, channel and space of what stands in the order of the layout; `None` below rank 2.
    pub(super) fn split<T: Clone>(self, arranged: &[T]) -> Option<(T, T, Vec<T>)> {
        let (batch, channel, space) = match (self, arranged) {
            (Layout::ChannelsFirst, [batch, channel, space @ ..]) => (batch, channel, space),
            (Layout::ChannelsLast, [batch, space @ .., channel]) => (batch, channel, space),
            _ => return None,
        };
        Some((batch.clone(), channel.clone(), space.to_vec()))
    }
}

/// The order of the dimensions of a convolution's weights; `hw` stands for all dimensions of space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterLayout {
    /// Output channels, input channels, space: ONNX's Conv.
    Oihw,
    /// Output channels, space, input channels: TFLite's convolutions.
    Ohwi,
    /// Input channels, space, output channels: TFLite's depthwise convolution.
    Ihwo,
    /// Input channels, output channels, space: ONNX's ConvTranspose.
    Iohw,
}

impl FilterLayout {
    /// Output channel, input channel and space in the order of the layout.
    pub(super) fn arrange<T: Clone>(self, output: T, input: T, space: &[T]) -> Vec<T> {
        let space = space.to_vec();
        match self {
            FilterLayout::Oihw => [vec![output, input], space].concat(),
            FilterLayout::Ohwi => [vec![output], space, vec![input]].concat(),
            FilterLayout::Ihwo => [vec![input], space, vec![output]].concat(),
            FilterLayout::Iohw => [vec![input, output], space].concat(),
        }
    }

    /// Output channel, input channel and space of what stands in the order of the layout; `None` below rank 2.
    pub(crate) fn split<T: Clone>(self, arranged: &[T]) -> Option<(T, T, Vec<T>)> {
        let (output, input, space) = match (self, arranged) {
            (FilterLayout::Oihw, [output, input, space @ ..]) => (output, input, space),
            (FilterLayout::Ohwi, [output, space @ .., input]) => (output, input, space),
            (FilterLayout::Ihwo, [input, space @ .., output]) => (output, input, space),
            (FilterLayout::Iohw, [input, output, space @ ..]) => (output, input, space),
            _ => return None,
        };
        Some((output.clone(), input.clone(), space.to_vec()))
    }
}
