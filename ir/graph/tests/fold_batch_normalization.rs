//! Folding batch normalization keeps what a graph computes, and leaves one node where there were several.

#![allow(clippy::unwrap_used)]

use nablac_graph::ops::{
    Add, BatchNormalization, Conv, ConvTranspose, Div, FilterLayout, FullyConnected, Gemm, Layout, MatMul,
    Mul, Relu, Sub, Window,
};
use nablac_graph::{Graph, Operator, ValueId, define, fold_batch_normalization};
use nablac_index::{Array, DType, run, verify};

/// Numbers between 0.5 and 1.5 without an obvious order.
fn numbers(shape: &[usize], seed: usize) -> Array {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| 0.5 + ((i * 37 + seed * 17) % 101) as f32 / 101.0).collect();
    Array::from_f32(shape, &values)
}

/// A graph under construction: a chain of nodes from one input.
struct Chain {
    graph: Graph,
    last: ValueId,
}

impl Chain {
    fn new(shape: &[usize]) -> Chain {
        let mut graph = Graph::default();
        let last = graph.add_value("x", DType::F32, shape, None);
        graph.inputs.push(last);
        Chain { graph, last }
    }

    /// Applies an operator to the last value and constants of these shapes.
    fn then(mut self, operator: impl Into<Operator>, constants: &[&[usize]]) -> Chain {
        let mut inputs = vec![Some(self.last)];
        for shape in constants {
            let seed = self.graph.values.len();
            inputs.push(Some(self.graph.add_constant("c", numbers(shape, seed))));
        }
        self.last = self.graph.add_node("node", operator.into(), &inputs, vec![]).unwrap()[0];
        self
    }

    fn normalized(self, channels: usize, axis: usize) -> Chain {
        let own: &[usize] = &[channels];
        self.then(BatchNormalization { epsilon: 1e-3, axis }, &[own; 4])
    }

    fn finish(mut self) -> Graph {
        self.graph.outputs.push(self.last);
        self.graph
    }

    /// Folds, compares what both graphs compute, and gives the names of the operators that are left.
    fn folded(self) -> Vec<&'static str> {
        let graph = self.finish();
        let x = numbers(&graph.value(graph.inputs[0]).shape, 5);
        let folded = fold_batch_normalization(graph.clone());
        let results = [&graph, &folded].map(|graph| {
            let program = define(graph).unwrap();
            verify(&program).unwrap();
            run(&program, std::slice::from_ref(&x)).unwrap()
        });
        assert_eq!(results[0][0].shape(), results[1][0].shape());
        let (before, after) = (results[0][0].to_f64(), results[1][0].to_f64());
        let range = before.iter().fold(1.0f64, |m, x| m.max(x.abs()));
        assert!(
            before.iter().zip(&after).all(|(a, b)| (a - b).abs() <= 1e-5 * range),
            "{before:?} {after:?}"
        );
        folded.nodes.iter().map(|node| node.operator.name()).collect()
    }
}

fn window(rank: usize) -> Window {
    Window { strides: vec![1; rank], dilations: vec![1; rank], padding: vec![[1, 0]; rank] }
}

fn conv(groups: usize, layout: Layout, filter: FilterLayout) -> Conv {
    Conv { groups, layout, filter, window: window(2) }
}

#[test]
fn into_convolutions() {
    let (first, last) = (Layout::ChannelsFirst, Layout::ChannelsLast);
    let plain = conv(1, first, FilterLayout::Oihw);
    let chain = || Chain::new(&[1, 2, 3, 3]);
    assert_eq!(chain().then(plain.clone(), &[&[3, 2, 2, 2], &[3]]).normalized(3, 1).folded(), ["conv"]);
    assert_eq!(chain().then(plain.clone(), &[&[3, 2, 2, 2]]).normalized(3, 1).folded(), ["conv"]);
    let grouped = conv(2, first, FilterLayout::Oihw);
    assert_eq!(chain().then(grouped, &[&[4, 1, 2, 2], &[4]]).normalized(4, 1).folded(), ["conv"]);
    let image = || Chain::new(&[1, 3, 3, 2]);
    let lite = conv(1, last, FilterLayout::Ohwi);
    assert_eq!(image().then(lite, &[&[3, 2, 2, 2], &[3]]).normalized(3, 3).folded(), ["conv"]);
    let depthwise = conv(2, last, FilterLayout::Ihwo);
    assert_eq!(image().then(depthwise, &[&[1, 2, 2, 4], &[4]]).normalized(4, 3).folded(), ["conv"]);
}

