//! How a failure reads on a terminal.
//!
//! Owns the form: `error[E0301]: message`, a line per part, and the way out. Lines are not broken: terminals do that, and a
//! log keeps them whole.

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
