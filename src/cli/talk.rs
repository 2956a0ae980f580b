//! What is said on stderr while a command works.
//!
//! Owns the manner: a line per thing that is done, and a line that says what is under way once it takes longer than a second. On a
//! terminal that line is redrawn with the time; elsewhere it is written once.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The width of the verbs, as cargo has it.
const VERB: usize = 12;

/// The talk of one command.
pub struct Talk {
    quiet: bool,
    style: Style,
    watch: Mutex<Option<Watch>>,
}

/// How a line looks.
#[derive(Clone, Copy)]
struct Style {
    terminal: bool,
    color: bool,
}

/// The thread that speaks up when something takes long.
struct Watch {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Talk {
    /// Talk that keeps silent if `quiet`.
    pub fn new(quiet: bool) -> Talk {
        let terminal = std::io::stderr().is_terminal();
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Talk { quiet, style: Style { terminal, color }, watch: Mutex::new(None) }
    }

    /// Something is done: `    Reading digits.onnx  ONNX opset 17, …`.
    pub fn say(&self, verb: &str, what: &str) {
        self.end();
        if !self.quiet {
            eprintln!("{}", self.style.line(verb, what));
        }
    }

    /// Something begins. It is said when it takes longer than a second.
    pub fn begin(&self, verb: &str, what: &str) {
        self.end();
        if self.quiet {
            return;
        }
        let line = Arc::new(self.style.line(verb, what));
        let (end, ended) = channel();
        let style = self.style;
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            let mut said = false;
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_secs(1)) {
                if style.terminal {
                    eprint!("\r\x1b[2K{line} {} s", began.elapsed().as_secs());
                } else if !said {
                    eprintln!("{line}");
                }
                said = true;
            }
            if said && style.terminal {
                eprint!("\r\x1b[2K");
            }
            let _ = std::io::stderr().flush(); // if stderr is closed, nobody misses the line
        });
        if let Ok(mut watch) = self.watch.lock() {
            *watch = Some(Watch { end, thread });
        }
    }

    /// What began is over.
    pub fn end(&self) {
        let watch = self.watch.lock().ok().and_then(|mut watch| watch.take());
        if let Some(Watch { end, thread }) = watch {
            drop(end);
            let _ = thread.join(); // it only prints
        }
    }
}

impl Style {
    fn line(self, verb: &str, what: &str) -> String {
        match self.color {
            true => format!("\x1b[1;32m{verb:>VERB$}\x1b[0m {what}"),
            false => format!("{verb:>VERB$} {what}"),
        }
    }
}
