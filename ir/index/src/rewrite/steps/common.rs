//! The shifts that lines are to have, so that they differ in constants alone.
//!
//! A line's slope has more bits than its steps need: it may do with a smaller shift than its largest. Sums over the same box that end at
//! the same shift are the same code, which can run with either's constants. So they take the smallest of their largest shifts.

use crate::expression::{Access, Expr};
use crate::program::{Program, Statement, Step};

use super::line::{LARGEST_SHIFT, LARGEST_SLOPE};
use super::{accumulator, function_of, is_byte, is_worth};

/// The extents of the loops of a statement that ends a sum, and of those that add it up.
type Extents = Vec<Vec<usize>>;

/// The smallest of the largest shifts of what ends sums over a box.
pub(super) struct Shifts {
    by_extents: Vec<(Extents, u32)>,
}

impl Shifts {
    /// Those of a program's statements at the top level.
    pub fn of(program: &Program) -> Shifts {
        let mut shifts = Shifts { by_extents: vec![] };
        for step in &program.steps {
            let Step::Statement(statement) = step else { continue };
            statement.body.visit(&mut |node| {
                if !is_byte(program, node) || !is_worth(program, node) {
                    return;
                }
                let Some(sum) = accumulator(program, node) else { return };
                let Some(own) = largest(program, statement, node, sum) else { return };
                let extents = extents(program, statement, sum);
                match shifts.by_extents.iter_mut().find(|(other, _)| *other == extents) {
                    Some((_, least)) => *least = own.min(*least),
                    None => shifts.by_extents.push((extents, own)),
                }
            });
        }
        shifts
    }

    /// The largest shifts to try for what ends a sum, one after the other.
    pub fn tries(&self, program: &Program, statement: &Statement, node: &Expr, sum: &Access) -> Vec<u32> {
        let extents = extents(program, statement, sum);
        let common = self.by_extents.iter().find(|(other, _)| *other == extents).map(|(_, shift)| *shift);
        let own = largest(program, statement, node, sum);
        let smaller = common.filter(|common| own.is_some_and(|own| *common < own));
        smaller.into_iter().chain([LARGEST_SHIFT]).collect()
    }
}

/// The largest shift with which the slope of each channel is an operand, were nothing rounded.
fn largest(program: &Program, statement: &Statement, node: &Expr, sum: &Access) -> Option<u32> {
    let function = function_of(program, statement, node, &Expr::Read(sum.clone()))?;
    let slopes =
        function.channels()?.iter().map(|c| Some(function.slopes(c)?[0])).collect::<Option<Vec<_>>>()?;
    let steepest = slopes.into_iter().fold(0.0, f64::max);
    let shift = (LARGEST_SLOPE as f64 / steepest).log2() - 32.0;
    Some(shift.floor().clamp(0.0, f64::from(LARGEST_SHIFT)) as u32)
}

fn extents(program: &Program, statement: &Statement, sum: &Access) -> Extents {
    let own = |statement: &Statement| statement.loops.iter().map(|l| l.extent).collect();
    let adds = |statement: &&Statement| statement.out == sum.tensor;
    let all = program.statements();
    [statement].into_iter().chain(all.into_iter().filter(adds)).map(own).collect()
}
