//! Which engine runs a model, and what it says.

use std::time::Duration;

use clap::{Args, ValueEnum};
use nablac::budget::Budget;
use nablac::engine::{self, Library};
use nablac::failure::{Code, Failure, Result};
use nablac::layers::{Layer, layers};
use nablac::pipeline::{Form, Stage};
use nablac::samples::Sample;
use nablac::schedules::Schedules;
use nablac_c::Weights;
use nablac_machine::Machine;
use nablac_run::{Measurement, Options};

use super::arguments::{ModelArguments, Network, ScheduleArguments, WeightArguments, stage};
use super::talk::Talk;
use super::text;

/// What runs the model.
#[derive(Args)]
pub struct EngineArguments {
    /// Run the generated C on this target; see `nablac targets`. Without it the interpreter runs the model.
    #[arg(long, help_heading = "Engine", value_name = "TARGET")]
    pub target: Option<String>,
    /// What runs the model: the interpreter, or the generated C. [default: c with --target, else interp]
    #[arg(long, help_heading = "Engine", value_enum)]
    engine: Option<Engine>,
    /// The stage whose result the interpreter runs; see `nablac show --help`. [default: simplify]
    #[arg(long, help_heading = "Engine", value_name = "STAGE", value_parser = stage)]
    after: Option<Stage>,
    #[command(flatten)]
    pub build: BuildArguments,
}

/// How generated C is built and run.
#[derive(Args)]
pub struct BuildArguments {
    /// Build with the address and undefined-behaviour sanitizers; on the host.
    #[arg(long, help_heading = "Engine")]
    sanitize: bool,
    /// End a compiler or a program that takes longer.
    #[arg(long, help_heading = "Engine", value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    #[command(flatten)]
    schedule: ScheduleArguments,
    #[command(flatten)]
    weights: WeightArguments,
}

/// What runs the model.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The interpreter of the intermediate representation: slow, and right by definition.
    Interp,
    /// The generated C, built and run on the target.
    C,
}

/// What a run gave.
pub struct Outcome {
    /// The outputs of each sample.
    pub outputs: Vec<Sample>,
    /// `interp` or `c`.
    pub engine: &'static str,
    /// The machine that it ran on, if that was generated C.
    pub target: Option<String>,
}

/// What running generated C gave.
pub struct Execution {
    /// The outputs of each sample.
    pub outputs: Vec<Sample>,
    /// What it cost.
    pub measurement: Measurement,
    /// What each layer cost.
    pub layers: Vec<Layer>,
    /// How many threads it ran on.
    pub threads: usize,
}

impl BuildArguments {
    /// What the program must keep to.
    pub fn budget(&self) -> Budget {
        self.schedule.budget()
    }

    /// How to build and run; `keep_state` says whether samples follow each other in time.
    pub fn options(&self, keep_state: bool) -> Options {
        Options {
            keep_state,
            sanitize: self.sanitize,
            optimize: self.schedule.optimize(),
            timeout: Duration::from_secs(self.timeout),
            ..Options::default()
        }
    }

    fn c(&self) -> nablac_c::Options {
        nablac_c::Options { weights: self.weights.weights, ..Default::default() }
    }

    /// Runs the generated C on `machine`; `model` says how the network is compiled.
    pub fn execute(
        &self,
        model: &ModelArguments,
        network: &Network,
        machine: &Machine,
        samples: &[Sample],
        options: &Options,
        talk: &Talk,
    ) -> Result<Execution> {
        self.execute_with(&self.schedules()?, model, network, machine, samples, options, talk)
    }

    /// How kernels run.
    pub fn schedules(&self) -> Result<Schedules> {
        self.schedule.read()
    }

    /// The same with other schedules than the arguments say.
    #[allow(clippy::too_many_arguments)] // the command line's nouns, each with a type of its own
    pub fn execute_with(
        &self,
        schedules: &Schedules,
        model: &ModelArguments,
        network: &Network,
        machine: &Machine,
        samples: &[Sample],
        options: &Options,
        talk: &Talk,
    ) -> Result<Execution> {
        let form = model.compile(&network.model, machine, Stage::C, schedules, self.c(), talk)?;
        let Form::C(nests, folder) = &form else {
            return Err(Failure::new(Code::BrokenStage, "stage `c` made no C"));
        };
        let library = Library {
            folder,
            inputs: &network.inputs,
            outputs: &network.outputs,
            arena_bytes: nests.arena_bytes,
        };
        talk.begin("Running", &format!("{} on {}", text::count(samples.len(), "sample"), machine.name));
        let result = engine::execute(&library, machine, samples, options);
        talk.end();
        let (outputs, measurement) = result?;
        let predicted = match machine.pipeline {
            Some(_) => nablac_predictor::predictions(nests, machine),
            None => Ok(Default::default()),
        };
        let predicted = predicted.map_err(|error| Failure::new(Code::BrokenStage, error))?;
        let predicted = predicted.into_iter().map(|(kernel, own)| (kernel, own.cycles)).collect();
        let layers = layers(nests, &folder.functions, &predicted, &measurement);
        Ok(Execution { outputs, measurement, layers, threads: folder.threads })
    }
}

impl EngineArguments {
    /// Runs the network on samples.
    pub fn run(
        &self,
        model: &ModelArguments,
        network: &Network,
        samples: &[Sample],
        keep_state: bool,
        talk: &Talk,
    ) -> Result<Outcome> {
        let chosen = self.engine.unwrap_or(if self.target.is_some() { Engine::C } else { Engine::Interp });
        let machine = Machine::load(self.target.as_deref().unwrap_or("host"))?;
        if chosen == Engine::C {
            if self.after.is_some() {
                let message = "`--after` chooses what the interpreter runs, but generated C is run";
                return Err(
                    Failure::new(Code::Option, message).help("say `--engine interp`, or leave it out")
                );
            }
            let options = self.build.options(keep_state);
            let execution = self.build.execute(model, network, &machine, samples, &options, talk)?;
            return Ok(Outcome { outputs: execution.outputs, engine: "c", target: Some(machine.name) });
        }
        if self.build.weights.weights != Weights::default() {
            let message = "`--weights` chooses where generated C has its constants, but the interpreter runs";
            return Err(Failure::new(Code::Option, message).help("say `--target TARGET`, or leave it out"));
        }
        let meaning = if model.stream.is_some() { Stage::Stream } else { Stage::Simplify };
        let after = self.after.unwrap_or(meaning);
        let schedules = self.build.schedule.read()?;
        let form = model.compile(&network.model, &machine, after, &schedules, Default::default(), talk)?;
        talk.begin("Running", &format!("{} in the interpreter", text::count(samples.len(), "sample")));
        let outputs = interpret(&form, samples, keep_state)?;
        talk.end();
        Ok(Outcome { outputs, engine: "interp", target: None })
    }
}

/// The outputs of samples by themselves, or as a sequence.
pub fn interpret(form: &Form, samples: &[Sample], keep_state: bool) -> Result<Vec<Sample>> {
    if keep_state { engine::interpret_sequence(form, samples) } else { engine::interpret(form, samples) }
}
