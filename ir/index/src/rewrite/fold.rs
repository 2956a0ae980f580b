//! Statements that read only constants are run now.

use std::collections::BTreeMap;

use crate::interpret::run_all;
use crate::program::{Program, Role, Statement, Step, TensorId, for_each_write};

/// The most points of loop boxes that folding one tensor may visit.
const POINTS: usize = 100_000_000;

/// A folded tensor of up to this many bytes may be larger than the constants that it is made of.
const SMALL_BYTES: usize = 4096;

/// Replaces every local tensor that only constants go into by a constant, unless that would make the program much larger (a
/// constant broadcast to a large shape stays a broadcast).
pub fn fold_constants(program: Program) -> Program {
    let mut program = program;
    let next: Vec<TensorId> = program.states().map(|(_, state)| state.next).collect();
    for (id, statements) in writers(&program) {
        let constant = |read: &TensorId| matches!(program.tensor(*read).role, Role::Constant(_));
        let reads: Vec<TensorId> = statements.iter().flat_map(|s| s.reads()).collect();
        let local = program.tensor(id).role == Role::Local && !next.contains(&id);
        if !local || !reads.iter().all(constant) || !affordable(&program, id, &statements, &reads) {
            continue;
        }
        if let Some(folded) = evaluate(&program, id, &statements) {
            program.steps.retain(|step| !matches!(step, Step::Statement(s) if s.out == id));
            program.tensors[id.0 as usize].role = Role::Constant(folded);
        }
    }
    program
}

/// The tensors that only statements outside of repetitions and branches write, with those statements, in order.
fn writers(program: &Program) -> Vec<(TensorId, Vec<Statement>)> {
    let mut found: BTreeMap<TensorId, Vec<Statement>> = BTreeMap::new();
    let mut nested = vec![];
    let mut order = vec![];
    for step in &program.steps {
        match step {
            Step::Statement(statement) => {
                let statements = found.entry(statement.out).or_default();
                if statements.is_empty() {
                    order.push(statement.out);
                }
                statements.push(statement.clone());
            }
            other => for_each_write(std::slice::from_ref(other), &mut |id| nested.push(id)),
        }
    }
    order.retain(|id| !nested.contains(id));
    order.into_iter().filter_map(|id| found.remove(&id).map(|statements| (id, statements))).collect()
}

fn affordable(program: &Program, id: TensorId, statements: &[Statement], reads: &[TensorId]) -> bool {
    let bytes = |id: TensorId| program.shape(id).iter().product::<usize>() * program.dtype(id).bytes();
    let points = |s: &Statement| s.loops.iter().fold(1usize, |n, l| n.saturating_mul(l.extent));
    let total = statements.iter().fold(0usize, |sum, s| sum.saturating_add(points(s)));
    total <= POINTS && bytes(id) <= SMALL_BYTES.max(reads.iter().map(|r| bytes(*r)).sum())
}

fn evaluate(program: &Program, id: TensorId, statements: &[Statement]) -> Option<crate::array::Array> {
    let tensors = program.tensors.iter().map(|t| {
        let mut tensor = t.clone();
        if matches!(tensor.role, Role::Input | Role::Output | Role::State(_)) {
            tensor.role = Role::Local;
        }
        if tensor.role == Role::Local && tensor.name != program.tensor(id).name {
            tensor.shape = vec![0]; // never read here
        }
        tensor
    });
    let steps = statements.iter().cloned().map(Step::Statement).collect();
    let alone = Program { name: program.name.clone(), tensors: tensors.collect(), steps };
    run_all(&alone, &[]).ok().map(|memory| memory.array(&alone, id))
}
