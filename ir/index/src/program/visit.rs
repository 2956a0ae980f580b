//! Walks over steps: their statements, and the tensors that they read and write.

use super::{Carry, Loop, Statement, Step, TensorId};

/// Calls `f` with every statement and the counters around it.
pub(super) fn visit_steps<'a>(
    steps: &'a [Step],
    counters: &mut Vec<&'a Loop>,
    f: &mut dyn FnMut(&[&'a Loop], &'a Statement),
) {
    for step in steps {
        match step {
            Step::Statement(statement) => f(counters, statement),
            Step::Repeat(repeat) => {
                counters.push(&repeat.counter);
                visit_steps(&repeat.body, counters, f);
                counters.pop();
            }
            Step::Branch(branch) => {
                visit_steps(&branch.then, counters, f);
                visit_steps(&branch.otherwise, counters, f);
            }
        }
    }
}

/// Calls `f` with each statement of `steps`, to change it in place.
pub fn for_each_statement_mut(steps: &mut [Step], f: &mut dyn FnMut(&mut Statement)) {
    for step in steps {
        match step {
            Step::Statement(statement) => f(statement),
            Step::Repeat(repeat) => for_each_statement_mut(&mut repeat.body, f),
            Step::Branch(branch) => {
                for_each_statement_mut(&mut branch.then, f);
                for_each_statement_mut(&mut branch.otherwise, f);
            }
        }
    }
}

/// Calls `f` with all that repetitions among `steps` carry.
pub fn for_each_carry(steps: &[Step], f: &mut dyn FnMut(&Carry)) {
    for step in steps {
        match step {
            Step::Statement(_) => {}
            Step::Repeat(repeat) => {
                repeat.carried.iter().for_each(&mut *f);
                for_each_carry(&repeat.body, f);
            }
            Step::Branch(branch) => {
                for_each_carry(&branch.then, f);
                for_each_carry(&branch.otherwise, f);
            }
        }
    }
}

/// Calls `f` with each tensor that `steps` read, once per reading place.
pub fn for_each_read(steps: &[Step], f: &mut dyn FnMut(TensorId)) {
    for step in steps {
        match step {
            Step::Statement(statement) => statement.reads().into_iter().for_each(&mut *f),
            Step::Repeat(repeat) => {
                for carry in &repeat.carried {
                    f(carry.initial);
                    f(carry.next);
                }
                for_each_read(&repeat.body, f);
            }
            Step::Branch(branch) => {
                f(branch.condition);
                for_each_read(&branch.then, f);
                for_each_read(&branch.otherwise, f);
            }
        }
    }
}

/// Calls `f` with each tensor that `steps` write, once per writing place.
pub fn for_each_write(steps: &[Step], f: &mut dyn FnMut(TensorId)) {
    for step in steps {
        match step {
            Step::Statement(statement) => f(statement.out),
            Step::Repeat(repeat) => {
                repeat.carried.iter().for_each(|carry| f(carry.state));
                for_each_write(&repeat.body, f);
            }
            Step::Branch(branch) => {
                for_each_write(&branch.then, f);
                for_each_write(&branch.otherwise, f);
            }
        }
    }
}
