//! What scales and shifts each channel of a linear operator's output goes into its weights and bias:
//! ```text
//! a[f] * (w·x + b)[f] + s[f]  =  ((a[f] * w)·x)[f] + (a[f] * b[f] + s[f])
//! ```
//! Owns which operators scale and shift channels (batch normalization, and the arithmetic into which converters expand it), and
//! where each linear operator keeps its output channels. Needs constant weights; a value that others read stays.

use nablac_index::{Array, Value, row_major_strides};

use crate::graph::{Graph, Node, ValueId};
use crate::operator::Operator;
use crate::ops::{FilterLayout, Gemm, Layout};
use crate::rewrite::remove_unread;

/// Folds batch normalization, and sums and products with a constant per channel, into the convolution or matrix product
/// before them.
pub fn fold_batch_normalization(mut graph: Graph) -> Graph {
    for node in &mut graph.nodes {
        for region in &mut node.regions {
            *region = fold_batch_normalization(std::mem::take(region));
        }
    }
    let mut position = 0;
    while position < graph.nodes.len() {
        if fold_node(&mut graph, position).is_some() {
            graph.nodes.remove(position);
        } else {
            position += 1;
        }
    }
    remove_unread(graph)
}

/// Folds the node at `position` into the one that writes its input; the latter then writes what the former wrote.
fn fold_node(graph: &mut Graph, position: usize) -> Option<()> {
    let node = &graph.nodes[position];
    let (x, affine) = Affine::of(graph, node)?;
    let (linear, output) = (graph.producer(x)?, *node.outputs.first()?);
    if graph.read_counts()[x.0 as usize] != 1 {
        return None;
    }
    let absorbed = absorb(graph, &graph.nodes[linear], &affine)?;
    let node = &mut graph.nodes[linear];
    node.operator = absorbed.operator;
    node.outputs[0] = output;
    let (name, x) = (node.name.clone(), node.inputs[0]);
    let w = graph.add_constant(&format!("{name}.weights"), absorbed.weights);
    let bias = absorbed.bias.map(|bias| graph.add_constant(&format!("{name}.bias"), bias));
    graph.nodes[linear].inputs = [vec![x, Some(w)], bias.map(Some).into_iter().collect()].concat();
    Some(())
}

/// `scale[c] * x[…, c, …] + shift[c]` along dimension `axis` of `x`; without an axis all channels have one scale and shift.
struct Affine {
    axis: Option<usize>,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    /// What a node does to one of its inputs, if it is that.
    fn of(graph: &Graph, node: &Node) -> Option<(ValueId, Affine)> {
        if let Operator::BatchNormalization(operator) = &node.operator {
            let x = (*node.inputs.first()?)?;
            let known = |position: usize| constant(graph, *node.inputs.get(position)?).map(Array::to_f64);
            let (scale, bias, mean, variance) = (known(1)?, known(2)?, known(3)?, known(4)?);
            let a: Vec<f64> =
                scale.iter().zip(variance).map(|(s, v)| s / (v + operator.epsilon).sqrt()).collect();
            let shift = bias.iter().zip(&mean).zip(&a).map(|((b, m), a)| b - m * a).collect();
            return Some((x, Affine { axis: Some(operator.axis), scale: a, shift }));
        }
        let &[Some(first), Some(second)] = &node.inputs[..] else { return None };
        let (x, own, x_first) = match (constant(graph, Some(first)), constant(graph, Some(second))) {
            (None, Some(own)) => (first, own, true),
            (Some(own), None) => (second, own, false),
            _ => return None,
        };
        let law: fn(f64) -> (f64, f64) = match (&node.operator, x_first) {
            (Operator::Mul(_), _) => |c| (c, 0.0),
            (Operator::Div(_), true) => |c| (1.0 / c, 0.0),
            (Operator::Add(_), _) => |c| (1.0, c),
            (Operator::Sub(_), true) => |c| (1.0, -c),
            (Operator::Sub(_), false) => |c| (-1.0, c),
            _ => return None,
        };
        let axis = channel_axis(own.shape(), &graph.value(x).shape)?;
        let (scale, shift) = own.to_f64().into_iter().map(law).unzip();
        Some((x, Affine { axis, scale, shift }))
    }

    /// Scale and shift of a channel.
    fn at(&self, channel: usize) -> (f64, f64) {
        match self.axis {
            Some(_) => (self.scale[channel], self.shift[channel]),
            None => (self.scale[0], self.shift[0]),
        }
    }

    fn shifts(&self) -> bool {
        self.shift.iter().any(|&s| s != 0.0)
    }
}

/// The one dimension of `shape` along which a constant of shape `own` varies when it is broadcast; `Some(None)` if it is one
/// number, `None` if it stretches `shape` or varies along several dimensions.
fn channel_axis(own: &[usize], shape: &[usize]) -> Option<Option<usize>> {
    let lead = shape.len().checked_sub(own.len())?;
    let mut varying = own.iter().enumerate().filter(|(_, n)| **n != 1).map(|(d, &n)| (lead + d, n));
    match (varying.next(), varying.next()) {
        (None, _) => Some(None),
        (Some((d, n)), None) if shape[d] == n => Some(Some(d)),
        _ => None,
    }
}

