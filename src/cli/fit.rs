//! `nablac fit`: whether a model fits, and what less memory costs.

use nablac::budget::Budget;
use nablac::comparison::{Allowance, compare};
use nablac::failure::{Code, Failure, Result};
use nablac::pipeline::{self, Stage};
use nablac::samples::{Port, Sample};
use nablac::schedules::Schedules;
use nablac_loops::{Delivery, Optimize};
use nablac_machine::Machine;
use nablac_run::{Measurement, Options};
use serde_json::{Value, json};

use super::arguments::{ModelArguments, Network, SampleArguments};
use super::engine::BuildArguments;
use super::talk::Talk;
use super::{Answer, text};

/// Say whether a model fits, which configuration is the fastest that does, and what each step down in memory costs.
///
/// From whole tensors on, which are fastest, each step runs more kernels row by row, and the last ones have the inputs delivered by
/// rows. Every configuration is built and run, so that stack, context and code count. A target fits where one of them keeps to `--ram` and
/// `--flash`; without these, to its memories.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The targets, with commas between them; see `nablac targets`.
    #[arg(
        long,
        value_name = "TARGET,…",
        value_delimiter = ',',
        default_value = "cortex-m4",
        conflicts_with = "all_targets"
    )]
    target: Vec<String>,
    /// All targets that are emulated microcontrollers.
    #[arg(long)]
    all_targets: bool,
    #[command(flatten)]
    samples: SampleArguments,
    #[command(flatten)]
    build: BuildArguments,
}

/// A way to compile, and what came of it.
struct Configuration {
    /// What is to be said to `compile` beside what was said to `fit`.
    arguments: String,
    measured: Measurement,
    fits: bool,
}

/// A target's configurations, from whole tensors on.
struct Target {
    machine: Machine,
    budget: Budget,
    configurations: Vec<Configuration>,
    /// What the first of them gave: the others must give the same.
    outputs: Vec<Sample>,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let machines = match arguments.all_targets {
        true => Machine::all()?.into_iter().filter(is_microcontroller).collect(),
        false => arguments.target.iter().map(|name| Ok(Machine::load(name)?)).collect::<Result<Vec<_>>>()?,
    };
    let network = arguments.model.network(talk)?;
    let (samples, _) = arguments.samples.samples(&network.inputs)?;
    let trial = Trial { arguments, network: &network, samples: &samples, talk };
    let targets = machines.into_iter().map(|machine| trial.target(machine)).collect::<Result<Vec<_>>>()?;
    let results: Vec<Value> = targets.iter().map(Target::fields).collect();
    let fields = json!({ "model": network.model.path, "targets": results });
    let report: Vec<String> = targets.iter().map(|target| target.report(&arguments.model)).collect();
    let mut answer = Answer::new(fields, report.join("\n"));
    answer.failure = targets.iter().all(|target| target.fastest().is_none()).then(|| failure(&targets));
    Ok(answer)
}

/// Whether a machine is emulated, and is no application processor.
fn is_microcontroller(machine: &Machine) -> bool {
    machine.emulator.as_ref().is_some_and(|emulator| emulator.machine.is_some())
}

/// What fits nowhere.
fn failure(targets: &[Target]) -> Box<Failure> {
    let smallest = targets.iter().flat_map(|target| {
        let least = target.configurations.iter().min_by_key(|own| own.measured.ram_bytes);
        least.map(|own| (own.measured.ram_bytes, own.measured.flash_bytes, &target.machine.name))
    });
    let message = "no configuration keeps to the memory that there is";
    let failure = Failure::new(Code::Ram, message);
    match smallest.min() {
        Some((ram, flash, name)) => {
            failure.help(format!("the smallest takes {ram} bytes of RAM and {flash} of flash, on `{name}`"))
        }
        None => failure,
    }
}

/// What configurations of a network are tried on.
struct Trial<'a> {
    arguments: &'a Arguments,
    network: &'a Network,
    samples: &'a [Sample],
    talk: &'a Talk,
}

