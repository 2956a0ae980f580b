//! How a failure reads on a terminal.
//!
//! Owns the form: `error[E0301]: message`, the line of a text that it is about, a line per part, and the way out. Lines are not
//! broken: terminals do that, and a log keeps them whole.

use std::fmt;
use std::io::IsTerminal;

use miette::{Diagnostic, ReportHandler};

/// Prints failures.
struct Plain {
    color: bool,
}

/// Makes this the form of every failure.
pub fn install() {
    let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = std::io::stderr().is_terminal() && !quiet;
    let installed = miette::set_hook(Box::new(move |_| Box::new(Plain { color })));
    debug_assert!(installed.is_ok(), "it is installed once, at the start");
}

impl ReportHandler for Plain {
    fn debug(&self, failure: &dyn Diagnostic, f: &mut fmt::Formatter) -> fmt::Result {
        let [red, bold, plain] = if self.color { ["\x1b[1;31m", "\x1b[1m", "\x1b[0m"] } else { [""; 3] };
        let code = failure.code().map(|code| format!("[{code}]")).unwrap_or_default();
        write!(f, "{red}error{code}{plain}{bold}: {failure}{plain}")?;
        excerpt(failure, f)?;
        for part in failure.related().into_iter().flatten() {
            let code = part.code().map(|code| format!("{code} ")).unwrap_or_default();
            write!(f, "\n  {code}{part}")?;
            if let Some(help) = part.help() {
                write!(f, "\n        help: {help}")?;
            }
        }
        if let Some(help) = failure.help() {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// The line that a failure is about, with a caret under its place.
fn excerpt(failure: &dyn Diagnostic, f: &mut fmt::Formatter) -> fmt::Result {
    let Some((source, mut labels)) = failure.source_code().zip(failure.labels()) else { return Ok(()) };
    let Some(label) = labels.next() else { return Ok(()) };
    let Ok(contents) = source.read_span(label.inner(), 1, 1) else { return Ok(()) };
    let text = String::from_utf8_lossy(contents.data());
    let (before, behind) =
        text.split_at_checked(label.offset() - contents.span().offset()).unwrap_or((&text, ""));
    let number = (contents.line() + 1 + before.matches('\n').count()).to_string();
    let before = before.rsplit('\n').next().unwrap_or_default();
    let behind = behind.lines().next().unwrap_or_default();
    let marked = behind.get(..label.len()).unwrap_or(behind).chars().count().max(1);
    let margin = " ".repeat(number.len());
    let column = before.chars().count() + 1;
    // Tabs stay tabs, so that the caret is below its place however wide they are.
    let indent: String = before.chars().map(|c| if c == '\t' { c } else { ' ' }).collect();
    let name = contents.name().unwrap_or_default();
    write!(f, "\n{margin}--> {name}:{number}:{column}\n{margin} |\n{number} | {before}{behind}")?;
    write!(f, "\n{margin} | {indent}{}", "^".repeat(marked))
}
