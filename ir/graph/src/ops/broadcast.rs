//! Multidirectional broadcasting, as numpy, ONNX, TFLite and PyTorch all define it: shapes are aligned at the right, and an
//! extent of one is stretched.

use nablac_index::{DType, Expr, Index, Reduce, TensorId, axes};

use crate::error::Error;
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

/// `y[…] = body(a[…], b[…], …)` over all inputs, stretched to one shape. The output's type is the inputs' own unless `dtype`
/// says otherwise.
pub(super) fn map(
    definition: &mut Definition,
    dtype: Option<DType>,
    body: impl FnOnce(Vec<Expr>) -> Expr,
) -> Result<(), Error> {
    let mut inputs = vec![];
    for position in 0..definition.inputs().len() {
        inputs.push(definition.input(position)?);
    }
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|&t| definition.shape(t)).collect();
    let shape =
        shape_of(&shapes).ok_or_else(|| definition.malformed(format!("{shapes:?} do not broadcast")))?;
    let own = definition.dtype(definition.input(0)?);
    if let Some(other) = inputs.iter().map(|&t| definition.dtype(t)).find(|&t| t != own) {
        return Err(definition.malformed(format!("operands of type {own} and {other}")));
    }
    definition.emit(dtype.unwrap_or(own), &axes(&shape), &[], Reduce::Set, |at| {
        body(inputs.iter().zip(&shapes).map(|(&t, own)| read(t, own, at)).collect())
    });
    Ok(())
}

/// `y[…] = body(a[…], b[…])` of exactly two inputs of one type.
pub(super) fn pair(definition: &mut Definition, body: impl FnOnce(Expr, Expr) -> Expr) -> Result<(), Error> {
    definition.require(definition.inputs().len() == 2, || "it has two operands".into())?;
    map(definition, None, |operands| {
        let mut operands = operands.into_iter();
        match (operands.next(), operands.next()) {
            (Some(a), Some(b)) => body(a, b),
            _ => unreachable!("the number of operands was checked"),
        }
    })
}
