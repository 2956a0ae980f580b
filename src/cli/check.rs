//! `nablac check`: what of a model is not supported, all at once.

use std::collections::BTreeMap;

use nablac::budget::{Budget, Footprint};
use nablac::failure::Result;
use nablac::pipeline::{Form, Stage};
use nablac::schedules::Schedules;
use nablac_machine::Machine;
use serde_json::json;

use super::arguments::{ModelArguments, Network};
use super::talk::Talk;
use super::{Answer, text};

/// Say what of a model is not supported, all at once; or what it takes and gives.
///
/// Exits 3 if an operator, an element type or an open dimension stands in the way, and names each of them with the way out.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Also say whether the model fits this target's memories; see `nablac targets`.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let machine = Machine::load(arguments.target.as_deref().unwrap_or("host"))?;
    let Network { model, inputs, outputs, .. } = arguments.model.network(talk)?;
    let mut operators: BTreeMap<String, usize> = BTreeMap::new();
    for node in &model.source.nodes {
        *operators.entry(node.operator.clone()).or_default() += 1;
    }
    let port = |port: &nablac::samples::Port| json!({ "name": port.name, "dtype": port.dtype.name(), "shape": port.shape });
    let mut fields = json!({
        "model": model.path,
        "format": model.format.to_string(),
        "sha256": model.sha256,
        "parameters": model.parameters(),
        "operators": operators,
        "inputs": inputs.iter().map(port).collect::<Vec<_>>(),
        "outputs": outputs.iter().map(port).collect::<Vec<_>>(),
    });
    let mut report = format!("{}: {}\n", model.path.display(), model.summary());
    inputs.iter().for_each(|port| report += &format!("  input   {port}\n"));
    outputs.iter().for_each(|port| report += &format!("  output  {port}\n"));
    let counts: Vec<String> = operators.iter().map(|(name, count)| format!("{count} {name}")).collect();
    report += &format!("  nodes   {}\n", counts.join(", "));
    if arguments.target.is_some()
        && let Form::Loops(nests) = arguments.model.compile(
            &model,
            &machine,
            Stage::Plan,
            &Schedules::default(),
            Default::default(),
            talk,
        )?
    {
        let footprint = Footprint::of(&nests);
        let help =
            "whole tensors are counted: `nablac fit` says whether it fits with kernels that run row by row";
        Budget::of(&machine).check(footprint, || help.into())?;
        fields["footprint"] = json!(footprint);
        let [arena, weights] = [footprint.arena_bytes, footprint.weight_bytes].map(|n| text::bytes(n as u64));
        report += &format!("  fits    {}: arena {arena}, weights {weights}\n", machine.name);
    }
    report += "everything in it is supported\n";
    Ok(Answer::new(fields, report))
}
