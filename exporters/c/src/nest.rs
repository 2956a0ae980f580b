//! Loops of a function.
//!
//! Owns their bounds and variables. A parallel loop is `part`'s.

use std::collections::BTreeSet;

use nablac_index::Index;
use nablac_loops::{For, Parts};

use crate::error::Error;
use crate::kernel::Body;
use crate::name::identifier;
use crate::scalar::Scalar;
use crate::writer::Level;

impl Body<'_, '_> {
    /// A loop; `pending` are the scalars that are declared inside of it.
    pub fn nest(&mut self, nest: &For, pending: BTreeSet<Scalar>) -> Result<(), Error> {
        if let (Some(parts), Some(around)) = (Parts::of(nest).filter(|parts| parts.count > 1), self.around) {
            return self.parallel(nest, parts, around, pending);
        }
        let stem = self.stem(nest);
        let begin = self.limit(&nest.lower, &stem, "begin")?;
        let end = self.limit(&nest.upper, &stem, "end")?;
        let anchors = self.writer.anchors.len();
        let moves = self.moving_anchors(nest)?;
        self.counted(nest, &stem, [&begin, &end], moves, pending)?;
        self.writer.anchors.truncate(anchors);
        Ok(())
    }

    /// What a loop's variable is to be called.
    pub fn stem(&self, nest: &For) -> String {
        identifier(&self.kernel.variables[nest.variable.0 as usize], "i")
    }

    /// A loop between these bounds; `moves` are lines at its end.
    pub fn counted(
        &mut self,
        nest: &For,
        stem: &str,
        [begin, end]: [&str; 2],
        moves: Vec<String>,
        pending: BTreeSet<Scalar>,
    ) -> Result<(), Error> {
        let mark = self.names.mark();
        let name = self.names.claim(stem);
        let step = if nest.step == 1 { format!("{name}++") } else { format!("{name} += {}", nest.step) };
        self.line(&format!("for (int32_t {name} = {begin}; {name} < {end}; {step}) {{"));
        let outside = self.writer.bounds.clone();
        self.writer.bounds = outside.inside(nest);
        self.writer.variables[nest.variable.0 as usize] = name;
        self.depth += 1;
        self.block(&nest.body, pending)?;
        moves.iter().for_each(|line| self.line(line));
        self.depth -= 1;
        self.writer.bounds = outside;
        self.names.release(mark);
        self.line("}");
        Ok(())
    }

    /// A bound of a loop: in place where it is one index, else as a constant of its own in front of the loop.
    fn limit(&mut self, bounds: &[Index], variable: &str, which: &str) -> Result<String, Error> {
        let operation = if which == "begin" { nablac_index::Binary::Max } else { nablac_index::Binary::Min };
        let mut text = String::new();
        for bound in bounds {
            let next = self.writer.index(bound)?;
            let next = if crate::writer::is_wide(bound) {
                format!("(int32_t){}", next.at(Level::Prefix))
            } else {
                next.text
            };
            text = match text.is_empty() {
                true => next,
                false => {
                    let function = self.writer.helpers.binary(operation, nablac_index::DType::I32);
                    format!("{function}({text}, {next})")
                }
            };
        }
        if bounds.len() == 1 {
            return Ok(text);
        }
        let name = self.names.claim(&format!("{variable}_{which}"));
        self.line(&format!("const int32_t {name} = {text};"));
        Ok(name)
    }
}
