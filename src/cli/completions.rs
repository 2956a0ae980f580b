//! `nablac completions`: what a shell reads to complete the command line.

use clap_complete::Shell;
use nablac::failure::Result;
use serde_json::json;

use super::Answer;

/// Print completions for a shell.
///
/// For bash: `nablac completions bash > ~/.local/share/bash-completion/completions/nablac`
#[derive(clap::Args)]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

pub fn run(arguments: &Arguments, mut command: clap::Command) -> Result<Answer> {
    let mut script = vec![];
    clap_complete::generate(arguments.shell, &mut command, "nablac", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Ok(Answer::new(json!({ "shell": arguments.shell.to_string(), "script": script }), script))
}
