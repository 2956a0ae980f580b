//! Multidirectional broadcasting, as numpy, ONNX, TFLite and PyTorch all define it: shapes are aligned at the right, and an
//! extent of one is stretched.

use nablac_index::{DType, Expr, Index, Reduce, TensorId, axes};

use super::Mul;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::Definition;

/// The shape that all of `shapes` stretch to; `None` when two extents disagree.
pub(super) fn shape_of(shapes: &[Vec<usize>]) -> Option<Vec<usize>> {
    let rank = shapes.iter().map(Vec::len).max().unwrap_or(0);
    let mut shape = vec![1; rank];
    for own in shapes {
        for (extent, &n) in shape[rank - own.len()..].iter_mut().zip(own) {
            match (*extent, n) {
                (1, n) => *extent = n,
                (_, 1) => {}
                (a, b) if a == b => {}
                _ => return None,
            }
        }
    }
    Some(shape)
}

/// `tensor`, of shape `own`, read at the position `at` of the broadcast shape.
pub(super) fn read(tensor: TensorId, own: &[usize], at: &[Index]) -> Expr {
    let lead = at.len() - own.len();
    let index =
        |(d, &extent): (usize, &usize)| if extent == 1 { Index::constant(0) } else { at[lead + d].clone() };
    Expr::read(tensor, own.iter().enumerate().map(index).collect::<Vec<_>>())
}

/// `y[…] = body(a[…], b[…], …)` over all inputs, stretched to one shape; they are of one type, and so is the output unless
/// `dtype` says otherwise.
pub(super) fn map(
    definition: &mut Definition,
    dtype: Option<DType>,
    body: impl FnOnce(Vec<Expr>) -> Expr,
) -> Result<(), Error> {
    let own = definition.dtype(definition.input(0)?);
    for position in 1..definition.inputs().len() {
        let other = definition.dtype(definition.input(position)?);
        definition.require(other == own, || format!("operands of type {own} and {other}"))?;
    }
    mixed(definition, dtype.unwrap_or(own), body)
}

/// `y[…] = body(a[…], b[…], …)` over all inputs, of whatever types, stretched to one shape.
pub(super) fn mixed(
    definition: &mut Definition,
    dtype: DType,
    body: impl FnOnce(Vec<Expr>) -> Expr,
) -> Result<(), Error> {
    let inputs: Vec<TensorId> =
        (0..definition.inputs().len()).map(|i| definition.input(i)).collect::<Result<_, _>>()?;
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|&t| definition.shape(t)).collect();
    let shape =
        shape_of(&shapes).ok_or_else(|| definition.malformed(format!("{shapes:?} do not broadcast")))?;
    definition.emit(dtype, &axes(&shape), &[], Reduce::Set, |at| {
        body(inputs.iter().zip(&shapes).map(|(&t, own)| read(t, own, at)).collect())
    });
    Ok(())
}

/// `y[…] = body(a[…], b[…])` of exactly two inputs of one type, with a result of type `dtype`.
pub(super) fn pair_to(
    definition: &mut Definition,
    dtype: DType,
    body: impl FnMut(Expr, Expr) -> Expr,
) -> Result<(), Error> {
    definition.require(definition.inputs().len() == 2, || "it has two operands".into())?;
    let nothing = Expr::literal(dtype, 0.0);
    map(definition, Some(dtype), |operands| operands.into_iter().reduce(body).unwrap_or(nothing))
}

/// `y[…] = body(a[…], b[…])` of exactly two inputs of one type of numbers.
pub(super) fn pair(definition: &mut Definition, body: impl FnMut(Expr, Expr) -> Expr) -> Result<(), Error> {
    definition.require(definition.inputs().len() == 2, || "it has two operands".into())?;
    reduce(definition, body)
}

/// `y[…] = body(body(a[…], b[…]), …)` of one or more inputs of one type of numbers.
pub(super) fn reduce(definition: &mut Definition, body: impl FnMut(Expr, Expr) -> Expr) -> Result<(), Error> {
    let dtype = definition.dtype(definition.input(0)?);
    definition.require(dtype != DType::Bool, || "its operands are booleans, not numbers".into())?;
    let nothing = Expr::literal(dtype, 0.0);
    map(definition, None, |operands| operands.into_iter().reduce(body).unwrap_or(nothing))
}

/// The two operands of a sum; ATen's sums scale the second one by `alpha`.
pub(super) fn scaled(node: &mut Reader) -> Result<[ValueId; 2], Error> {
    let [a, b] = [node.input(0)?, node.input(1)?];
    match node.float("alpha", 1.0)? {
        1.0 => Ok([a, b]),
        alpha => {
            let alpha = node.add_scalar("alpha", node.dtype(b), alpha);
            Ok([a, node.add(Mul {}, &[alpha, b])?])
        }
    }
}