#[test]
fn into_transposed_convolutions() {
    let transposed = |groups, layout, filter| ConvTranspose {
        groups,
        layout,
        filter,
        window: window(1),
        output_padding: vec![0],
    };
    let first = transposed(2, Layout::ChannelsFirst, FilterLayout::Iohw);
    let chain = Chain::new(&[1, 4, 3]).then(first, &[&[4, 3, 2], &[6]]).normalized(6, 1);
    assert_eq!(chain.folded(), ["conv_transpose"]);
    let last = transposed(1, Layout::ChannelsLast, FilterLayout::Ohwi);
    let chain = Chain::new(&[1, 3, 2]).then(last, &[&[3, 2, 2]]).normalized(3, 2);
    assert_eq!(chain.folded(), ["conv_transpose"]);
}

#[test]
fn into_matrix_products() {
    let gemm = |beta, transpose_b| Gemm { alpha: 0.5, beta, transpose_a: false, transpose_b };
    let chain = || Chain::new(&[2, 3]);
    assert_eq!(chain().then(gemm(2.0, true), &[&[4, 3], &[1, 4]]).normalized(4, 1).folded(), ["gemm"]);
    assert_eq!(chain().then(gemm(2.0, false), &[&[3, 4], &[]]).normalized(4, 1).folded(), ["gemm"]);
    assert_eq!(chain().then(gemm(1.0, false), &[&[3, 4]]).normalized(4, 1).folded(), ["gemm"]);
    let product = MatMul { transpose_a: false, transpose_b: false };
    assert_eq!(chain().then(product.clone(), &[&[3, 4]]).then(Add {}, &[&[4]]).folded(), ["gemm"]);
    let dense = FullyConnected { keep_dimensions: false };
    assert_eq!(chain().then(dense, &[&[4, 3], &[4]]).then(Mul {}, &[&[4]]).folded(), ["fully_connected"]);
    let stack = Chain::new(&[2, 2, 3]).then(product, &[&[3, 4]]).then(Add {}, &[&[4]]);
    assert_eq!(stack.folded(), ["mat_mul", "add"]);
}

#[test]
fn arithmetic_per_channel() {
    let chain = || {
        let plain = conv(1, Layout::ChannelsFirst, FilterLayout::Oihw);
        Chain::new(&[1, 2, 3, 3]).then(plain, &[&[3, 2, 2, 2]])
    };
    let channel: &[usize] = &[3, 1, 1];
    let all = chain().then(Mul {}, &[channel]).then(Add {}, &[&[1, 3, 1, 1]]);
    assert_eq!(all.then(Sub {}, &[channel]).then(Div {}, &[&[]]).folded(), ["conv"]);
    // Along the rows, or for each element, there is no scale per channel.
    assert_eq!(chain().then(Mul {}, &[&[3, 1]]).folded(), ["conv", "mul"]);
    assert_eq!(chain().then(Add {}, &[&[3, 3, 3]]).folded(), ["conv", "add"]);
    assert_eq!(chain().then(Add {}, &[&[2, 3, 1, 1]]).folded(), ["conv", "add"]);
    assert_eq!(chain().then(Relu {}, &[]).then(Mul {}, &[channel]).folded(), ["conv", "relu", "mul"]);
}

#[test]
fn a_constant_first_operand() {
    let plain = conv(1, Layout::ChannelsFirst, FilterLayout::Oihw);
    let mut chain = Chain::new(&[1, 2, 3, 3]).then(plain, &[&[3, 2, 2, 2], &[3]]);
    let own = chain.graph.add_constant("c", numbers(&[3, 1, 1], 9));
    let inputs = [Some(own), Some(chain.last)];
    chain.last = chain.graph.add_node("node", Sub {}.into(), &inputs, vec![]).unwrap()[0];
    assert_eq!(chain.folded(), ["conv"]);
}

#[test]
fn not_where_another_reads_the_value_between() {
    let plain = conv(1, Layout::ChannelsFirst, FilterLayout::Oihw);
    let mut chain = Chain::new(&[1, 2, 3, 3]).then(plain, &[&[3, 2, 2, 2], &[3]]);
    chain.graph.outputs.push(chain.last);
    assert_eq!(chain.normalized(3, 1).folded(), ["conv", "batch_normalization"]);
}
