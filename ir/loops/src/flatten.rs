//! From an index per dimension to one position in memory.
//!
//! Owns the row-major law. What is known of the variables is `bounds`'s matter.

use nablac_index::{Index, row_major_strides};

/// `at[0]*stride[0] + at[1]*stride[1] + …`, simplified where variable `v` runs from `ranges[v].0` to `ranges[v].1`, both
/// included: `J*(m / J) + m % J` is `m`.
pub fn flatten(at: &[Index], shape: &[usize], ranges: &[(i64, i64)]) -> Index {
    let strides = row_major_strides(shape);
    let sum =
        at.iter().zip(strides).fold(Index::default(), |sum, (index, stride)| sum + index.clone() * stride);
    sum.simplify_in(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nablac_index::LoopId;

    fn v(n: u32) -> Index {
        Index::of_loop(LoopId(n))
    }

    #[test]
    fn strides_are_row_major() {
        assert_eq!(
            flatten(&[v(0), v(1), v(2) + 1], &[2, 3, 4], &[(0, 1), (0, 2), (0, 2)]),
            v(0) * 12 + v(1) * 4 + v(2) + 1
        );
    }

    #[test]
    fn a_split_variable_joins_again() {
        assert_eq!(flatten(&[v(0) / 5, v(0) % 5], &[7, 5], &[(0, 34)]), v(0));
        assert_eq!(flatten(&[v(0) / 20, v(0) / 5 % 4, v(0) % 5], &[2, 4, 5], &[(0, 39)]), v(0));
    }

    #[test]
    fn a_range_that_starts_later_decides_a_division() {
        assert_eq!(flatten(&[v(0) / 8, v(0) % 8], &[2, 8], &[(8, 15)]), v(0));
        assert_eq!(flatten(&[v(0) / 8], &[2], &[(8, 15)]), Index::constant(1));
    }
}
