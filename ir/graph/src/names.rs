//! Unique names for what a file leaves unnamed or names twice.
//!
//! Owns the rule that a name the file gives is kept where it can be, and that a made-up name never takes its place.

use std::collections::{BTreeMap, BTreeSet};

/// The names in use so far.
#[derive(Clone, Debug, Default)]
pub struct UniqueNames {
    /// Names in use, each with the number that the next name made from it gets.
    taken: BTreeMap<String, usize>,
    reserved: BTreeSet<String>,
}

impl UniqueNames {
    /// Keeps `name` for a later [`UniqueNames::claim`].
    pub fn reserve(&mut self, name: &str) {
        self.reserved.insert(name.to_string());
    }

    /// `name` itself the first time, a name made from it afterwards.
    pub fn claim(&mut self, name: &str) -> String {
        if self.taken.contains_key(name) {
            return self.fresh(name);
        }
        self.taken.insert(name.to_string(), 2);
        name.to_string()
    }

    /// `name`, or `name_2`, `name_3` and so on: the first that is neither in use nor reserved.
    pub fn fresh(&mut self, name: &str) -> String {
        if !self.taken.contains_key(name) && !self.reserved.contains(name) {
            return self.claim(name);
        }
        let mut number = self.taken.get(name).copied().unwrap_or(2);
        let candidate = loop {
            let candidate = format!("{name}_{number}");
            number += 1;
            if !self.taken.contains_key(&candidate) && !self.reserved.contains(&candidate) {
                break candidate;
            }
        };
        if let Some(next) = self.taken.get_mut(name) {
            *next = number;
        }
        self.claim(&candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_file_are_kept_and_made_up_ones_give_way() {
        let mut names = UniqueNames::default();
        names.reserve("Conv_0");
        assert_eq!(names.fresh("Conv_0"), "Conv_0_2");
        assert_eq!(names.claim("Conv_0"), "Conv_0");
        assert_eq!(names.claim("Conv_0"), "Conv_0_3");
        assert_eq!(names.fresh("Relu"), "Relu");
        assert_eq!(names.fresh("Relu"), "Relu_2");
    }

    #[test]
    fn many_equal_names_are_found_in_linear_time() {
        let mut names = UniqueNames::default();
        for _ in 0..100_000 {
            names.claim("x");
        }
        assert_eq!(names.claim("x"), "x_100001");
    }
}