fn constant(graph: &Graph, id: Option<ValueId>) -> Option<&Array> {
    graph.value(id?).constant.as_ref()
}

/// A linear operator after an affine function went into it.
struct Absorbed {
    operator: Operator,
    weights: Array,
    bias: Option<Array>,
}

/// `affine(linear(x))` as one linear operator.
fn absorb(graph: &Graph, linear: &Node, affine: &Affine) -> Option<Absorbed> {
    let shape = &graph.value(*linear.outputs.first()?).shape;
    let weights = constant(graph, *linear.inputs.get(1)?)?;
    let bias = match linear.inputs.get(2).copied().flatten() {
        Some(bias) => Some(constant(graph, Some(bias))?),
        None => None,
    };
    if !weights.dtype().is_float() {
        return None;
    }
    let channels = Channels::of(graph, linear, weights.shape())?;
    let axis = channels.axis;
    let operator = channels.operator.clone();
    let count = shape[axis];
    if affine.axis.is_some_and(|own| own != axis) {
        return None;
    }
    // A bias of one number, or a row of them, is one per channel.
    let start: Vec<f64> = match bias.map(|b| (b.to_f64(), b.shape())) {
        None => vec![0.0; count],
        Some((values, _)) if values.len() == 1 => vec![values[0]; count],
        Some((values, [.., last])) if values.len() == count && *last == count => values,
        _ => return None,
    };
    let start = start.iter().enumerate().map(|(f, b)| {
        let (scale, shift) = affine.at(f);
        Value::from_f64(weights.dtype(), scale * channels.beta * b + shift)
    });
    let bias =
        (bias.is_some() || affine.shifts()).then(|| Array::from_values(weights.dtype(), &[count], start));
    let weights = scaled(weights, |at| affine.at(channels.of_weight(at)).0);
    Some(Absorbed { operator, weights, bias })
}

/// Where a linear operator keeps its output channels.
struct Channels {
    /// The operator with a bias that is not scaled; a product of two matrices becomes one that has a bias.
    operator: Operator,
    /// What the operator scaled its bias with.
    beta: f64,
    /// The dimension of the output.
    axis: usize,
    /// The dimension of the weights.
    dimension: usize,
    /// Where the weights count output channels within the group of their input channel: the dimension of the input channels,
    /// how many of them a group has, and how many output channels.
    group: Option<[usize; 3]>,
}

impl Channels {
    fn of(graph: &Graph, linear: &Node, weights: &[usize]) -> Option<Channels> {
        let rank = graph.value(linear.inputs[0]?).shape.len();
        let last = graph.value(*linear.outputs.first()?).shape.len().checked_sub(1)?;
        let of_layout = |layout| if layout == Layout::ChannelsFirst { 1 } else { last };
        let of_filter = |filter: FilterLayout| filter.split(&(0..weights.len()).collect::<Vec<usize>>());
        let mut operator = linear.operator.clone();
        let mut beta = 1.0;
        let (axis, dimension, group) = match &mut operator {
            Operator::Conv(conv) => (of_layout(conv.layout), of_filter(conv.filter)?.0, None),
            Operator::ConvTranspose(conv) => {
                let (output, input, _) = of_filter(conv.filter)?;
                let inputs = weights[input].checked_div(conv.groups)?;
                let group = conv.grouped_by_input().then_some([input, inputs, weights[output]]);
                (of_layout(conv.layout), output, group)
            }
            Operator::FullyConnected(_) => (last, 0, None),
            Operator::Gemm(gemm) => {
                beta = std::mem::replace(&mut gemm.beta, 1.0);
                (last, usize::from(!gemm.transpose_b), None)
            }
            Operator::MatMul(product) if rank == 2 && weights.len() == 2 => {
                let (transpose_a, transpose_b) = (product.transpose_a, product.transpose_b);
                operator = Gemm { alpha: 1.0, beta: 1.0, transpose_a, transpose_b }.into();
                (last, usize::from(!transpose_b), None)
            }
            _ => return None,
        };
        Some(Channels { operator, beta, axis, dimension, group })
    }

    /// The output channel of an element of the weights.
    fn of_weight(&self, at: &[usize]) -> usize {
        let first = self.group.map_or(0, |[input, inputs, outputs]| at[input] / inputs * outputs);
        first + at[self.dimension]
    }
}

/// `factor[at] * array[at]`.
fn scaled(array: &Array, factor: impl Fn(&[usize]) -> f64) -> Array {
    let strides = row_major_strides(array.shape());
    let place = |position: usize| -> Vec<usize> {
        array.shape().iter().zip(&strides).map(|(&n, &stride)| position / stride as usize % n).collect()
    };
    let value = |(position, value): (usize, Value)| {
        Value::from_f64(array.dtype(), factor(&place(position)) * value.as_f64())
    };
    Array::from_values(array.dtype(), array.shape(), array.values().enumerate().map(value))
}
