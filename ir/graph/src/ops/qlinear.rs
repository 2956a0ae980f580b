//! ONNX Runtime's operators between scales that are an operator of the graph: QLinearAdd and its like, as its quantizer and fusions write
//! them.

use super::average_pool::AveragePool;
use super::linear_quantization::{Input, Operand, Output, apply};
use super::reduce::{Reduction, normal_axis};
use super::{
    Add, Concat, GlobalAveragePool, Layout, LeakyRelu, Mul, Operator, Pool, ReduceMean, Sigmoid, Softmax, Where,
};
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Spelling, onnx};

/// Where an operator's inputs stand.
#[derive(Clone, Copy)]
enum Operands {
    /// So many tensors, each with its scale and zero point, then those of the output.
    Each(usize),
    /// A condition, then two of those.
    Choice,
    /// The output's scale and zero point, then any number of tensors.
    All,
}

/// An operator as a node of the framework says it.
type Read = fn(&mut Reader) -> Result<Operator, Error>;

const ROWS: &[(Spelling, Operands, Read)] = &[
    (onnx("com.microsoft::QLinearAdd", 1), Operands::Each(2), |_| Ok(Add {}.into())),
    (onnx("com.microsoft::QLinearMul", 1), Operands::Each(2), |_| Ok(Mul {}.into())),
    (onnx("com.microsoft::QLinearWhere", 1), Operands::Choice, |_| Ok(Where {}.into())),
    (onnx("com.microsoft::QLinearSigmoid", 1), Operands::Each(1), |_| Ok(Sigmoid {}.into())),
    (onnx("com.microsoft::QLinearLeakyRelu", 1), Operands::Each(1), leaky_relu),
    (onnx("com.microsoft::QLinearSoftmax", 1), Operands::Each(1), softmax),
    (onnx("com.microsoft::QLinearAveragePool", 1), Operands::Each(1), average_pool),
    (onnx("com.microsoft::QLinearGlobalAveragePool", 1), Operands::Each(1), global_average_pool),
    (onnx("com.microsoft::QLinearReduceMean", 1), Operands::Each(1), reduce_mean),
    (onnx("com.microsoft::QLinearConcat", 1), Operands::All, concat),
];

pub(super) const SPELLINGS: &[Spelling] = &{
    let mut spellings = [ROWS[0].0; ROWS.len()];
    let mut row = 0;
    while row < ROWS.len() {
        spellings[row] = ROWS[row].0;
        row += 1;
    }
    spellings
};

pub(super) fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
    let row = ROWS.iter().find(|row| row.0.name == node.operator());
    let &(_, operands, read) = row.ok_or_else(|| node.malformed("it is no operator between scales"))?;
    let (condition, starts, output) = match operands {
        Operands::Each(count) => (None, (0..count).map(|n| 3 * n).collect(), 3 * count),
        Operands::Choice => (Some(node.input(0)?), vec![1, 4], 7),
        Operands::All if node.inputs().len() % 3 != 2 => {
            return Err(node.malformed("its inputs are not a scale, a zero point, and three for each tensor"));
        }
        Operands::All => (None, (2..node.inputs().len()).step_by(3).collect::<Vec<_>>(), 0),
    };
    let mut inputs: Vec<Input> = condition.map(Input::Plain).into_iter().collect();
    let mut dtypes = vec![];
    for start in starts {
        let operand = Operand::new(node, start)?;
        dtypes.push(node.dtype(operand.integers));
        inputs.push(Input::Quantized(operand));
    }
    let Some(&first) = dtypes.first() else { return Err(node.malformed("it has no input")) };
    let output = Output::new(node, output, first)?;
    if let Some(other) = dtypes.iter().chain([&output.dtype]).find(|dtype| **dtype != first) {
        return Err(node.malformed(format!("integers of type {first} and {other}")));
    }
    let operator = read(node)?;
    Ok(vec![apply(node, operator, &inputs, &output)?])
}

fn leaky_relu(node: &mut Reader) -> Result<Operator, Error> {
    Ok(LeakyRelu { alpha: node.float("alpha", 0.01)? }.into())
}

/// The operator set that the node's `axis` is to be read by stands in `opset`.
fn softmax(node: &mut Reader) -> Result<Operator, Error> {
    let rank = node.shape(node.input(0)?).len();
    let axis = normal_axis(node, node.int("axis", -1)?, rank)?;
    let axes = if node.int("opset", 13)? < 13 { (axis..rank).collect() } else { vec![axis] };
    Ok(Softmax { axes, beta: 1.0 }.into())
}

fn average_pool(node: &mut Reader) -> Result<Operator, Error> {
    let count_padding = node.int("count_include_pad", 0)? != 0;
    Ok(AveragePool { pool: Pool::import(node)?, count_padding }.into())
}

fn global_average_pool(node: &mut Reader) -> Result<Operator, Error> {
    let last = node.int("channels_last", 0)? != 0;
    let layout = if last { Layout::ChannelsLast } else { Layout::ChannelsFirst };
    Ok(GlobalAveragePool { layout }.into())
}

fn reduce_mean(node: &mut Reader) -> Result<Operator, Error> {
    let rank = node.shape(node.input(0)?).len();
    let given = node.ints("axes")?.unwrap_or_else(|| (0..rank as i64).collect());
    let mut axes = node.axes(&given, rank)?;
    axes.sort();
    Ok(ReduceMean { reduction: Reduction { axes, keep_dimensions: node.int("keepdims", 1)? != 0 } }.into())
}

fn concat(node: &mut Reader) -> Result<Operator, Error> {
    let rank = node.shape(node.input(2)?).len();
    Ok(Concat { axis: node.axis(node.int("axis", 1)?, rank)? }.into())
}