impl Trial<'_> {
    fn target(&self, machine: Machine) -> Result<Target> {
        let asked_for = self.arguments.build.schedules()?;
        let own = Budget::of(&machine);
        let budget =
            Budget { ram: asked_for.bounds().ram.or(own.ram), flash: asked_for.bounds().flash.or(own.flash) };
        let mut target = Target { machine, budget, configurations: vec![], outputs: vec![] };
        // The bounds are for what is measured: a configuration is chosen by its arena.
        let free = Schedules { budget: Budget::default(), ..asked_for };
        self.configurations(&mut target, &free, "")?;
        let may_come_by_rows = free.inputs.is_empty() && !self.network.inputs.is_empty();
        if may_come_by_rows {
            let rows: Vec<(String, Delivery)> = by_rows(&self.network.inputs);
            let said: Vec<String> =
                (0..rows.len()).map(|position| format!(" --input {position}=rows")).collect();
            // A network that has no rows cannot have them delivered.
            _ = self.configurations(&mut target, &Schedules { inputs: rows, ..free }, &said.concat());
        }
        Ok(target)
    }

    /// Adds what can be made with these schedules and any bound on the arena.
    fn configurations(&self, target: &mut Target, schedules: &Schedules, said: &str) -> Result<()> {
        let model = &self.arguments.model;
        let (network, c) = (&self.network.model, Default::default());
        let options = model.options(network, &target.machine, Stage::Views, schedules, c);
        self.talk
            .begin("Planning", &format!("{} for {}", self.network.model.path.display(), target.machine.name));
        let arenas = pipeline::arenas(&self.network.model.source, &options);
        self.talk.end();
        for (position, arena) in arenas?.into_iter().enumerate() {
            let smallest = target.configurations.iter().map(|own| own.measured.arena_bytes).min();
            if smallest.is_some_and(|smallest| arena >= smallest) {
                continue;
            }
            let bounded = Schedules { budget: Budget { ram: Some(arena), flash: None }, ..schedules.clone() };
            let bounded = if position == 0 { schedules.clone() } else { bounded };
            let ram = if position == 0 { String::new() } else { format!(" --ram {arena}") };
            self.configuration(target, &bounded, format!("{ram}{said}"))?;
        }
        Ok(())
    }

    /// Measures one, and where nothing but flash is short once more with small code.
    fn configuration(&self, target: &mut Target, schedules: &Schedules, arguments: String) -> Result<()> {
        let measured = self.measure(target, schedules, &arguments)?;
        let fits =
            |measured: &Measurement| target.budget.check_measured(&target.machine.name, measured).is_ok();
        let (ram, flash) = (target.budget.ram, target.budget.flash);
        let short_of_flash = flash.is_some_and(|bound| measured.flash_bytes > bound)
            && ram.is_none_or(|bound| measured.ram_bytes <= bound);
        let own = Configuration { arguments: arguments.clone(), fits: fits(&measured), measured };
        target.configurations.push(own);
        if short_of_flash && schedules.optimize == Optimize::Time {
            let small = Schedules { optimize: Optimize::Size, ..schedules.clone() };
            let arguments = format!(" --optimize size{arguments}");
            let measured = self.measure(target, &small, &arguments)?;
            let fits = target.budget.check_measured(&target.machine.name, &measured).is_ok();
            target.configurations.push(Configuration { arguments, fits, measured });
        }
        Ok(())
    }

    /// Runs a configuration, which must give what the others do: integers exactly.
    fn measure(&self, target: &mut Target, schedules: &Schedules, arguments: &str) -> Result<Measurement> {
        let Arguments { model, build, samples, .. } = self.arguments;
        let options = Options { optimize: schedules.optimize, ..build.options(samples.keep_state) };
        let machine = &target.machine;
        let run =
            build.execute_with(schedules, model, self.network, machine, self.samples, &options, self.talk)?;
        if target.outputs.is_empty() {
            target.outputs = run.outputs;
            return Ok(run.measurement);
        }
        let allowance = Allowance { factor: 1.0, steps: 0 };
        let compared = compare(&self.network.outputs, &run.outputs, &target.outputs, allowance);
        if compared.iter().any(|output| output.mismatches > 0) {
            let message = format!("with `{}` the outputs are not those of whole tensors", arguments.trim());
            return Err(Failure::new(Code::GeneratedCode, message));
        }
        Ok(run.measurement)
    }
}

