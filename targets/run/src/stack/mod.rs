//! The most stack that calls of a library's functions take: the compiler's report of every function, added up along the calls. Of
//! functions that it did not compile the instructions are followed, where they are Thumb's. What cannot be known is named.
//!
//! Interrupts come on top: they are the application's.

mod report;
mod thumb;

use crate::disassembly::Instruction;
use crate::image::Program;
use crate::{Artifact, driver};
use nablac_machine::measure::{StackBound, StackFrame};
use report::{Extent, Frame, INDIRECT, symbol};
use std::collections::BTreeMap;
use std::fmt;
use thumb::Thumb;

pub(crate) use report::{FLAG, Report};

/// The functions that an application calls while it has a context, behind the library's name: those that do more than give an address.
const ENTRIES: &[&str] = &["init", "set_weights", "reset", "run"];

/// Why a sum is no bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    /// A function whose frame depends on values.
    Dynamic(String),
    /// A function that comes back to itself.
    Recursive(String),
    /// A function that calls through a pointer.
    Indirect(String),
    /// A function of which neither a report nor instructions are there.
    Unknown(String),
    /// An instruction whose effect is not known before it runs.
    Unfollowed(String),
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Gap::Dynamic(function) => write!(f, "the frame of `{function}` depends on values"),
            Gap::Recursive(function) => write!(f, "`{function}` calls itself"),
            Gap::Indirect(function) => write!(f, "`{function}` calls through a pointer"),
            Gap::Unknown(function) => {
                write!(f, "nothing is known of `{function}`, which the compiler did not see")
            }
            Gap::Unfollowed(what) => write!(f, "{what} is not followed"),
        }
    }
}

/// What a function takes with all that it calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Deep {
    bytes: u64,
    path: Vec<StackFrame>,
    gaps: Vec<Gap>,
}

impl Deep {
    fn frame(function: &str, bytes: u64) -> Deep {
        Deep { bytes, path: vec![StackFrame { function: function.to_owned(), bytes }], gaps: vec![] }
    }

    /// The same below a frame of its caller's.
    fn under(self, caller: &str, bytes: u64) -> Deep {
        let mut all = Deep::frame(caller, bytes);
        all.bytes += self.bytes;
        all.path.extend(self.path);
        all.gaps = self.gaps;
        all
    }

    /// The deeper one, with what is open in either.
    fn deepen(&mut self, other: Deep) {
        if other.bytes > self.bytes {
            (self.bytes, self.path) = (other.bytes, other.path);
        }
        other.gaps.into_iter().for_each(|gap| self.gap(gap));
    }

    fn gap(&mut self, gap: Gap) {
        if !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }
}

/// A linked program with its instructions.
pub(crate) struct Linked<'a> {
    pub program: &'a Program,
    pub instructions: &'a [Instruction],
}

/// What is known of a linked program: from the compiler's report, from its instructions, or from both; nothing, where neither is
/// there.
pub(crate) fn known(
    artifact: &Artifact,
    report: Option<&Report>,
    program: &Program,
    instructions: &[Instruction],
) -> Option<StackBound> {
    let linked = (program.is_thumb && !instructions.is_empty()).then_some(Linked { program, instructions });
    if report.is_none() && linked.is_none() {
        return None;
    }
    Some(bound(artifact, report.unwrap_or(&Report::default()), linked))
}

/// The most that any call of the library takes, its caller's functions that deliver rows included. `linked` is there where it is Thumb code; without it, whatever the report lacks is
/// a gap.
pub(crate) fn bound(artifact: &Artifact, report: &Report, linked: Option<Linked>) -> StackBound {
    let program = linked.as_ref().map(|own| own.program);
    let thumb = linked.as_ref().map(|own| Thumb::new(own.program, own.instructions));
    let run = format!("{}_run", artifact.name);
    let callbacks = Callbacks { caller: &run, functions: driver::callbacks(artifact) };
    let mut graph = Graph { report, program, callbacks, thumb, known: BTreeMap::new(), open: vec![] };
    let mut deepest = Deep::default();
    for entry in ENTRIES.iter().map(|entry| format!("{}_{entry}", artifact.name)) {
        // A library need not have all of them; that it can run is certain.
        let is_there = report.find(&entry).is_some() || graph.address(&entry).is_some();
        if is_there || entry == run {
            deepest.deepen(graph.need(&entry));
        }
    }
    deepest.path.retain(|frame| frame.bytes > 0);
    deepest.gaps.sort();
    StackBound {
        bytes: deepest.bytes,
        path: deepest.path,
        gaps: deepest.gaps.iter().map(Gap::to_string).collect(),
    }
}

/// Where the pointers lead that one function calls through.
struct Callbacks<'a> {
    caller: &'a str,
    functions: Vec<String>,
}

/// The calls of a program.
struct Graph<'a> {
    report: &'a Report,
    program: Option<&'a Program>,
    callbacks: Callbacks<'a>,
    thumb: Option<Thumb<'a>>,
    known: BTreeMap<String, Deep>,
    open: Vec<String>,
}

