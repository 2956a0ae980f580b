//! `nablac doctor`: which tools are installed.

use nablac::failure::{Code, Failure, Result};
use nablac_machine::Machine;
use serde_json::json;

use super::{Answer, text};

/// Say which compilers and emulators are installed, and how to install the others.
///
/// nablac needs none of them to compile a model or to run it in the interpreter. Running the generated C takes a C compiler,
/// and for the other targets than this computer QEMU, or Bochs.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only what this target needs; exits 6 if some of it is missing.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Answer> {
    let mut tools = nablac_run::doctor()?;
    if let Some(target) = &arguments.target {
        let machine = Machine::load(target)?;
        tools.retain(|tool| tool.needed_by.contains(&machine.name));
    }
    let mut rows = vec![["tool", "found", "purpose", "needed by"].map(String::from).to_vec()];
    for tool in &tools {
        let found = tool.found.clone().unwrap_or_else(|| format!("missing: {}", tool.install));
        rows.push(vec![tool.tool.clone(), found, tool.purpose.into(), tool.needed_by.join(", ")]);
    }
    let missing: Vec<&str> = tools.iter().filter(|t| t.found.is_none()).map(|t| t.install.as_str()).collect();
    let mut answer = Answer::new(json!({ "tools": tools, "missing": missing.len() }), text::table(&rows));
    if let Some(target) = arguments.target.as_ref().filter(|_| !missing.is_empty()) {
        let message = format!("`{target}` needs tools that are not installed");
        answer.failure = Some(Failure::new(Code::MissingTool, message).help(missing.join("; ")));
    }
    Ok(answer)
}