/// All inputs by rows.
fn by_rows(inputs: &[Port]) -> Vec<(String, Delivery)> {
    inputs.iter().map(|input| (input.name.clone(), Delivery::Rows)).collect()
}

/// What a configuration costs: cycles where they are estimated, instructions elsewhere, or nanoseconds.
fn cost(measured: &Measurement) -> Option<u64> {
    let nanoseconds = measured.seconds.map(|seconds| (seconds * 1e9) as u64);
    measured.estimated_cycles.or(measured.instructions).or(nanoseconds)
}

impl Target {
    /// The fastest configuration that fits.
    fn fastest(&self) -> Option<&Configuration> {
        let fitting = self.configurations.iter().filter(|own| own.fits);
        fitting.min_by_key(|own| (cost(&own.measured), own.measured.ram_bytes))
    }

    fn fields(&self) -> Value {
        let configuration = |own: &Configuration| {
            json!({
                "arguments": own.arguments.trim(),
                "fits": own.fits,
                "ram_bytes": own.measured.ram_bytes,
                "arena_bytes": own.measured.arena_bytes,
                "stack_bytes": own.measured.stack_bytes,
                "flash_bytes": own.measured.flash_bytes,
                "instructions": own.measured.instructions,
                "estimated_cycles": own.measured.estimated_cycles,
            })
        };
        json!({
            "target": self.machine.name,
            "fits": self.fastest().is_some(),
            "ram": self.budget.ram,
            "flash": self.budget.flash,
            "fastest": self.fastest().map(|own| own.arguments.trim()),
            "configurations": self.configurations.iter().map(configuration).collect::<Vec<_>>(),
        })
    }

    fn report(&self, model: &ModelArguments) -> String {
        let name = &self.machine.name;
        let bound = |bytes: Option<u64>| {
            bytes.map_or("any amount".into(), |bytes| format!("{} bytes", text::number(bytes)))
        };
        let memory = format!("{} of RAM and {} of flash", bound(self.budget.ram), bound(self.budget.flash));
        let mut report = match self.fastest() {
            Some(own) => {
                let command = format!(
                    "nablac compile {} --target {name}{} --out DIR",
                    model.model.display(),
                    own.arguments
                );
                format!("{name}: fits in {memory}\n  {command}\n")
            }
            None => format!("{name}: does not fit in {memory}\n"),
        };
        let least = self.configurations.iter().filter_map(|own| cost(&own.measured)).min();
        let heads =
            ["", "RAM", "arena", "stack", "flash", "instructions", "cycles", "against the fastest", "fits"];
        let mut rows = vec![heads.map(String::from).to_vec()];
        for own in &self.configurations {
            let measured = &own.measured;
            let ratio = cost(measured).zip(least).map(|(own, least)| own as f64 / least.max(1) as f64);
            let arguments = if own.arguments.is_empty() { "whole tensors" } else { own.arguments.trim() };
            rows.push(vec![
                format!("  {arguments}"),
                text::number(measured.ram_bytes),
                text::number(measured.arena_bytes),
                text::optional(measured.stack_bytes),
                text::number(measured.flash_bytes),
                text::optional(measured.instructions),
                text::optional(measured.estimated_cycles),
                text::decimal(ratio),
                if own.fits { "yes" } else { "no" }.into(),
            ]);
        }
        report += &text::table(&rows);
        report
    }
}
