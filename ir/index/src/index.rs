//! Indices: affine functions of loops, with `/` and `%` by constants and reads of integer tensors.
//!
//! Owns the normal form `c0*a0 + c1*a1 + … + constant` over sorted atoms, its algebra, and the ranges of
//! its values. Division rounds towards minus infinity and the remainder is never negative, so that
//! `n*(e / n) + e % n == e` holds for every `e`.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use crate::program::{LoopId, TensorId};

mod division;

use division::{quotient, remainder};

/// A sum of integer multiples of atoms, and a constant. Atoms are sorted and distinct, factors non-zero, so
/// that equal functions built in different orders are equal values.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Index {
    terms: Vec<(Atom, i64)>,
    constant: i64,
}

/// What an index is made of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Atom {
    /// The value of a loop.
    Loop(LoopId),
    /// `index / n`, rounded down; `n > 0`.
    Div(Box<Index>, i64),
    /// `index % n`, in `0..n`; `n > 0`.
    Mod(Box<Index>, i64),
    /// An element of an integer tensor.
    Read(TensorId, Vec<Index>),
}

impl Index {
    /// The constant index `value`.
    pub fn constant(value: i64) -> Index {
        Index { terms: vec![], constant: value }
    }

    /// The value of loop `id`.
    pub fn of_loop(id: LoopId) -> Index {
        Index::of_atom(Atom::Loop(id))
    }

    /// The element `tensor[at]` of an integer tensor.
    pub fn of_read(tensor: TensorId, at: Vec<Index>) -> Index {
        Index::of_atom(Atom::Read(tensor, at))
    }

    fn of_atom(atom: Atom) -> Index {
        Index { terms: vec![(atom, 1)], constant: 0 }
    }

    /// The atoms and their factors.
    pub fn terms(&self) -> &[(Atom, i64)] {
        &self.terms
    }

    /// The constant part.
    pub fn offset(&self) -> i64 {
        self.constant
    }

    /// The loop, if the index is that loop's value and nothing else.
    pub fn as_loop(&self) -> Option<LoopId> {
        match (&self.terms[..], self.constant) {
            ([(Atom::Loop(id), 1)], 0) => Some(*id),
            _ => None,
        }
    }

    /// The value, if the index is constant.
    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// Whether only loops occur: no division, remainder or read.
    pub fn is_affine(&self) -> bool {
        self.terms.iter().all(|(atom, _)| matches!(atom, Atom::Loop(_)))
    }

    /// The factor of loop `id` among the affine terms.
    pub fn factor(&self, id: LoopId) -> i64 {
        self.terms.iter().find(|(atom, _)| *atom == Atom::Loop(id)).map_or(0, |&(_, factor)| factor)
    }

    /// `self = n*quotient + rest`, where the quotient holds the multiples of `n` and the constant of the rest is in `0..n`.
    fn parts(self, n: i64) -> (Index, Index) {
        assert!(n > 0, "an index is divided by {n}");
        let (multiples, others): (Vec<_>, Vec<_>) = self.terms.into_iter().partition(|(_, c)| c % n == 0);
        let quotient = Index {
            terms: multiples.into_iter().map(|(atom, c)| (atom, c / n)).collect(),
            constant: self.constant.div_euclid(n),
        };
        (quotient, Index { terms: others, constant: self.constant.rem_euclid(n) })
    }

    /// Replaces every loop by `of(loop)`, also inside of divisions, remainders and reads.
    pub fn substitute(&self, of: &dyn Fn(LoopId) -> Index) -> Index {
        self.rebuild(&|atom| match atom {
            Atom::Loop(id) => of(*id),
            Atom::Div(inner, n) => inner.substitute(of) / *n,
            Atom::Mod(inner, n) => inner.substitute(of) % *n,
            Atom::Read(tensor, at) => Index::of_read(*tensor, at.iter().map(|i| i.substitute(of)).collect()),
        })
    }

    /// The same sum with every atom replaced by `of(atom)`.
    pub fn rebuild(&self, of: &dyn Fn(&Atom) -> Index) -> Index {
        self.terms.iter().fold(Index::constant(self.constant), |sum, (atom, factor)| sum + of(atom) * *factor)
    }

    /// The smallest and largest value when loop `l` runs over `0..extents[l]`; `None` where a read decides.
    pub fn range(&self, extents: &[usize]) -> Option<(i64, i64)> {
        self.range_in(&ranges_of(extents))
    }

