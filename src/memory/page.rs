//! The memory report as a page: everything in one file, and nothing from elsewhere.

use std::fmt::Write;

use nablac_loops::Program;

use super::picture::picture;
use super::{Report, purpose};

/// The page about a planned program. The same program gives the same bytes.
pub fn page(nests: &Program, report: &Report) -> String {
    let name = escape(&nests.name);
    let Report { arena_bytes, peak, .. } = report;
    let mut body = format!(
        "<h1>{name}: {arena_bytes} bytes of arena</h1>\n<p>{}</p>\n<p>The fullest moment is {}, when {} bytes hold something.{}</p>\n",
        escape(&report.verdict()),
        escape(&peak.kernel),
        peak.bytes,
        holes(report)
    );
    body += &picture(nests, report);
    body += "<p>Time runs to the right, offsets upwards. Where an output runs into its dying input, two rectangles lie over each other. \
             Buffers with a thick border fill the arena at its fullest moment.</p>\n";
    body += "<h2>What fills it then</h2>\n";
    let rows = peak.owners.iter().map(|owner| {
        [
            owner.name.clone(),
            owner.bytes.to_string(),
            format!("{}..{}", owner.offset, owner.offset + owner.bytes),
            owner.purpose.clone(),
            owner.arena_without.to_string(),
        ]
        .to_vec()
    });
    body += &table(&["buffer", "bytes", "place", "what for", "the arena without it"], rows);
    body += "<h2>What would lower it</h2>\n<ul>\n";
    let advice = report.advice(nests);
    for line in &advice {
        _ = writeln!(body, "<li>{}</li>", escape(line));
    }
    if advice.is_empty() {
        body += "<li>No single buffer: several moments are as full.</li>\n";
    }
    body += "</ul>\n<h2>All buffers</h2>\n";
    let moments = &report.occupancy.moments;
    let moment = |at: usize| moments.get(at).cloned().unwrap_or_default();
    let rows = report.occupancy.lives.iter().map(|life| {
        [
            nests.buffer(life.buffer).name.clone(),
            life.bytes.to_string(),
            format!("{}..{}", life.offset, life.offset + life.bytes),
            purpose(nests, life),
            if life.first <= life.last {
                format!("{} to {}", moment(life.first), moment(life.last))
            } else {
                "never".into()
            },
        ]
        .to_vec()
    });
    body += &table(&["buffer", "bytes", "place", "what for", "alive"], rows);
    include_str!("page.html").replace("@TITLE@", &name).replace("@BODY@", &body)
}

/// Why the arena is larger than what it holds at its fullest moment.
fn holes(report: &Report) -> String {
    match report.arena_bytes - report.peak.bytes.min(report.arena_bytes) {
        0 => String::new(),
        bytes => format!(
            " The other {bytes} are between buffers, which have to stay where other moments need them."
        ),
    }
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let row = |cells: &mut dyn Iterator<Item = &str>, tag: &str| {
        let cells: String = cells.map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let mut text = "<table>\n".to_string() + &row(&mut head.iter().copied(), "th");
    rows.for_each(|cells| text += &row(&mut cells.iter().map(String::as_str), "td"));
    text + "</table>\n"
}

/// Text within an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_a_model_stay_text() {
        assert_eq!(escape("<b a=\"1\">&'\n"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39; ");
    }
}
