//! Divisions and remainders of indices, resolved as far as the ranges of loops allow.

use super::{Atom, Index};

/// `g*e + r` with the largest `g` among the divisors of `n` that divides every factor but those of `r`, where `r` stays in
/// `0..g`: the small part never carries into the large one. Gives `g`, `e` and `r`.
fn without_carry(index: &Index, n: i64, ranges: &[(i64, i64)]) -> Option<(i64, Index, Index)> {
    let mut candidates: Vec<i64> =
        index.terms.iter().map(|(_, c)| c.abs()).filter(|g| *g > 1 && n % g == 0).collect();
    candidates.sort_unstable();
    candidates.into_iter().rev().find_map(|g| {
        let (multiples, others): (Vec<_>, Vec<_>) =
            index.terms.iter().cloned().partition(|(_, c)| c % g == 0);
        let rest = Index { terms: others, constant: index.constant.rem_euclid(g) };
        let (low, high) = rest.range_in(ranges)?;
        let terms = multiples.into_iter().map(|(atom, c)| (atom, c / g)).collect();
        (low >= 0 && high < g).then(|| (g, Index { terms, constant: index.constant.div_euclid(g) }, rest))
    })
}

/// `index / n`, resolved as far as the ranges allow: `(g*e + r) / (g*q) = e / q` for `r` in `0..g`.
pub(super) fn quotient(index: &Index, n: i64, ranges: &[(i64, i64)]) -> Index {
    if let [(Atom::Div(deeper, m), 1)] = &index.terms[..]
        && index.constant == 0
    {
        return quotient(deeper, m * n, ranges); // (e / m) / n = e / (m*n)
    }
    let (whole, rest) = index.clone().parts(n);
    let decided = |i: &Index| match i.range_in(ranges) {
        Some((a, b)) if a.div_euclid(n) == b.div_euclid(n) => Some(a.div_euclid(n)),
        _ => None,
    };
    if let Some(value) = decided(&rest) {
        return whole + value;
    }
    match without_carry(&rest, n, ranges) {
        Some((g, large, _)) => whole + quotient(&large, n / g, ranges),
        None => whole + rest / n,
    }
}

/// `index % n`, resolved as far as the ranges allow: `(g*e + r) % (g*q) = g*(e % q) + r` for `r` in `0..g`.
pub(super) fn remainder(index: &Index, n: i64, ranges: &[(i64, i64)]) -> Index {
    let (_, rest) = index.clone().parts(n);
    if let Some((a, b)) = rest.range_in(ranges)
        && a.div_euclid(n) == b.div_euclid(n)
    {
        return rest - Index::constant(a.div_euclid(n) * n);
    }
    match without_carry(&rest, n, ranges) {
        Some((g, large, small)) => remainder(&large, n / g, ranges) * g + small,
        None => rest % n,
    }
}
