//! What a kernel's function is passed.
//!
//! Owns which buffers and numbers these are, and how they are declared: the buffers in the arena, and of constants and numbers those that
//! the function's calls do not agree on, or all constants, where they are apart from the code.

use nablac_index::{DType, TensorId};
use nablac_loops::{Call, Family, Program, Role};

use crate::error::Error;
use crate::identifiers::Identifiers;
use crate::literal::c_type;
use crate::name::Names;

/// A buffer that is passed to a function.
#[derive(Clone)]
pub struct Parameter {
    /// As the family's first kernel names it.
    pub buffer: TensorId,
    /// What the function calls it.
    pub name: String,
    written: bool,
    /// Whether no other parameter reaches the same bytes while one of the two is written.
    alone: bool,
}

/// The buffers that a kernel names and is passed, in the order in which it reads, then writes them. Constants that are `apart` from the code
/// all are.
pub fn parameters(
    program: &Program,
    family: &Family,
    identifiers: &Identifiers,
    apart: bool,
    names: &mut Names,
) -> Result<Vec<Parameter>, Error> {
    let count = program.buffers.len();
    let writes = family.kernel.writes(count);
    let mut ids = family.kernel.reads(count);
    let is_constant = |id: TensorId| matches!(program.buffer(id).role, Role::Constant(_));
    let is_passed = |id: TensorId| apart || !is_constant(id) || !family.agrees_on(id);
    ids.retain(|id| !writes.contains(id) && is_passed(*id));
    ids.extend(writes.iter().copied());
    let calls = family.calls.iter().map(|call| Sharing { program, family, call, writes: &writes });
    for sharing in calls.clone() {
        sharing.check(&ids)?;
    }
    let alone = |id: TensorId| !calls.clone().any(|call| ids.iter().any(|&other| call.share(id, other)));
    let parameter = |id: TensorId, names: &mut Names| {
        let own = &identifiers.buffers[id.0 as usize];
        let constant = format!("{}_weights_", identifiers.prefix);
        let name = names.claim(own.strip_prefix(&constant).unwrap_or(own));
        Parameter { buffer: id, name, written: writes.contains(&id), alone: alone(id) }
    };
    Ok(ids.iter().map(|&id| parameter(id, names)).collect())
}

/// Which buffers share bytes in one call.
struct Sharing<'a> {
    program: &'a Program,
    family: &'a Family,
    call: &'a Call,
    /// Those that the function writes.
    writes: &'a [TensorId],
}

impl Sharing<'_> {
    fn share(&self, a: TensorId, b: TensorId) -> bool {
        let range = |id: TensorId| {
            let buffer = self.program.buffer(self.family.buffer(self.call, id));
            buffer.offset.map(|begin| (begin, begin + buffer.bytes()))
        };
        let (Some((a_begin, a_end)), Some((b_begin, b_end))) = (range(a), range(b)) else { return false };
        let written = self.writes.contains(&a) || self.writes.contains(&b);
        a != b && written && a_begin < b_end && b_begin < a_end
    }

    /// No two that share bytes have different elements of more than a byte: characters may alias anything.
    fn check(&self, ids: &[TensorId]) -> Result<(), Error> {
        let buffer = |id: TensorId| self.program.buffer(self.family.buffer(self.call, id));
        for (position, &a) in ids.iter().enumerate() {
            let mut others = ids[position + 1..].iter().filter(|b| self.share(a, **b)).map(|b| buffer(*b));
            let first = buffer(a);
            let wide = |dtype: DType| dtype.bytes() > 1;
            if let Some(second) =
                others.find(|second| first.dtype != second.dtype && wide(first.dtype) && wide(second.dtype))
            {
                let (first, second) = (first.name.clone(), second.name.clone());
                return Err(Error::Overlap { kernel: self.call.kernel.clone(), first, second });
            }
        }
        Ok(())
    }
}

/// A pointer to a parameter's buffer.
pub fn pointer(program: &Program, parameter: &Parameter, restrict: &str) -> String {
    let constant = if parameter.written { "" } else { "const " };
    format!("{constant}{} *{restrict}{}", c_type(program.buffer(parameter.buffer).dtype), parameter.name)
}

/// The parameters' declarations.
pub fn signature(
    program: &Program,
    counters: &[&str],
    parameters: &[Parameter],
    numbers: &[(DType, &str)],
    upper: &str,
) -> String {
    let counters = counters.iter().map(|name| format!("int32_t {name}"));
    let pointers = parameters.iter().map(|p| {
        let restrict = if p.alone { format!("{upper}_RESTRICT ") } else { String::new() };
        pointer(program, p, &restrict)
    });
    let numbers = numbers.iter().map(|(dtype, name)| format!("{} {name}", c_type(*dtype)));
    let all: Vec<String> = counters.chain(pointers).chain(numbers).collect();
    if all.is_empty() { "void".into() } else { all.join(", ") }
}
