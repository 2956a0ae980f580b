//! Runs other programs: with a time limit, their output in a file, and an error that says what to install.

use crate::Error;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest pause between two looks at a running process; short ones are looked at more often.
const PAUSE: Duration = Duration::from_millis(20);

/// A program to run, and where to get it.
pub(crate) struct Tool<'a> {
    pub command: &'a str,
    pub package: &'a str,
    pub purpose: &'static str,
}

/// How a program ended, and what it printed on both streams.
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub output: String,
    pub command_line: String,
}

impl Ended {
    /// Its output, if it succeeded.
    pub fn success(self) -> Result<String, Error> {
        if self.status.success() {
            return Ok(self.output);
        }
        Err(Error::Build { command: self.command_line, status: describe(self.status), output: self.output })
    }
}

/// "exit status 1", or the signal that ended it.
pub(crate) fn describe(status: ExitStatus) -> String {
    status.to_string()
}

impl Tool<'_> {
    /// Runs the tool in `folder` with its output in the file `log` there, for at most `timeout`.
    pub fn run(
        &self,
        arguments: &[String],
        folder: &Path,
        log: &str,
        timeout: Duration,
    ) -> Result<Ended, Error> {
        let log_path = folder.join(log);
        let log_file = create(&log_path)?;
        let second = log_file.try_clone().map_err(|source| file_error("write", &log_path, source))?;
        let mut command = Command::new(self.command);
        command.args(arguments).current_dir(folder);
        command.stdin(Stdio::null()).stdout(log_file).stderr(second);
        let command_line = format!("{} {}", self.command, arguments.join(" "));
        let mut child = command.spawn().map_err(|source| self.cannot_start(source))?;
        let status = match wait(&mut child, timeout) {
            Ok(Some(status)) => status,
            Ok(None) => return Err(Error::Timeout { command: command_line, seconds: timeout.as_secs() }),
            Err(source) => return Err(file_error("wait for", Path::new(self.command), source)),
        };
        let bytes = fs::read(&log_path).map_err(|source| file_error("read", &log_path, source))?;
        Ok(Ended { status, output: String::from_utf8_lossy(&bytes).into_owned(), command_line })
    }

    /// The first line with a word that the tool prints when asked for its version.
    pub fn version(&self) -> Result<String, Error> {
        let output = Command::new(self.command).arg("--version").stdin(Stdio::null()).output();
        let output = output.map_err(|source| self.cannot_start(source))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.contains(char::is_alphanumeric));
        Ok(line.unwrap_or_default().trim().to_owned())
    }

    fn cannot_start(&self, source: std::io::Error) -> Error {
        match source.kind() {
            ErrorKind::NotFound => Error::MissingTool {
                tool: self.command.to_owned(),
                package: self.package.to_owned(),
                purpose: self.purpose,
            },
            _ => file_error("start", Path::new(self.command), source),
        }
    }
}

/// How the process ended, or nothing if it was ended because it took too long.
fn wait(child: &mut std::process::Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= timeout {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(pause);
        pause = (pause * 2).min(PAUSE);
    }
}

/// Creates a file, with an error that names it.
pub(crate) fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(|source| file_error("create", path, source))
}

/// Writes a whole file, with an error that names it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| file_error("write", path, source))
}

/// Reads a whole file, with an error that names it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| file_error("read", path, source))
}

/// The absolute path of a folder that exists.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|source| file_error("find", path, source))
}

pub(crate) fn file_error(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}
