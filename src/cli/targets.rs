//! `nablac targets`: the machines that code can be made for.

use nablac::failure::Result;
use nablac_machine::{Machine, Role};
use serde_json::json;

use super::{Answer, text};

/// List the targets, or describe one.
#[derive(clap::Args)]
pub struct Arguments {
    /// A target's name, or the path of a file that describes one.
    target: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Answer> {
    match &arguments.target {
        Some(name) => {
            let machine = Machine::load(name)?;
            let fields = json!({ "targets": [machine] });
            let details = serde_json::to_value(&machine).unwrap_or_default();
            Ok(Answer::new(fields, format!("{details:#}\n")))
        }
        None => {
            let machines = Machine::all()?;
            let heads = ["target", "memory for code", "for constants", "for data", "description"];
            let mut rows = vec![heads.map(String::from).to_vec()];
            for machine in &machines {
                let size =
                    |role| machine.memory_for(role).map_or("-".into(), |memory| text::bytes(memory.size));
                let [code, constants, data] = [Role::Code, Role::Constants, Role::Data].map(size);
                rows.push(vec![machine.name.clone(), code, constants, data, machine.description.clone()]);
            }
            Ok(Answer::new(json!({ "targets": machines }), text::table(&rows)))
        }
    }
}
