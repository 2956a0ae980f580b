//! Constants of 4-bit elements are stored two to a byte, the first in its lower half:
//! `c[at]` is `(packed[flat / 2] << (4 - 4 (flat % 2))) >> 4` in signed bytes, where `flat` is the row-major position of `at`.

use std::collections::BTreeMap;

use nablac_index::{
    Array, Atom, Binary, DType, Expr, Index, Program, Role, Statement, TensorId, Value,
    for_each_statement_mut, row_major_strides,
};

/// Packs every 4-bit constant whose elements are read as values; what is read as an index, or computed, has a byte per element.
pub(super) fn pack_constants(mut program: Program) -> Program {
    let mut indices: Vec<TensorId> = vec![];
    program.visit_statements(&mut |_, statement| indices.extend(read_as_indices(statement)));
    let mut strides: BTreeMap<TensorId, Vec<i64>> = BTreeMap::new();
    for (position, tensor) in program.tensors.iter_mut().enumerate().filter(|(_, t)| t.dtype.is_packed()) {
        let id = TensorId(position as u32);
        tensor.dtype = DType::I8;
        if let Role::Constant(array) = &tensor.role {
            let packs = !indices.contains(&id);
            let array = if packs { packed(array) } else { widened(array) };
            if packs {
                strides.insert(id, row_major_strides(&tensor.shape));
                tensor.shape = array.shape().to_vec();
            }
            tensor.role = Role::Constant(array);
        }
    }
    if !strides.is_empty() {
        for_each_statement_mut(&mut program.steps, &mut |statement| {
            statement.body = statement.body.rewrite(&mut |node| match node {
                Expr::Read(access) => match strides.get(&access.tensor) {
                    Some(strides) => unpacking(access.tensor, &access.at, strides),
                    None => Expr::Read(access),
                },
                other => other,
            });
        });
    }
    program
}

fn read_as_indices(statement: &Statement) -> Vec<TensorId> {
    let mut found = vec![];
    for index in statement.body.indices().into_iter().chain(&statement.at) {
        index.visit_atoms(&mut |atom| {
            if let Atom::Read(tensor, _) = atom {
                found.push(*tensor);
            }
        });
    }
    found
}

fn packed(array: &Array) -> Array {
    let values = array.to_i64();
    let bytes = values.chunks(2).map(|pair| (pair[0] & 15) | (pair.get(1).copied().unwrap_or(0) << 4));
    Array::from_values(DType::I8, &[values.len().div_ceil(2)], bytes.map(Value::Int))
}

fn widened(array: &Array) -> Array {
    Array::from_values(DType::I8, array.shape(), array.values())
}

fn unpacking(packed: TensorId, at: &[Index], strides: &[i64]) -> Expr {
    let flat =
        at.iter().zip(strides).fold(Index::default(), |sum, (index, stride)| sum + index.clone() * *stride);
    let unused = Expr::Index(Index::constant(4) - (flat.clone() % 2) * 4).cast(DType::I8);
    let byte = Expr::read(packed, [flat / 2]);
    byte.binary(Binary::Shl, unused).binary(Binary::Shr, Expr::integer(DType::I8, 4))
}
