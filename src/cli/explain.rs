//! `nablac explain`: what an error's code means and what to do about it.

use nablac::failure::{Class, Code, Failure, Result};
use serde_json::{Value, json};

use super::Answer;

/// Say what an error's code means and what to do about it; without a code, list them all.
#[derive(clap::Args)]
pub struct Arguments {
    /// The code, such as E0301.
    code: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Answer> {
    match &arguments.code {
        None => Ok(Answer::new(
            json!({ "codes": Code::ALL.iter().map(|c| fields(*c)).collect::<Vec<_>>() }),
            list(),
        )),
        Some(name) => {
            let unknown = || Failure::new(Code::Option, format!("there is no error code `{name}`"));
            let code = Code::from_name(name).ok_or_else(unknown)?;
            let text = format!(
                "{}: {}\nexit code {}: {}\n\n{}\n",
                code.name(),
                code.title(),
                code.class() as u8,
                meaning(code.class()),
                code.explanation()
            );
            Ok(Answer::new(json!({ "codes": [fields(code)] }), text))
        }
    }
}

fn fields(code: Code) -> Value {
    json!({
        "code": code.name(),
        "exit_code": code.class() as u8,
        "title": code.title(),
        "explanation": code.explanation(),
    })
}

fn meaning(class: Class) -> &'static str {
    Class::ALL.iter().find(|(c, _)| *c == class).map_or("", |(_, meaning)| meaning)
}

fn list() -> String {
    let mut text = String::new();
    for &(class, meaning) in Class::ALL {
        text += &format!("exit code {}: {meaning}\n", class as u8);
        for code in Code::ALL.iter().filter(|code| code.class() == class) {
            text += &format!("  {}  {}\n", code.name(), code.title());
        }
    }
    text
}
