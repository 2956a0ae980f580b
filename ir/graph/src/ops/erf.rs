//! `y[…] = erf(x[…])`

use nablac_index::Unary;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::graph::ValueId;
use crate::import::Reader;
use crate::operator::{Definition, Operation, Spelling, aten, onnx};

/// The error function.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Erf {}

impl Operation for Erf {
    const NAME: &'static str = "erf";
    const SPELLINGS: &'static [Spelling] = &[onnx("Erf", 9), aten("erf.default")];

    fn import(node: &mut Reader) -> Result<Vec<ValueId>, Error> {
        node.same(Erf {})
    }

    fn define(&self, definition: &mut Definition) -> Result<(), Error> {
        definition.map_real(|x| x.unary(Unary::Erf))
    }
}