impl Graph<'_> {
    fn address(&self, symbol: &str) -> Option<u64> {
        self.program?.address(symbol).ok()
    }

    /// What a function takes, by the report's name of it.
    fn need(&mut self, title: &str) -> Deep {
        if let Some(known) = self.known.get(title) {
            return known.clone();
        }
        let only_gap = |gap: Gap| Deep { gaps: vec![gap], ..Deep::default() };
        if self.open.iter().any(|own| own == title) {
            return only_gap(Gap::Recursive(symbol(title).to_owned()));
        }
        let found = match (self.report.functions.get(title), self.address(title)) {
            (Some(frame), _) => {
                self.open.push(title.to_owned());
                let found = self.with_calls(title, frame);
                self.open.pop();
                found
            }
            (None, Some(address)) => self.need_at(address),
            (None, None) => only_gap(Gap::Unknown(title.to_owned())),
        };
        self.known.insert(title.to_owned(), found.clone());
        found
    }

    /// A function that the compiler reports. Whom it calls the instructions know better: the report has calls of which nothing came.
    fn with_calls(&mut self, title: &str, frame: &Frame) -> Deep {
        let name = symbol(title);
        let mut deepest = Deep::frame(name, frame.bytes);
        if frame.extent == Extent::Dynamic {
            deepest.gap(Gap::Dynamic(name.to_owned()));
        }
        if frame.calls.iter().any(|callee| callee == INDIRECT) {
            let known =
                if title == self.callbacks.caller { self.callbacks.functions.clone() } else { vec![] };
            if known.is_empty() {
                deepest.gap(Gap::Indirect(name.to_owned()));
            }
            for callee in known {
                deepest.deepen(self.need(&callee).under(name, frame.bytes));
            }
        }
        let needs: Vec<Deep> = match (self.address(name), &self.thumb) {
            (Some(address), Some(thumb)) => {
                let calls = thumb.calls(address);
                calls.into_iter().map(|callee| self.need_at(callee)).collect()
            }
            _ => {
                let calls = frame.calls.iter().filter(|callee| *callee != INDIRECT);
                calls.map(|callee| self.need(callee)).collect()
            }
        };
        needs.into_iter().for_each(|inside| deepest.deepen(inside.under(name, frame.bytes)));
        deepest
    }

    /// What the function at an address takes: as reported, or as its instructions say.
    fn need_at(&mut self, address: u64) -> Deep {
        let function = self.program.and_then(|program| program.function_at(address));
        let own = function.filter(|own| own.address == address);
        let titles: Vec<&str> = own.map_or(vec![], |own| self.report.titles(&own.name).collect());
        // Functions of two files may have one name, of which each sees its own.
        let mut needs = titles.into_iter().map(|title| self.need(title)).collect::<Vec<_>>().into_iter();
        match (needs.next(), &mut self.thumb) {
            (Some(first), _) => needs.fold(first, |mut deepest, other| {
                deepest.deepen(other);
                deepest
            }),
            (None, Some(thumb)) => thumb.need(address),
            (None, None) => Deep { gaps: vec![Gap::Unknown(format!("{address:#x}"))], ..Deep::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nablac_machine::measure::Feed;
    use std::path::PathBuf;

    fn report(text: &str) -> Report {
        let mut report = Report::default();
        let mut lines = String::new();
        for line in text.lines().map(str::trim) {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                [name, "->", callee] => {
                    lines += &format!("edge: {{ sourcename: \"{name}\" targetname: \"{callee}\" }}\n");
                }
                [name, bytes, kind] => {
                    lines +=
                        &format!("node: {{ title: \"{name}\" label: \"x\\ny\\n{bytes} bytes ({kind})\" }}\n");
                }
                _ => {}
            }
        }
        report.add(&lines);
        report
    }

    fn net(name: &str, feeds: Vec<Feed>) -> Artifact {
        Artifact {
            folder: PathBuf::new(),
            name: name.into(),
            sources: vec![],
            include: vec![],
            input_bytes: vec![],
            output_bytes: vec![],
            arena_bytes: 0,
            steps: vec![],
            feeds,
            threads: 1,
            blob: false,
        }
    }

    #[test]
    fn a_callers_function_for_rows_is_on_the_way() {
        let report = report(
            "net_run 24 static
             t.c:a 32 static
             deliver_input1 64 static
             net_run -> t.c:a
             net_run -> __indirect_call",
        );
        let rows = Feed::Rows { pieces: 1, rows: 2, bytes: 4 };
        let with = bound(&net("net", vec![Feed::Whole, rows]), &report, None);
        assert_eq!((with.bytes, with.gaps.len()), (88, 0));
        assert_eq!(with.path[1].function, "deliver_input1");
        let without = bound(&net("net", vec![]), &report, None);
        assert_eq!((without.bytes, without.gaps), (56, vec!["`net_run` calls through a pointer".to_owned()]));
    }

    #[test]
    fn the_deepest_way_is_named_function_by_function() {
        let report = report(
            "net_run 24 static
             t.c:a 100 static
             t.c:b 40 static
             t.c:c 80 static
             net_init 8 static
             net_run -> t.c:a
             net_run -> t.c:b
             t.c:b -> t.c:c",
        );
        let bound = bound(&net("net", vec![]), &report, None);
        let path: Vec<(&str, u64)> = bound.path.iter().map(|f| (f.function.as_str(), f.bytes)).collect();
        assert_eq!((bound.bytes, bound.gaps.len()), (144, 0));
        assert_eq!(path, [("net_run", 24), ("b", 40), ("c", 80)]);
    }

    #[test]
    fn what_is_not_known_is_named() {
        let report = report(
            "net_run 16 static
             t.c:a 8 dynamic
             t.c:b 8 static
             net_run -> t.c:a
             net_run -> t.c:b
             t.c:a -> expf
             t.c:b -> __indirect_call
             t.c:b -> net_run",
        );
        let bound = bound(&net("net", vec![]), &report, None);
        assert_eq!(
            bound.gaps,
            [
                "the frame of `a` depends on values",
                "`net_run` calls itself",
                "`b` calls through a pointer",
                "nothing is known of `expf`, which the compiler did not see",
            ]
        );
        assert_eq!(bound.bytes, 24, "what is known of it");
        assert_eq!(
            super::bound(&net("other", vec![]), &report, None).gaps.len(),
            1,
            "it has no run function"
        );
    }
}
