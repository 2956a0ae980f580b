//! `repeat time: trips carrying state = initial then next { condition, next, part = body(time, condition, state) }`, where
//! `y = state` in the end, and `y[time, …] = part[…]`. Once the condition is false, the states stay as they are.

use nablac_index::{Array, Binary, Builder, DType, Expr, Index, Reduce, TensorId, Value};
use serde::{Deserialize, Serialize};

use super::concat::concat;
use super::repetition::{keeps_types, repeat, store};
use super::reshape::reshape;
use crate::define::define_region;
use crate::error::Error;
use crate::graph::{Graph, ValueId};
use crate::import::{Given, Reader, Region};
use crate::operator::{Definition, Operation, Spelling, onnx};

/// A subgraph that is repeated. The inputs are the condition before the first iteration (where it is absent, every iteration
/// runs), the initial states, and what else the body reads. The body is given the time, the condition, the states and the
/// rest; it gives the next condition, the next states, and parts that are stacked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Loop {
    /// The number of iterations, unless the condition ends them before.
    pub trips: usize,
    /// The number of states.
    pub states: usize,
}

/// A trip count beyond which a loop is one that only its condition ends: exporters write the largest integer then.
const MOST_TRIPS: i64 = 1 << 31;

/// The most iterations of a loop that is unrolled: they all become nodes.
const MOST_UNROLLED: i64 = 256;

impl Operation for Loop {
    const NAME: &'static str = "loop";
    const SPELLINGS: &'static [Spelling] = &[onnx("Loop", 1)];

    /// A loop that can't be repeated as one body, for its states change their shapes or its condition can't be bounded, is
    /// unrolled where everything that decides so is known.
    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        let trips = match node.optional_constant(0)?.map(|array| array.to_i64()).as_deref() {
            None => i64::MAX,
            Some(&[trips]) => trips.max(0),
            Some(_) => return Err(node.malformed("its trip count is not one number")),
        };
        let known = match node.optional(1) {
            Some(condition) => node.known(condition).map(|array| array.to_i64() != [0]),
            None => Some(true),
        };
        let trips = if known == Some(false) { 0 } else { trips };
        let initial: Vec<ValueId> = node.inputs().iter().skip(2).flatten().copied().collect();
        match rolled(node, trips, known, &initial) {
            Err(error) if error.is_unsupported() && known.is_some() => {
                unrolled(node, trips, initial).map_err(|_| error)
            }
            result => result,
        }
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        let [body] = definition.regions()?;
        let others: Vec<TensorId> =
            (1..definition.inputs().len()).map(|i| definition.input(i)).collect::<Result<_, _>>()?;
        definition.require(others.len() >= self.states, || "it has too few inputs".into())?;
        let (initial, captures) = others.split_at(self.states);
        definition.require(body.outputs.len() > self.states, || "its body has too few outputs".into())?;
        keeps_types(definition, body, 1, initial)?;
        let condition = definition.optional(0);
        let next = body.value(body.outputs[0]);
        let given = condition.map(|t| (definition.dtype(t), definition.shape(t)));
        for (dtype, shape) in given.into_iter().chain([(next.dtype, next.shape.clone())]) {
            definition.require(dtype == DType::Bool && shape.iter().all(|&n| n == 1), || {
                format!("its condition is {dtype}{shape:?}, not one boolean")
            })?;
        }
        if condition.is_some() && body.outputs.len() > 1 + self.states {
            return Err(definition.unsupported(
                "it stacks values, and how many depends on a condition: make the condition constant",
            ));
        }
        let states = match condition {
            Some(condition) => self.define_conditional(definition, body, condition, initial, captures)?,
            None => self.define_counted(definition, body, initial, captures)?,
        };
        states.into_iter().for_each(|state| definition.output(state));
        Ok(())
    }
}

impl Loop {
    /// Every iteration runs; gives the final states, then the stacks.
    fn define_counted(
        &self,
        definition: &mut Definition,
        body: &Graph,
        initial: &[TensorId],
        captures: &[TensorId],
    ) -> Result<Vec<TensorId>, Error> {
        let stacks: Vec<TensorId> = body.outputs[1 + self.states..]
            .iter()
            .map(|&id| {
                let part = body.value(id);
                definition.builder.local("", part.dtype, &[&[self.trips], &part.shape[..]].concat())
            })
            .collect();
        let states = repeat(definition, self.trips, initial, |builder, time, states| {
            let lead = [counter(builder, time), builder.constant("true", truth())];
            let results = define_region(body, builder, &[&lead, states, captures].concat())?;
            let (next, parts) = results[1..].split_at(self.states);
            parts.iter().zip(&stacks).for_each(|(&part, &stack)| store(builder, stack, 0, time, part));
            Ok(next.to_vec())
        })?;
        Ok([states, stacks].concat())
    }

