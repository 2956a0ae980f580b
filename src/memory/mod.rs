//! The memory report: why the arena is as large as it is.
//!
//! Owns what is said of a memory plan: the fullest moment, who fills it and what for, what each of them costs, and how much smaller a plan
//! could be. `picture` draws it, `page` puts both into one file. The plan itself is `nablac_loops`' matter.

use nablac_loops::{Life, Occupancy, Program, Role, arena_without};
use serde::Serialize;

mod page;
mod picture;

pub use page::page;

/// The report's file in the output folder.
pub const FILE: &str = "report.html";

/// How many of those that fill the arena are named in an error.
const LARGEST: usize = 3;

/// What is known of a plan.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The size of the arena.
    pub arena_bytes: usize,
    /// No plan for this order of kernels takes less.
    pub arena_lower_bound: usize,
    /// Whether no plan for this order of kernels takes less than this one.
    pub arena_optimal: bool,
    /// No plan for any order of kernels takes less.
    pub arena_lower_bound_any_order: usize,
    /// Whether no plan takes less than this one, in whatever order kernels run.
    pub arena_optimal_any_order: bool,
    /// When most bytes hold something.
    pub peak: Peak,
    #[serde(skip)]
    occupancy: Occupancy,
}

/// The fullest moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Peak {
    /// The kernel that runs, or `before` or `behind` all of them.
    pub kernel: String,
    /// The bytes that hold something, each once.
    pub bytes: usize,
    /// What they belong to, in the order of places.
    pub owners: Vec<Owner>,
    #[serde(skip)]
    moment: usize,
}

/// A buffer that is alive at the fullest moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Owner {
    /// The buffer.
    pub name: String,
    /// Where it begins.
    pub offset: usize,
    /// Its size.
    pub bytes: usize,
    /// What it is for.
    pub purpose: String,
    /// The arena if it took no bytes, for the same order of kernels.
    pub arena_without: usize,
}

impl Report {
    /// The report on a planned program.
    pub fn of(nests: &Program) -> Report {
        let occupancy = Occupancy::of(nests);
        let moment = occupancy.peak();
        let alive = occupancy.at(moment);
        let without = arena_without(nests, &alive.iter().map(|life| life.buffer).collect::<Vec<_>>());
        let owner = |(life, arena_without): (&Life, usize)| Owner {
            name: nests.buffer(life.buffer).name.clone(),
            offset: life.offset,
            bytes: life.bytes,
            purpose: purpose(nests, life),
            arena_without,
        };
        let peak = Peak {
            kernel: occupancy.moments.get(moment).cloned().unwrap_or_default(),
            bytes: occupancy.bytes_at(moment),
            owners: alive.into_iter().zip(without).map(owner).collect(),
            moment,
        };
        Report {
            arena_bytes: nests.arena_bytes,
            arena_lower_bound: nests.proof.map_or(0, |proof| proof.this_order),
            arena_optimal: nests.is_plan_optimal(),
            arena_lower_bound_any_order: nests.proof.map_or(0, |proof| proof.any_order),
            arena_optimal_any_order: nests.is_order_optimal(),
            peak,
            occupancy,
        }
    }

    /// How good the plan is, in a sentence.
    pub fn verdict(&self) -> String {
        match (self.arena_optimal, self.arena_optimal_any_order) {
            (_, true) => "No plan for these buffers is smaller, in whatever order kernels run.".into(),
            (true, false) => format!(
                "No plan for these buffers and this order of kernels is smaller; in another order, none is smaller than {} bytes.",
                self.arena_lower_bound_any_order
            ),
            (false, false) => format!(
                "No plan for these buffers and this order of kernels is smaller than {} bytes; whether one is as small is open.",
                self.arena_lower_bound
            ),
        }
    }

    /// What stands against a smaller arena, and what to do, where this is the smallest that was found.
    pub fn what_binds(&self) -> String {
        let mut owners: Vec<&Owner> = self.peak.owners.iter().collect();
        owners.sort_by_key(|owner| std::cmp::Reverse(owner.bytes));
        let owner = |owner: &&Owner| format!("`{}`, {} bytes, {}", owner.name, owner.bytes, owner.purpose);
        let largest: Vec<String> = owners.iter().take(LARGEST).map(owner).collect();
        format!(
            "`{}` binds: {}. This is the smallest arena that was found, and `--ram {}` works; an input that comes by rows, as with \
             `--input 0=rows`, or that is read where it is may take less: `nablac fit` tries",
            self.peak.kernel,
            largest.join("; "),
            self.arena_bytes
        )
    }

    /// What would make the arena smaller, the most helpful first.
    pub fn advice(&self, nests: &Program) -> Vec<String> {
        let mut owners: Vec<&Owner> =
            self.peak.owners.iter().filter(|owner| owner.arena_without < self.arena_bytes).collect();
        owners.sort_by_key(|owner| owner.arena_without);
        let line = |owner: &Owner| {
            let role =
                nests.buffers.iter().find(|buffer| buffer.name == owner.name).map(|buffer| &buffer.role);
            let how = match role {
                Some(Role::Local) if owner.purpose.starts_with("scratch") => {
                    "with a schedule that needs none"
                }
                Some(Role::Local) => "if it were never there as a whole",
                Some(Role::Output) => "if it lay elsewhere",
                Some(Role::State(_)) => "if it lay elsewhere",
                _ => "if it were delivered by rows, or could be read elsewhere",
            };
            let Owner { name, bytes, purpose, arena_without, .. } = owner;
            format!("{name}, {bytes} bytes, {purpose}: {how}, the arena would take {arena_without} bytes")
        };
        owners.into_iter().map(line).collect()
    }
}

/// What a buffer is for.
fn purpose(nests: &Program, life: &Life) -> String {
    let list = |what: &str, kernels: &[String]| match kernels {
        [] => None,
        [one] => Some(format!("{what} of {one}")),
        [one, others @ ..] => Some(format!("{what} of {one} and {} more", others.len())),
    };
    if life.is_scratch(nests) {
        return list("scratch", &life.writers[..life.writers.len().min(1)]).unwrap_or("unused".into());
    }
    let role = match nests.buffer(life.buffer).role {
        Role::Local => None,
        Role::Output => Some("output of the network".to_string()),
        Role::State(_) => Some("state".to_string()),
        _ => Some("input of the network".to_string()),
    };
    let used = [role, list("output", &life.writers), list("input", &life.readers)];
    used.into_iter().flatten().collect::<Vec<String>>().join(", ")
}
