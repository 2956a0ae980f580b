//! The activation that a TFLite operator carries with it, as a node of its own.

use super::clip::clip;
use super::relu::Relu;
use super::tanh::Tanh;
use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;

/// Applies the node's `fused_activation_function` (enumerators of the TFLite schema) to `x`.
pub(super) fn fused(node: &mut Reader, x: ValueId) -> Result<ValueId, Error> {
    match node.int("fused_activation_function", 0)? {
        0 => Ok(x),
        1 => node.add(Relu {}, &[x]),
        2 => clip(node, x, -1.0, 1.0),
        3 => clip(node, x, 0.0, 6.0),
        4 => node.add(Tanh {}, &[x]),
        other => Err(node
            .unsupported(format!("activation {other} is not supported: apply it as an operator of its own"))),
    }
}