    /// The condition is a state of its own.
    fn define_conditional(
        &self,
        definition: &mut Definition,
        body: &Graph,
        condition: TensorId,
        initial: &[TensorId],
        captures: &[TensorId],
    ) -> Result<Vec<TensorId>, Error> {
        let rank = definition.shape(condition).len();
        let going = definition
            .builder
            .map("condition", DType::Bool, &[], |_| Expr::read(condition, vec![0.into(); rank]));
        let all = [&[going], initial].concat();
        let mut states = repeat(definition, self.trips, &all, |builder, time, states| {
            let (going, states) = (states[0], &states[1..]);
            let lead = [counter(builder, time), going];
            let results = define_region(body, builder, &[&lead, states, captures].concat())?;
            let rank = builder.shape(results[0]).len();
            let still = builder.map("condition", DType::Bool, &[], |_| {
                Expr::read(going, []).binary(Binary::And, Expr::read(results[0], vec![0.into(); rank]))
            });
            let mut next = vec![still];
            for (&state, &result) in states.iter().zip(&results[1..]) {
                let (dtype, shape) = (builder.dtype(state), builder.shape(state));
                next.push(builder.map("next", dtype, &shape, |at| {
                    Expr::read(going, []).select(Expr::read(result, at), Expr::read(state, at))
                }));
            }
            Ok(next)
        })?;
        Ok(states.split_off(1))
    }
}

/// One node for the whole loop.
fn rolled(
    node: &mut Reader,
    trips: i64,
    known: Option<bool>,
    initial: &[ValueId],
) -> Result<Vec<ValueId>, Error> {
    if trips >= MOST_TRIPS {
        return Err(node.unsupported(
            "only its condition ends it: give it a constant trip count, the most iterations it may need",
        ));
    }
    let mut given = vec![Given::Type(DType::I64, vec![]), Given::Type(DType::Bool, vec![])];
    given.extend(initial.iter().map(|&id| node.given(id)));
    let body = node.region("body", &given)?;
    let condition = match known {
        Some(false) => None,
        Some(true) if stays_true(&body) => None,
        Some(true) => Some(node.add_constant("true", truth())),
        None => node.optional(1),
    };
    let others = initial.iter().copied().chain(body.captures).map(Some);
    let inputs: Vec<_> = std::iter::once(condition).chain(others).collect();
    node.add_with(Loop { trips: trips as usize, states: initial.len() }, &inputs, vec![body.graph])
}

/// The nodes of every iteration, one behind the other. The time is a constant in each, and the condition must be one.
fn unrolled(node: &mut Reader, trips: i64, mut states: Vec<ValueId>) -> Result<Vec<ValueId>, Error> {
    let mut parts: Vec<Vec<ValueId>> = vec![];
    for time in 0..trips {
        if time == MOST_UNROLLED {
            return Err(node.unsupported("it has too many iterations to be unrolled"));
        }
        let mut given = vec![Given::Known(Array::from_i64(&[], &[time])), Given::Known(truth())];
        let mut inputs = vec![];
        for &state in &states {
            given.push(match node.known(state) {
                Some(array) => Given::Known(array),
                None => {
                    inputs.push(state);
                    node.given(state)
                }
            });
        }
        let body = node.region("body", &given)?;
        let results = node.inline(&body.graph, &[inputs, body.captures].concat());
        let Some((&condition, results)) = results.split_first().filter(|(_, r)| r.len() >= states.len())
        else {
            return Err(node.malformed("its body has too few outputs"));
        };
        let (next, stacked) = results.split_at(states.len());
        parts.push(stacked.to_vec());
        states = next.to_vec();
        if node.constant_of(condition)?.to_i64() == [0] {
            break;
        }
    }
    let stacks = parts.first().map_or(0, Vec::len);
    if states.len() + stacks < node.output_count() {
        return Err(node.unsupported("it stacks values, but never runs"));
    }
    for stack in 0..stacks {
        let mut rows = vec![];
        for part in &parts {
            let shape = node.shape(part[stack]);
            rows.push(reshape(node, part[stack], &[&[1], &shape[..]].concat())?);
        }
        states.push(concat(node, 0, &rows)?);
    }
    Ok(states)
}

/// The time as a tensor, which the body reads.
fn counter(builder: &mut Builder, time: &Index) -> TensorId {
    builder.emit("time", DType::I64, &[], &[], Reduce::Set, |_| Expr::Index(time.clone()))
}

fn truth() -> Array {
    Array::from_values(DType::Bool, &[], [Value::Int(1)])
}

/// Whether a body whose condition was true leaves it true.
fn stays_true(body: &Region) -> bool {
    let Some(&next) = body.graph.outputs.first() else { return false };
    next == body.graph.inputs[1]
        || body.graph.value(next).constant.as_ref().is_some_and(|array| array.to_i64() == [1])
}