    /// The smallest and largest value when loop `l` runs from `ranges[l].0` to `ranges[l].1`, both included; `None` where a read
    /// decides, or where they leave 64 bits.
    pub fn range_in(&self, ranges: &[(i64, i64)]) -> Option<(i64, i64)> {
        self.terms.iter().try_fold((self.constant, self.constant), |(low, high), (atom, factor)| {
            let (a, b) = atom.range_in(ranges)?;
            let (a, b) = (a.checked_mul(*factor)?, b.checked_mul(*factor)?);
            Some((low.checked_add(a.min(b))?, high.checked_add(a.max(b))?))
        })
    }

    /// Divisions and remainders whose operand's range decides them are resolved, and `n*(e/n) + e%n` becomes `e`.
    pub fn simplify(&self, extents: &[usize]) -> Index {
        self.simplify_in(&ranges_of(extents))
    }

    /// `simplify` where loop `l` runs from `ranges[l].0` to `ranges[l].1`, both included.
    pub fn simplify_in(&self, ranges: &[(i64, i64)]) -> Index {
        let mut sum = self.rebuild(&|atom| atom.simplify_in(ranges));
        while let Some(joined) = sum.rejoin(ranges) {
            sum = joined;
        }
        sum
    }

    /// Finds `c*n*(e/n) + c*(e%n)` and makes it `c*e`.
    fn rejoin(&self, ranges: &[(i64, i64)]) -> Option<Index> {
        for (atom, factor) in &self.terms {
            let Atom::Mod(inner, n) = atom else { continue };
            let quotient = quotient(inner, *n, ranges);
            let whole = quotient.clone() * (factor * n);
            let covered = whole.terms.iter().all(|(a, c)| {
                self.terms.iter().any(|(b, d)| a == b && d.signum() == c.signum() && d.abs() >= c.abs())
            });
            if covered && !quotient.terms.is_empty() {
                let rest = self.clone() - whole - Index::of_atom(atom.clone()) * *factor;
                return Some(rest + Index::clone(inner) * *factor);
            }
        }
        None
    }

    /// Every loop that occurs, also inside of divisions, remainders and reads.
    pub fn loops(&self) -> Vec<LoopId> {
        let mut found = vec![];
        self.visit_atoms(&mut |atom| {
            if let Atom::Loop(id) = atom {
                found.push(*id);
            }
        });
        found
    }

    /// Calls `f` with every atom, outer ones first.
    pub fn visit_atoms(&self, f: &mut dyn FnMut(&Atom)) {
        for (atom, _) in &self.terms {
            f(atom);
            match atom {
                Atom::Loop(_) => {}
                Atom::Div(inner, _) | Atom::Mod(inner, _) => inner.visit_atoms(f),
                Atom::Read(_, at) => at.iter().for_each(|i| i.visit_atoms(f)),
            }
        }
    }

    /// Replaces tensor ids inside of reads.
    pub fn map_tensors(&self, of: &dyn Fn(TensorId) -> TensorId) -> Index {
        self.rebuild(&|atom| match atom {
            Atom::Loop(id) => Index::of_loop(*id),
            Atom::Div(inner, n) => inner.map_tensors(of) / *n,
            Atom::Mod(inner, n) => inner.map_tensors(of) % *n,
            Atom::Read(tensor, at) => {
                Index::of_read(of(*tensor), at.iter().map(|i| i.map_tensors(of)).collect())
            }
        })
    }
}

impl Atom {
    fn range_in(&self, ranges: &[(i64, i64)]) -> Option<(i64, i64)> {
        match self {
            Atom::Loop(id) => ranges.get(id.0 as usize).copied(),
            Atom::Div(inner, n) => inner.range_in(ranges).map(|(a, b)| (a.div_euclid(*n), b.div_euclid(*n))),
            Atom::Mod(inner, n) => match inner.range_in(ranges) {
                Some((a, b)) if a.div_euclid(*n) == b.div_euclid(*n) => {
                    Some((a.rem_euclid(*n), b.rem_euclid(*n)))
                }
                _ => Some((0, n - 1)),
            },
            Atom::Read(..) => None,
        }
    }

