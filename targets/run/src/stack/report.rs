//! What the C compiler reports of each function: its frame on the stack, and whom it calls (`-fcallgraph-info=su` of GCC, a graph for VCG).

use std::collections::BTreeMap;

/// The flag that asks for the report.
pub(crate) const FLAG: &str = "-fcallgraph-info=su";

/// What the report calls whatever a pointer to a function leads to.
pub(super) const INDIRECT: &str = "__indirect_call";

/// How far a frame's size is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It is the same in every call, or at most what is said.
    Fixed,
    /// It depends on values.
    Dynamic,
}

/// A function as its compiler sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub bytes: u64,
    pub extent: Extent,
    /// Whom it calls, each once, by the report's names.
    pub calls: Vec<String>,
}

/// The functions of all files. A function that only its own file sees has that file in front of its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub functions: BTreeMap<String, Frame>,
}

/// The name that a function has in the linked program.
pub(super) fn symbol(title: &str) -> &str {
    title.rsplit_once(':').map_or(title, |(_, name)| name)
}

impl Report {
    /// Adds what the compiler said of one file.
    pub fn add(&mut self, text: &str) {
        for line in text.lines() {
            if let Some((title, frame)) = node(line) {
                self.functions.insert(title, frame);
            }
        }
        // A function may be called before its own node comes.
        for line in text.lines() {
            if let Some((caller, callee)) = edge(line)
                && let Some(frame) = self.functions.get_mut(caller)
                && !frame.calls.iter().any(|own| own == callee)
            {
                frame.calls.push(callee.to_owned());
            }
        }
    }

    /// The functions that have this name in the linked program.
    pub fn titles<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.functions.keys().map(String::as_str).filter(move |title| symbol(title) == name)
    }

    /// The name in this report of a function that every file sees.
    pub fn find(&self, symbol: &str) -> Option<&str> {
        self.functions.get_key_value(symbol).map(|(title, _)| title.as_str())
    }
}

/// `node: { title: "f" label: "f\nfile.c:1:5\n16 bytes (static)" }`; functions of other files have no size.
fn node(line: &str) -> Option<(String, Frame)> {
    let rest = line.strip_prefix("node:")?;
    let size = field(rest, "label")?.split("\\n").find(|part| part.contains(" bytes ("))?;
    let (bytes, kind) = size.split_once(" bytes (")?;
    let extent = if kind.starts_with("dynamic)") { Extent::Dynamic } else { Extent::Fixed };
    let frame = Frame { bytes: bytes.trim().parse().ok()?, extent, calls: vec![] };
    Some((field(rest, "title")?.to_owned(), frame))
}

fn edge(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("edge:")?;
    Some((field(rest, "sourcename")?, field(rest, "targetname")?))
}

/// The text in quotes behind `name:`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(&format!("{name}: \""))?;
    behind.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_edges_are_read() {
        let text = "graph: { title: \"a/t.c\"\n\
            node: { title: \"a/t.c:inner.isra.0\" label: \"inner.isra\\na/t.c:5:6\\n24 bytes (dynamic)\" }\n\
            node: { title: \"__aeabi_fmul\" label: \"__aeabi_fmul\\n<built-in>\" shape : ellipse }\n\
            edge: { sourcename: \"outer\" targetname: \"a/t.c:inner.isra.0\" label: \"a/t.c:9:5\" }\n\
            edge: { sourcename: \"outer\" targetname: \"__aeabi_fmul\" }\n\
            edge: { sourcename: \"outer\" targetname: \"__aeabi_fmul\" }\n\
            node: { title: \"outer\" label: \"outer\\na/t.c:9:1\\n8 bytes (dynamic,bounded)\" }\n}\n";
        let mut report = Report::default();
        report.add(text);
        assert_eq!(report.functions.len(), 2);
        let inner = Frame { bytes: 24, extent: Extent::Dynamic, calls: vec![] };
        assert_eq!(report.functions["a/t.c:inner.isra.0"], inner);
        let outer = &report.functions["outer"];
        assert_eq!((outer.bytes, outer.extent), (8, Extent::Fixed));
        assert_eq!(outer.calls, ["a/t.c:inner.isra.0", "__aeabi_fmul"]);
        assert_eq!(symbol("a/t.c:inner.isra.0"), "inner.isra.0");
        assert_eq!((report.find("outer"), report.find("__aeabi_fmul")), (Some("outer"), None));
    }
}
