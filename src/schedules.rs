//! How kernels run: schedules from files, and what all other kernels are optimized for.
//!
//! Owns reading the files, and which file and line an error is about.

use std::path::PathBuf;

use nablac_loops::schedule::{self, Place};
use nablac_loops::{Delivery, Optimize};

use crate::budget::Budget;
use crate::failure::{Code, Excerpt, Failure, Result};

/// Schedules with the texts that they come from.
#[derive(Clone, Debug, Default)]
pub struct Schedules {
    /// The files' names and texts; a place's `file` counts them.
    pub sources: Vec<(String, String)>,
    /// What all of them say.
    pub parsed: schedule::Schedules,
    /// What the code is to be where they leave it open.
    pub optimize: Optimize,
    /// How inputs reach the program, by name or position.
    pub inputs: Vec<(String, Delivery)>,
    /// What the result must keep to; the files may say more.
    pub budget: Budget,
    /// How many threads they run on where the files leave it open; 0 is 1.
    pub threads: usize,
}

impl Schedules {
    /// Reads files, in this order.
    pub fn read(paths: &[PathBuf]) -> Result<Schedules> {
        let mut schedules = Schedules::default();
        for path in paths {
            let text = std::fs::read_to_string(path).map_err(|error| Failure::read(path, error))?;
            schedules.add(&path.display().to_string(), text)?;
        }
        Ok(schedules)
    }

    /// What the result must keep to.
    pub fn bounds(&self) -> Budget {
        let goal = self.parsed.goal();
        let tighter = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Budget { ram: tighter(goal.ram, self.budget.ram), flash: tighter(goal.flash, self.budget.flash) }
    }

    /// Adds a text under the name that errors call it by.
    pub fn add(&mut self, name: &str, text: String) -> Result<()> {
        self.sources.push((name.into(), text));
        let parsed = schedule::parse_file(self.sources.len() - 1, &self.sources[self.sources.len() - 1].1);
        self.parsed.items.extend(parsed.map_err(|error| self.failure(error))?.items);
        Ok(())
    }

    /// An error of the loops crate as a failure, with the line that it is about.
    pub fn failure(&self, error: nablac_loops::Error) -> Box<Failure> {
        let (place, message) = match error {
            nablac_loops::Error::Schedule { place, message } => (place, message),
            nablac_loops::Error::Delivery { message } => return Failure::new(Code::Option, message),
            error => return Failure::new(Code::BrokenStage, error),
        };
        let failure = Failure::new(Code::Schedule, message);
        match self.excerpt(place) {
            Some(excerpt) => failure.at(excerpt),
            None => failure,
        }
    }

    fn excerpt(&self, place: Place) -> Option<Excerpt> {
        let (name, text) = self.sources.get(place.file)?;
        Excerpt::new(name, text, place.line, place.column)
    }
}
