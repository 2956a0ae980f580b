//! What is known of a kernel's variables at one place.
//!
//! Owns the proof that an index stays within limits. A variable lies between each of its loop's lower bounds and each of its
//! upper bounds; put in its place, from the innermost loop outwards, they bound the index: with `u` in
//! `max(0, 4 - 2i)..`, `2i + u - 4` is at least `2i + (4 - 2i) - 4 = 0`, which no interval of `u` alone could show.

use nablac_index::{Atom, Binary, Expr, Index, LoopId};

use crate::program::For;

/// A bound that no index of a real array reaches: what is assumed of variables that are out of scope.
const FAR: i64 = 1 << 40;

/// The loops around a place, and the conditions that hold there.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The variables in scope, outermost first.
    open: Vec<Variable>,
    /// The interval of each variable, by position.
    ranges: Vec<(i64, i64)>,
    /// Indices that are known not to be negative.
    guards: Vec<Index>,
    /// Whether nothing runs here: a loop around has no iteration, or a condition never holds.
    empty: bool,
}

/// A variable lies between each of `first` and each of `last`, both included.
#[derive(Clone, Debug)]
struct Variable {
    id: LoopId,
    first: Vec<Index>,
    last: Vec<Index>,
}

impl Bounds {
    /// Outside of all loops of a kernel with this many variables; the counters of repetitions around it come first.
    pub fn new(variables: usize, counters: &[usize]) -> Bounds {
        let mut bounds =
            Bounds { open: vec![], ranges: vec![(-FAR, FAR); variables], guards: vec![], empty: false };
        for (position, &extent) in counters.iter().enumerate() {
            bounds.open(
                LoopId(position as u32),
                vec![Index::constant(0)],
                vec![Index::constant(extent as i64 - 1)],
            );
        }
        bounds
    }

    /// Inside of a loop.
    pub fn inside(&self, nest: &For) -> Bounds {
        let mut bounds = self.clone();
        let mut last: Vec<Index> = nest.upper.iter().map(|index| index.clone() - 1).collect();
        if let ([first], [end]) = (&nest.lower[..], &last[..])
            && let (Some(first), Some(end)) = (first.as_constant(), end.as_constant())
            && end >= first
        {
            last = vec![Index::constant(end - (end - first) % nest.step.max(1) as i64)];
        }
        bounds.open(nest.variable, nest.lower.clone(), last);
        bounds
    }

    /// Where `condition` holds. Comparisons of indices are learned from, and conjunctions of them.
    pub fn given(&self, condition: &Expr) -> Bounds {
        let mut bounds = self.clone();
        bounds.learn(condition);
        // A condition that never holds guards what never runs.
        let impossible = |guard: &Index| bounds.descend(&-guard.clone()).is_some_and(|low| low > 0);
        bounds.empty |= bounds.guards.iter().any(impossible);
        bounds
    }

    fn open(&mut self, id: LoopId, first: Vec<Index>, last: Vec<Index>) {
        let low = first.iter().filter_map(|index| self.lowest(index)).max().unwrap_or(-FAR);
        let high = last.iter().filter_map(|index| self.highest(index)).min().unwrap_or(FAR);
        self.empty |= low > high;
        if let Some(range) = self.ranges.get_mut(id.0 as usize) {
            *range = (low, high.max(low));
        }
        self.open.push(Variable { id, first, last });
    }

    fn learn(&mut self, condition: &Expr) {
        let Expr::Binary(operation, a, b) = condition else { return };
        if *operation == Binary::And {
            self.learn(a);
            self.learn(b);
            return;
        }
        let (Some(a), Some(b)) = (as_index(a), as_index(b)) else { return };
        match operation {
            Binary::Lt => self.guards.push(b - a - 1),
            Binary::Le => self.guards.push(b - a),
            Binary::Gt => self.guards.push(a - b - 1),
            Binary::Ge => self.guards.push(a - b),
            Binary::Eq => self.guards.extend([b.clone() - a.clone(), a - b]),
            _ => {}
        }
    }

    /// Whether `variable` is one of the loops around.
    pub fn is_open(&self, variable: LoopId) -> bool {
        self.open.iter().any(|v| v.id == variable)
    }