    fn simplify_in(&self, ranges: &[(i64, i64)]) -> Index {
        match self {
            Atom::Loop(id) => match ranges.get(id.0 as usize) {
                Some((low, high)) if low == high => Index::constant(*low),
                _ => Index::of_loop(*id),
            },
            Atom::Div(inner, n) => quotient(&inner.simplify_in(ranges), *n, ranges),
            Atom::Mod(inner, n) => {
                let inner = inner.simplify_in(ranges);
                let whole = quotient(&inner, *n, ranges);
                match whole.as_constant() {
                    Some(quotient) => inner - Index::constant(quotient * n),
                    None => remainder(&inner, *n, ranges),
                }
            }
            Atom::Read(tensor, at) => {
                Index::of_read(*tensor, at.iter().map(|i| i.simplify_in(ranges)).collect())
            }
        }
    }
}

/// `0..n` as its first and last value.
fn ranges_of(extents: &[usize]) -> Vec<(i64, i64)> {
    extents.iter().map(|&n| (0, (n as i64 - 1).max(0))).collect()
}

impl Add for Index {
    type Output = Index;
    fn add(self, other: Index) -> Index {
        let mut terms = self.terms;
        for (atom, factor) in other.terms {
            match terms.binary_search_by(|(a, _)| a.cmp(&atom)) {
                Ok(at) => {
                    terms[at].1 += factor;
                    if terms[at].1 == 0 {
                        terms.remove(at);
                    }
                }
                Err(at) => terms.insert(at, (atom, factor)),
            }
        }
        Index { terms, constant: self.constant + other.constant }
    }
}

impl Mul<i64> for Index {
    type Output = Index;
    fn mul(mut self, factor: i64) -> Index {
        if factor == 0 {
            return Index::default();
        }
        self.terms.iter_mut().for_each(|(_, c)| *c *= factor);
        self.constant *= factor;
        self
    }
}

impl Neg for Index {
    type Output = Index;
    fn neg(self) -> Index {
        self * -1
    }
}

impl Sub for Index {
    type Output = Index;
    fn sub(self, other: Index) -> Index {
        self + -other
    }
}

impl Add<i64> for Index {
    type Output = Index;
    fn add(mut self, constant: i64) -> Index {
        self.constant += constant;
        self
    }
}

impl Sub<i64> for Index {
    type Output = Index;
    fn sub(self, constant: i64) -> Index {
        self + -constant
    }
}

/// Rounded down; the multiples of the divisor move out: `(n*q + r) / n = q + r/n`.
impl Div<i64> for Index {
    type Output = Index;
    #[allow(clippy::suspicious_arithmetic_impl)] // the law above is a sum
    fn div(self, n: i64) -> Index {
        let (quotient, rest) = self.parts(n);
        match rest.as_constant() {
            Some(_) => quotient,
            None => quotient + Index::of_atom(Atom::Div(Box::new(rest), n)),
        }
    }
}

/// In `0..n`; multiples of the divisor vanish: `(n*q + r) % n = r % n`.
impl Rem<i64> for Index {
    type Output = Index;
    fn rem(self, n: i64) -> Index {
        let (_, rest) = self.parts(n);
        match rest.as_constant() {
            Some(_) => rest,
            None => Index::of_atom(Atom::Mod(Box::new(rest), n)),
        }
    }
}

impl From<i64> for Index {
    fn from(value: i64) -> Index {
        Index::constant(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i(n: u32) -> Index {
        Index::of_loop(LoopId(n))
    }

    #[test]
    fn a_reshape_of_a_reshape_is_the_identity() {
        let flat = i(0) * 12 + i(1) * 4 + i(2);
        let extents = [5, 3, 4];
        assert_eq!((flat.clone() / 12).simplify(&extents), i(0));
        assert_eq!((flat.clone() % 12 / 4).simplify(&extents), i(1));
        assert_eq!((flat % 4).simplify(&extents), i(2));
    }

    #[test]
    fn quotient_and_remainder_join_again() {
        let e = i(0) / 6 * 12 + i(0) % 6 * 2 + i(1);
        assert_eq!(e.simplify(&[100, 2]), i(0) * 2 + i(1));
    }

    #[test]
    fn a_small_part_does_not_carry() {
        let e = i(0) * 16 + i(1) * 4 + i(2);
        assert_eq!((e.clone() / 32).simplify(&[10, 4, 4]), i(0) / 2);
        assert_eq!((e.clone() % 8).simplify(&[10, 4, 4]), i(1) % 2 * 4 + i(2));
        assert_eq!((e / 4).simplify(&[10, 4, 4]), i(0) * 4 + i(1));
    }

    #[test]
    fn negative_values_round_down() {
        assert_eq!(((i(0) - 1) / 4).range(&[3]), Some((-1, 0)));
        assert_eq!(((i(0) - 4) % 4).simplify(&[4]), i(0));
    }
}
