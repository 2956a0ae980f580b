//! `nablac bench`: what an inference costs on a target.

use nablac::budget::Budget;
use nablac::failure::Result;
use nablac_machine::Machine;
use nablac_run::Measurement;
use serde_json::{Value, json};

use super::arguments::{ModelArguments, SampleArguments, size};
use super::engine::BuildArguments;
use super::talk::Talk;
use super::{Answer, text};

/// Measure what an inference costs: instructions, cycles, flash, RAM and stack.
///
/// Emulated targets count every executed instruction of the inference exactly. Cycles on a Cortex-M4 are an estimate by the
/// published instruction timings, with memory that never waits. Sizes are the linked program's, without the test harness: flash
/// is text + rodata + data, RAM is arena + context + data + bss + the deepest stack.
///
/// With one target `--json` has its figures as fields; with several, `results` has one object for each.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The targets, with commas between them; see `nablac targets`.
    #[arg(long, value_name = "TARGET,…", value_delimiter = ',', default_value = "host")]
    target: Vec<String>,
    #[command(flatten)]
    samples: SampleArguments,
    #[command(flatten)]
    build: BuildArguments,
    /// The most RAM that it may take, such as 64K or 64KiB; more exits 4.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    ram: Option<u64>,
    /// The most flash that it may take; more exits 4.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    flash: Option<u64>,
    /// How many functions to list.
    #[arg(long, value_name = "N", default_value_t = 10)]
    functions: usize,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let machines: Vec<Machine> =
        arguments.target.iter().map(|name| Ok(Machine::load(name)?)).collect::<Result<_>>()?;
    let network = arguments.model.network(talk)?;
    let (samples, _) = arguments.samples.samples(&network.inputs)?;
    let budget = Budget { ram: arguments.ram, flash: arguments.flash };
    let mut measured: Vec<(&Machine, Measurement)> = vec![];
    let mut failure = None;
    for machine in &machines {
        let (_, measurement) = arguments.build.execute(
            &arguments.model,
            &network,
            machine,
            &samples,
            arguments.samples.keep_state,
            talk,
        )?;
        failure = failure.or(budget.check_measured(&machine.name, &measurement).err());
        measured.push((machine, measurement));
    }
    let model = json!({ "model": network.model.path, "samples": samples.len() });
    let fields = match &measured[..] {
        [(machine, measurement)] => merged([model, result(machine, measurement)]),
        many => {
            merged([model, json!({ "results": many.iter().map(|(t, m)| result(t, m)).collect::<Vec<_>>() })])
        }
    };
    let mut answer = Answer::new(fields, report(&measured, arguments.functions));
    answer.failure = failure;
    Ok(answer)
}

/// The figures of one target.
fn result(machine: &Machine, measurement: &Measurement) -> Value {
    let figures = serde_json::to_value(measurement).unwrap_or_default();
    merged([json!({ "target": machine.name }), figures])
}

fn merged<const N: usize>(objects: [Value; N]) -> Value {
    let fields = objects.into_iter().flat_map(|object| object.as_object().cloned().unwrap_or_default());
    Value::Object(fields.collect())
}

fn report(measured: &[(&Machine, Measurement)], functions: usize) -> String {
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(measured.iter().map(|(machine, _)| machine.name.clone()));
    let mut row = |name: &str, figure: &dyn Fn(&Measurement) -> Option<u64>| {
        if measured.iter().any(|(_, m)| figure(m).is_some()) {
            let figures = measured.iter().map(|(_, m)| text::optional(figure(m)));
            rows.push([name.to_string()].into_iter().chain(figures).collect());
        }
    };
    row("instructions", &|m| m.instructions);
    row("cycles (estimate)", &|m| m.estimated_cycles);
    row("time in µs", &|m| m.seconds.map(|seconds| (seconds * 1e6).round() as u64));
    row("flash bytes", &|m| Some(m.flash_bytes));
    row("  text", &|m| Some(m.text_bytes));
    row("  rodata", &|m| Some(m.rodata_bytes));
    row("RAM bytes", &|m| Some(m.ram_bytes));
    row("  arena", &|m| Some(m.arena_bytes));
    row("  context", &|m| Some(m.context_bytes));
    row("  data and bss", &|m| Some(m.data_bytes + m.bss_bytes));
    row("  stack", &|m| m.stack_bytes);
    let mut report = text::table(&rows);
    for (machine, measurement) in measured.iter().filter(|(_, m)| !m.per_function.is_empty()) {
        let mut rows =
            vec![[&format!("on {}", machine.name), "instructions", "cycles"].map(|s| s.to_string()).to_vec()];
        for function in measurement.per_function.iter().take(functions) {
            let [instructions, cycles] = [Some(function.instructions), function.cycles].map(text::optional);
            rows.push(vec![function.name.clone(), instructions, cycles]);
        }
        report += &format!("\n{}", text::table(&rows));
    }
    report
}
