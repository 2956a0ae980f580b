//! Why a command failed: whose fault it is, where, and what to do next.
//!
//! Owns the one error type of the root package, and how the errors of the other crates become it.

use std::fmt;

use miette::{LabeledSpan, NamedSource, SourceCode, SourceSpan};
use nablac_graph::limits::{Fault, FileError};

pub use crate::codes::{Class, Code};

/// A failure with a stable code.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind of failure.
    pub code: Code,
    /// What happened, with the names of what it happened to.
    pub message: String,
    /// The way out, where there is one to name.
    pub help: Option<String>,
    /// The text that it is about, where that is text.
    pub excerpt: Option<Excerpt>,
    /// The parts of a failure that is several at once.
    pub parts: Vec<Failure>,
}

/// A place in a text.
#[derive(Clone, Debug)]
pub struct Excerpt {
    source: NamedSource<String>,
    span: SourceSpan,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl Excerpt {
    /// The word at a line and a column (in bytes), both from 1, of a text called `name`; `None` where there is no such line.
    pub fn new(name: &str, text: &str, line: usize, column: usize) -> Option<Excerpt> {
        let own = text.split('\n').nth(line.checked_sub(1)?)?;
        let begin: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let before = own.get(..column.checked_sub(1)?).unwrap_or(own);
        let behind = &own[before.len()..];
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let length = match behind.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map_or(behind.trim_end().len(), |end| end + 2),
            None => behind.find(|c: char| !word(c)).unwrap_or(behind.len()),
        };
        let span = SourceSpan::from((begin + before.len(), length.max(1)));
        let source = NamedSource::new(name, text.to_string());
        Some(Excerpt { source, span, line, column: before.chars().count() + 1 })
    }
}

/// Failures are rare and travel through many results.
pub type Result<T> = std::result::Result<T, Box<Failure>>;

impl Failure {
    /// A failure without a way out.
    pub fn new(code: Code, message: impl fmt::Display) -> Box<Failure> {
        Box::new(Failure { code, message: message.to_string(), help: None, excerpt: None, parts: vec![] })
    }

    /// Says which text it is about.
    pub fn at(mut self: Box<Failure>, excerpt: Excerpt) -> Box<Failure> {
        self.excerpt = Some(excerpt);
        self
    }

    /// Adds the way out.
    pub fn help(mut self: Box<Failure>, help: impl fmt::Display) -> Box<Failure> {
        self.help = Some(help.to_string());
        self
    }

    /// One failure for many; a single one stays itself.
    pub fn several(mut parts: Vec<Failure>) -> Box<Failure> {
        if parts.len() == 1 {
            return Box::new(parts.remove(0));
        }
        // What breaks a rule outweighs what is only not supported.
        let code = parts.iter().map(|part| part.code).max_by_key(|code| code.class()).unwrap_or(Code::Panic);
        let message = format!("the model has {} problems", parts.len());
        Box::new(Failure { code, message, help: None, excerpt: None, parts })
    }

    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        self.code.class() as u8
    }

    /// A file or folder that could not be read.
    pub fn read(path: &std::path::Path, reason: impl fmt::Display) -> Box<Failure> {
        Failure::new(Code::Read, format!("cannot read {}: {reason}", path.display()))
    }

    /// A file or folder that could not be written.
    pub fn write(path: &std::path::Path, reason: impl fmt::Display) -> Box<Failure> {
        Failure::new(Code::Write, format!("cannot write {}: {reason}", path.display()))
    }

    /// The failure as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code.name(),
            "exit_code": self.exit_code(),
            "message": self.message,
            "help": self.help,
            "place": self.excerpt.as_ref().map(|excerpt| serde_json::json!({
                "file": excerpt.source.name(),
                "line": excerpt.line,
                "column": excerpt.column,
            })),
            "parts": self.parts.iter().map(Failure::json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl miette::Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code.name()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|excerpt| &excerpt.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, excerpt.span))))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.parts.is_empty() {
            return None;
        }
        Some(Box::new(self.parts.iter().map(|part| part as &dyn miette::Diagnostic)))
    }
}

/// A failure of an importer, by whose fault it is.
fn from_importer(fault: Fault, message: String) -> Box<Failure> {
    let code = match fault {
        Fault::Malformed => Code::Format,
        Fault::Unsupported => Code::Construct,
        Fault::Limit => Code::Limit,
        Fault::Io => Code::Read,
    };
    Failure::new(code, message)
}

impl From<FileError> for Box<Failure> {
    fn from(error: FileError) -> Box<Failure> {
        match error {
            FileError::Io { path, source } => Failure::read(&path, source),
            FileError::Limit(hit) => Failure::new(Code::Limit, hit),
        }
    }
}

impl From<nablac_onnx::Error> for Box<Failure> {
    fn from(error: nablac_onnx::Error) -> Box<Failure> {
        from_importer(error.fault(), error.to_string())
    }
}

impl From<nablac_tflite::Error> for Box<Failure> {
    fn from(error: nablac_tflite::Error) -> Box<Failure> {
        from_importer(error.fault(), error.to_string())
    }
}

impl From<nablac_graph::Error> for Box<Failure> {
    fn from(error: nablac_graph::Error) -> Box<Failure> {
        use nablac_graph::Error;
        let code = match &error {
            Error::Unsupported { .. } => Code::Operator,
            Error::Malformed { .. } => Code::Node,
            Error::Invalid { .. } => Code::Graph,
            Error::OpenDimension { .. } => Code::OpenDimension,
            Error::Limit(_) => Code::Limit,
            Error::Index(_) => Code::BrokenStage,
            Error::Several(errors) => {
                return Failure::several(errors.iter().map(|e| *Box::<Failure>::from(e.clone())).collect());
            }
        };
        Failure::new(code, error)
    }
}

impl From<nablac_c::Error> for Box<Failure> {
    fn from(error: nablac_c::Error) -> Box<Failure> {
        use nablac_c::Error;
        let code = match &error {
            Error::TooLarge { .. } => Code::Limit,
            Error::Option { .. } => Code::Option,
            _ => Code::BrokenStage,
        };
        Failure::new(code, error)
    }
}

impl From<nablac_machine::Error> for Box<Failure> {
    fn from(error: nablac_machine::Error) -> Box<Failure> {
        Failure::new(Code::Target, error)
    }
}

impl From<nablac_run::Error> for Box<Failure> {
    fn from(error: nablac_run::Error) -> Box<Failure> {
        use nablac_run::Error;
        let code = match &error {
            Error::MissingTool { .. } | Error::UnsupportedEmulator { .. } => Code::MissingTool,
            Error::Unsupported { .. } | Error::Processor { .. } => Code::Incapable,
            Error::StackOverflow { .. } => Code::Ram,
            Error::Timeout { .. } => Code::Timeout,
            Error::File { .. } => Code::Write,
            Error::Machine(_) => Code::Target,
            Error::Artifact { .. }
            | Error::Sample { .. }
            | Error::Build { .. }
            | Error::Program { .. }
            | Error::ForeignInstructions { .. }
            | Error::UnalignedAccess { .. }
            | Error::Malformed { .. } => Code::GeneratedCode,
        };
        Failure::new(code, error)
    }
}
