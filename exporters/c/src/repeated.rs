//! What several stores in a row read of a constant that is passed.
//!
//! Owns the variable that is read once for all of them: a compiler that does not see the constant itself must take each store for one that
//! may change it.

use nablac_index::{Access, Index, TensorId};
use nablac_loops::{Statement, flatten};

use crate::error::Error;
use crate::kernel::Body;
use crate::literal::c_type;

/// An element of a buffer that has a variable.
pub struct Repeated {
    pub tensor: TensorId,
    pub position: Index,
    pub name: String,
}

impl Body<'_, '_> {
    /// Declares the variables of the stores that `body` begins with.
    pub fn repeated(&mut self, body: &[Statement]) -> Result<(), Error> {
        let mut elements: Vec<(TensorId, Vec<Index>, Index, usize)> = vec![];
        for statement in body {
            let Statement::Store { value, .. } = statement else { break };
            let mut own: Vec<(TensorId, Index)> = vec![];
            for access in value.accesses() {
                let Some(position) = self.passed_constant(access).filter(|_| access.outside.is_none()) else {
                    continue;
                };
                if own.contains(&(access.tensor, position.clone())) {
                    continue;
                }
                own.push((access.tensor, position.clone()));
                let same =
                    |e: &&mut (TensorId, Vec<Index>, Index, usize)| e.0 == access.tensor && e.2 == position;
                match elements.iter_mut().find(same) {
                    Some((.., times)) => *times += 1,
                    None => elements.push((access.tensor, access.at.clone(), position, 1)),
                }
            }
        }
        for (tensor, at, position, _) in elements.into_iter().filter(|(.., times)| *times > 1) {
            let text = self.writer.element(tensor, &at)?;
            let name = self.names.claim(&format!("{}_here", self.writer.buffers[tensor.0 as usize]));
            let element = c_type(self.writer.scope.tensor(tensor).dtype);
            self.line(&format!("const {element} {name} = {text};"));
            self.writer.repeated.push(Repeated { tensor, position, name });
        }
        Ok(())
    }

    /// The position of an access to a constant that is passed.
    fn passed_constant(&self, access: &Access) -> Option<Index> {
        let shape = self.writer.scope.tensor(access.tensor).shape;
        let flat = || flatten(&access.at, shape, self.writer.bounds.ranges());
        self.passed_constants.contains(&access.tensor).then(flat)
    }
}
