//! `nablac ops`: the operators, and how the frameworks spell them.

use nablac::failure::Result;
use nablac_graph::operator::Entry;
use nablac_graph::ops::TABLE;
use nablac_graph::source::Framework;
use serde_json::{Value, json};

use super::{Answer, text};

/// List the operators, with their names in ONNX (and the first operator set that is understood), TFLite and PyTorch.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only those whose name, in any framework, contains this; letters of either case.
    filter: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Answer> {
    let wanted = arguments.filter.clone().unwrap_or_default().to_lowercase();
    let matches = |entry: &&Entry| {
        let mut names = entry.spellings.iter().map(|spelling| spelling.name).chain([entry.name]);
        names.any(|name| name.to_lowercase().contains(&wanted))
    };
    let mut entries: Vec<&Entry> = TABLE.iter().filter(matches).collect();
    entries.sort_by_key(|entry| entry.name);
    let mut rows = vec![["operator", "ONNX", "TFLite", "PyTorch"].map(String::from).to_vec()];
    for entry in &entries {
        let mut row = vec![entry.name.to_string()];
        row.extend([Framework::Onnx, Framework::Tflite, Framework::Torch].map(|f| spellings(entry, f)));
        rows.push(row);
    }
    Ok(Answer::new(
        json!({ "operators": entries.iter().map(|e| fields(e)).collect::<Vec<_>>() }),
        text::table(&rows),
    ))
}

fn spellings(entry: &Entry, framework: Framework) -> String {
    let own = entry.spellings.iter().filter(|spelling| spelling.framework == framework);
    let names: Vec<String> = own
        .map(|spelling| match framework {
            Framework::Onnx => format!("{} {}", spelling.name, spelling.since),
            _ => spelling.name.to_string(),
        })
        .collect();
    if names.is_empty() { "-".into() } else { names.join(", ") }
}

fn fields(entry: &Entry) -> Value {
    let spelling = |s: &nablac_graph::operator::Spelling| {
        let framework = match s.framework {
            Framework::Onnx => "onnx",
            Framework::Tflite => "tflite",
            Framework::Torch => "torch",
        };
        json!({ "framework": framework, "name": s.name, "since": s.since })
    };
    json!({ "name": entry.name, "spellings": entry.spellings.iter().map(spelling).collect::<Vec<_>>() })
}
