//! `if condition { y = then(…) } else { y = otherwise(…) }`

use nablac_index::{Builder, DType, TensorId};
use serde::{Deserialize, Serialize};

use crate::define::{copy, define_region};
use crate::error::Error;
use crate::graph::{Graph, ValueId};
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, onnx, tflite};

/// A choice between two subgraphs. The inputs are the condition, then those of the first subgraph, then those of the second.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct If {}

impl Operation for If {
    const NAME: &'static str = "if";
    const SPELLINGS: &'static [Spelling] = &[onnx("If", 1), tflite("IF")];

    /// A constant condition leaves the chosen subgraph alone, in place of the node; the other one may be anything.
    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let names = match node.operator() {
            "IF" => ["then_subgraph_index", "else_subgraph_index"],
            _ => ["then_branch", "else_branch"],
        };
        let condition = node.input(0)?;
        let operands = node.inputs()[1..].iter().flatten().copied().collect::<Vec<ValueId>>();
        let given: Vec<_> = operands.iter().map(|&id| node.given(id)).collect();
        if let Some(known) = node.known(condition) {
            let name = if known.to_i64().first() == Some(&0) { names[1] } else { names[0] };
            let region = node.region(name, &given)?;
            return Ok(node.inline(&region.graph, &[operands, region.captures].concat()));
        }
        let mut inputs = vec![Some(condition)];
        let mut regions = vec![];
        for name in names {
            let region = node.region(name, &given)?;
            inputs.extend(operands.iter().chain(&region.captures).copied().map(Some));
            regions.push(region.graph);
        }
        node.add_with(If {}, &inputs, regions)
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let sides: [&Graph; 2] = definition.regions()?;
        let condition = definition.input(0)?;
        let (dtype, shape) = (definition.dtype(condition), definition.shape(condition));
        definition.require(dtype == DType::Bool && shape.iter().all(|&n| n == 1), || {
            format!("its condition is {dtype}{shape:?}, not one boolean")
        })?;
        let inputs: Vec<TensorId> =
            (1..definition.inputs().len()).map(|i| definition.input(i)).collect::<Result<_, _>>()?;
        let split = sides[0].inputs.len();
        definition.require(inputs.len() >= split, || "its subgraphs have too many inputs".into())?;
        let types = sides.map(output_types);
        if types[0] != types[1] {
            let reason = format!("one side gives {:?}, the other {:?}: make them agree", types[0], types[1]);
            return Err(definition.unsupported(reason));
        }
        let local = |(dtype, shape): &(DType, Vec<usize>)| definition.builder.local("", *dtype, shape);
        let outputs: Vec<TensorId> = types[0].iter().map(local).collect();
        let mut results = [Ok(()), Ok(())];
        let [then, otherwise] = &mut results;
        definition.builder.branch(
            condition,
            |builder| *then = side(builder, sides[0], &inputs[..split], &outputs),
            |builder| *otherwise = side(builder, sides[1], &inputs[split..], &outputs),
        );
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        outputs.into_iter().for_each(|y| definition.output(y));
        Ok(())
    }
}

fn output_types(region: &Graph) -> Vec<(DType, Vec<usize>)> {
    let value = |&id| region.value(id);
    region.outputs.iter().map(value).map(|value| (value.dtype, value.shape.clone())).collect()
}

fn side(
    builder: &mut Builder,
    region: &Graph,
    inputs: &[TensorId],
    outputs: &[TensorId],
) -> Result<(), Error> {
    let results = define_region(region, builder, inputs)?;
    results.into_iter().zip(outputs).for_each(|(result, &y)| copy(builder, result, y));
    Ok(())
}