    /// Whether nothing can run here.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// The variables in scope, outermost first.
    pub fn variables(&self) -> impl Iterator<Item = LoopId> + '_ {
        self.open.iter().map(|v| v.id)
    }

    /// The interval of each variable by position, both ends included; of those out of scope, more than any array holds.
    pub fn ranges(&self) -> &[(i64, i64)] {
        &self.ranges
    }

    /// The limits of an index, both included, if they are known; `(0, -1)` where nothing runs.
    pub fn range(&self, index: &Index) -> Option<(i64, i64)> {
        if self.empty { Some((0, -1)) } else { Some((self.lowest(index)?, self.highest(index)?)) }
    }

    /// A value that the index is never below: the best one that bounds and conditions show.
    pub fn lowest(&self, index: &Index) -> Option<i64> {
        let guarded = self.guards.iter().map(|guard| index.clone() - guard.clone());
        guarded.chain([index.clone()]).filter_map(|index| self.descend(&index)).max()
    }

    /// A value that the index is never above.
    pub fn highest(&self, index: &Index) -> Option<i64> {
        self.lowest(&-index.clone()).map(|low| -low)
    }

    fn descend(&self, index: &Index) -> Option<i64> {
        if !index.is_affine() {
            let least = |index: Option<Index>| self.descend(&index?);
            return least(without_divisions(index)).max(least(self.without_quotients(index)));
        }
        if let Some(value) = index.as_constant() {
            return Some(value);
        }
        let variable = self.open.iter().rev().find(|v| index.factor(v.id) != 0)?;
        let factor = index.factor(variable.id);
        let rest = index.clone() - Index::of_loop(variable.id) * factor;
        let limits = if factor > 0 { &variable.first } else { &variable.last };
        limits.iter().filter_map(|limit| self.descend(&(rest.clone() + limit.clone() * factor))).max()
    }

    /// The same index, or a smaller one, with the least value of each division and remainder in its place.
    fn without_quotients(&self, index: &Index) -> Option<Index> {
        // Conditions are left out here: they may hold divisions themselves.
        let low = |inner: &Index| self.descend(inner);
        let high = |inner: &Index| self.descend(&-inner.clone()).map(|low| -low);
        index.terms().iter().try_fold(Index::constant(index.offset()), |sum, (atom, factor)| {
            let (low, high) = match atom {
                Atom::Loop(id) => return Some(sum + Index::of_loop(*id) * *factor),
                Atom::Div(inner, n) => (low(inner)?.div_euclid(*n), high(inner)?.div_euclid(*n)),
                Atom::Mod(inner, n) => match (low(inner), high(inner)) {
                    (Some(low), Some(high)) if low.div_euclid(*n) == high.div_euclid(*n) => {
                        (low.rem_euclid(*n), high.rem_euclid(*n))
                    }
                    _ => (0, n - 1),
                },
                Atom::Read(..) => return None,
            };
            Some(sum + if *factor > 0 { low * factor } else { high * factor })
        })
    }
}

/// The same index, or a smaller one, without its divisions, where each has a multiple of its divisor as its factor:
/// `e - (n - 1) <= n*(e / n) <= e`. What the dividend shares with the rest of the index cancels out.
fn without_divisions(index: &Index) -> Option<Index> {
    index.terms().iter().try_fold(Index::constant(index.offset()), |sum, (atom, factor)| match atom {
        Atom::Loop(id) => Some(sum + Index::of_loop(*id) * *factor),
        Atom::Div(inner, n) if factor % n == 0 => {
            let quotient = if *factor > 0 { Index::clone(inner) - (n - 1) } else { Index::clone(inner) };
            Some(sum + quotient * (factor / n))
        }
        _ => None,
    })
}

/// An expression that is an index or an integer.
pub(crate) fn as_index(expression: &Expr) -> Option<Index> {
    match expression {
        Expr::Index(index) => Some(index.clone()),
        Expr::Literal(nablac_index::DType::I64, value) => Some(Index::constant(value.as_i64())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Kind;

    fn v(n: u32) -> Index {
        Index::of_loop(LoopId(n))
    }

    fn nest(variable: u32, lower: Vec<Index>, upper: Vec<Index>) -> For {
        For { variable: LoopId(variable), lower, upper, step: 1, kind: Kind::Serial, body: vec![] }
    }

    #[test]
    fn bounds_that_follow_an_outer_variable_keep_padding_inside() {
        let bounds = Bounds::new(2, &[]).inside(&nest(0, vec![0.into()], vec![25.into()])).inside(&nest(
            1,
            vec![0.into(), v(0) * -2 + 4],
            vec![10.into(), v(0) * -2 + 53],
        ));
        assert_eq!(bounds.range(&(v(0) * 2 + v(1) - 4)), Some((0, 48)));
        assert_eq!(bounds.ranges(), [(0, 24), (0, 9)]);
    }

    #[test]
    fn bounds_of_a_dilated_window_keep_padding_inside() {
        // 0 <= i + 2u - 2 < 9, solved for u
        let (first, end) = ((-v(0) + 3) / 2, (-v(0) + 12) / 2);
        let bounds = Bounds::new(2, &[]).inside(&nest(0, vec![0.into()], vec![9.into()])).inside(&nest(
            1,
            vec![0.into(), first],
            vec![3.into(), end],
        ));
        assert_eq!(bounds.range(&(v(0) + v(1) * 2 - 2)), Some((0, 8)));
    }

    #[test]
    fn a_tile_and_its_tail_stay_inside() {
        let bounds = Bounds::new(2, &[])
            .inside(&For { step: 4, ..nest(0, vec![0.into()], vec![10.into()]) })
            .inside(&nest(1, vec![v(0)], vec![v(0) + 4, 10.into()]));
        assert_eq!(bounds.range(&v(1)), Some((0, 9)));
        assert_eq!(bounds.range(&(v(1) - v(0))), Some((0, 3)));
    }

    #[test]
    fn a_condition_is_learned_from() {
        let bounds = Bounds::new(1, &[]).inside(&nest(0, vec![0.into()], vec![9.into()]));
        let less = Expr::Index(v(0) - 3).binary(Binary::Ge, Expr::integer(nablac_index::DType::I64, 0));
        assert_eq!(bounds.range(&(v(0) - 3)), Some((-3, 5)));
        assert_eq!(bounds.given(&less).range(&(v(0) - 3)), Some((0, 5)));
    }

    #[test]
    fn nothing_is_known_of_data_and_nothing_runs_in_an_empty_loop() {
        let bounds = Bounds::new(1, &[4]);
        assert_eq!(bounds.range(&Index::of_read(nablac_index::TensorId(0), vec![v(0)])), None);
        assert_eq!(Bounds::new(1, &[0]).range(&v(0)), Some((0, -1)));
    }
}
