//! Arguments that several commands take.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nablac::budget::Budget;
use nablac::failure::{Code, Failure, Result};
use nablac::model::{self, Model};
use nablac::npz;
use nablac::pipeline::{self, Axis, Form, Options, Stage};
use nablac::samples::{self, Port, Sample, Stacking};
use nablac::schedules::Schedules;
use nablac_c::Weights;
use nablac_graph::Requantization;
use nablac_graph::limits::{Limit, Limits, read_file};
use nablac_loops::{Delivery, MOST_PARTS, Optimize};
use nablac_machine::{Machine, parse_size};

use super::talk::Talk;

/// The model, and what is decided about it.
#[derive(Args)]
pub struct ModelArguments {
    /// The model file: ONNX or TFLite, told apart by what it holds.
    pub model: PathBuf,
    /// Fix a dimension that the model leaves open, such as `--dim batch=1`. One without a name is called by its input and
    /// position: `--dim x.0=1`.
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dimension)]
    pub dimensions: Vec<(String, usize)>,
    /// How integers get from one scale to another in a quantized network: `double` and `single` in fixed point, rounded twice or once;
    /// `f64` and `f32` through reals. Without it as the model's framework does, which is `double` (and `f64` in fully connected
    /// layers) for TFLite, and `f32` for ONNX. Fixed point is faster without a floating-point unit, and differs by a step now and then.
    #[arg(long, value_name = "WAY", value_parser = requantization)]
    pub requantize: Option<Requantization>,
    /// Compile a network over a window in time for what is new: each run takes the next rows of an input along this axis, such as
    /// `1`, or `NAME.1` for another input than the first, and gives what the whole network gives for the window that they end. What it knows
    /// of rows before stays in states: `NAME_reset` fills the window with zeros again.
    #[arg(long, value_name = "AXIS", value_parser = axis)]
    pub stream: Option<Axis>,
    #[command(flatten)]
    limits: LimitArguments,
}

/// Bounds on what a model may ask for: they protect whoever opens a stranger's file.
#[derive(Args)]
struct LimitArguments {
    /// Bytes in the model's files.
    #[arg(long, help_heading = "Limits", value_name = "SIZE", value_parser = size, hide_short_help = true)]
    limit_file_bytes: Option<u64>,
    /// Nodes, those of subgraphs and functions included.
    #[arg(long, help_heading = "Limits", value_name = "N", hide_short_help = true)]
    limit_nodes: Option<u64>,
    /// Axes of one tensor.
    #[arg(long, help_heading = "Limits", value_name = "N", hide_short_help = true)]
    limit_rank: Option<u64>,
    /// Elements of one tensor.
    #[arg(long, help_heading = "Limits", value_name = "N", hide_short_help = true)]
    limit_elements: Option<u64>,
    /// Levels of graphs within graphs.
    #[arg(long, help_heading = "Limits", value_name = "N", hide_short_help = true)]
    limit_nesting: Option<u64>,
}

impl LimitArguments {
    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for &limit in Limit::ALL {
            let value = match limit {
                Limit::FileBytes => self.limit_file_bytes,
                Limit::Nodes => self.limit_nodes,
                Limit::Rank => self.limit_rank,
                Limit::Elements => self.limit_elements,
                Limit::Nesting => self.limit_nesting,
            };
            limits.set(limit, value.unwrap_or(limits.get(limit)));
        }
        limits
    }
}

fn dimension(text: &str) -> std::result::Result<(String, usize), String> {
    // A name may hold a `=` of its own, so that the last one counts.
    let (name, extent) = text.rsplit_once('=').ok_or("write it like `batch=1`")?;
    let extent = extent.parse().map_err(|_| format!("`{extent}` is no extent"))?;
    Ok((name.to_string(), extent))
}

/// An axis of an input.
fn axis(text: &str) -> std::result::Result<Axis, String> {
    let (input, along) = match text.rsplit_once('.') {
        Some((name, along)) => (Some(name.to_string()), along),
        None => (None, text),
    };
    let along = along.parse().map_err(|_| format!("`{text}` is no axis; write it like `1` or `NAME.1`"))?;
    Ok(Axis { input, along })
}

/// A way to requantize, by its name.
fn requantization(name: &str) -> std::result::Result<Requantization, String> {
    let names: Vec<&str> = Requantization::ALL.iter().map(|way| way.name()).collect();
    Requantization::from_name(name).ok_or(format!("the ways are {}", names.join(", ")))
}

/// A size in bytes, such as `64K`, `64KiB` or `1M`.
pub fn size(text: &str) -> std::result::Result<u64, String> {
    parse_size(text).ok_or(format!("`{text}` is no size; write it like `64K`, `64KiB` or `1M`"))
}

/// A time in seconds, such as `0.5`.
pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or(format!("`{text}` is no time; write seconds like `0.5`"))
}

/// A stage by its name.
pub fn stage(name: &str) -> std::result::Result<Stage, String> {
    let names: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    Stage::from_name(name).ok_or(format!("the stages are {}", names.join(", ")))
}

/// A count of what there must be some of.
fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    let count: usize = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if count > 0 { Ok(count) } else { Err("it must be at least 1".into()) }
}

/// A number of threads.
fn threads(text: &str) -> std::result::Result<usize, String> {
    match at_least_one(text)? {
        count if count <= MOST_PARTS => Ok(count),
        _ => Err(format!("at most {MOST_PARTS} are supported")),
    }
}

/// What code is to be, by its name.
fn goal(name: &str) -> std::result::Result<Optimize, String> {
    let names: Vec<&str> = Optimize::ALL.iter().map(|goal| goal.name()).collect();
    Optimize::from_name(name).ok_or(format!("the goals are {}", names.join(", ")))
}

/// An input and how it reaches the network.
fn delivery(text: &str) -> std::result::Result<(String, Delivery), String> {
    let (name, way) = text.rsplit_once('=').ok_or("write it like `0=rows` or `image=external`")?;
    let delivery = match way {
        "whole" => Delivery::Whole,
        "rows" => Delivery::Rows,
        "external" => Delivery::External,
        _ => return Err(format!("`{way}` is none of `whole`, `rows` and `external`")),
    };
    Ok((name.into(), delivery))
}

/// A finite factor that is not negative.
pub fn factor(text: &str) -> std::result::Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if factor >= 0.0 && factor.is_finite() {
        Ok(factor)
    } else {
        Err("it must be finite, and not negative".into())
    }
}

impl ModelArguments {
    /// Reads the model, and says so.
    pub fn read(&self, talk: &Talk) -> Result<Model> {
        talk.begin("Reading", &self.model.display().to_string());
        let model = model::read(&self.model, &self.limits.limits())?;
        talk.say("Reading", &format!("{}  {}", self.model.display(), model.summary()));
        Ok(model)
    }

    /// What the model may ask for.
    pub fn limits(&self) -> Limits {
        self.limits.limits()
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        Ok(read_file(&self.model, &self.limits())?)
    }

    /// Compiles the model for `machine` up to the stage `after` with these schedules; `c` says what is not the model's about the C.
    pub fn compile(
        &self,
        model: &Model,
        machine: &Machine,
        after: Stage,
        schedules: &Schedules,
        c: nablac_c::Options,
        talk: &Talk,
    ) -> Result<Form> {
        if self.stream.is_some() && after < Stage::Stream {
            let message = format!("`--stream` changes nothing up to stage `{}`", after.name());
            return Err(Failure::new(Code::Option, message).help("name `stream`, or a later stage"));
        }
        let without_effect = match schedules.parsed.items.is_empty() {
            false => Some("--schedule"),
            true if schedules.threads > 1 => Some("--threads"),
            true if !schedules.inputs.is_empty() => Some("--input"),
            true => (schedules.optimize != Optimize::default()).then_some("--optimize"),
        };
        if let Some(option) = without_effect.filter(|_| after < Stage::Schedule) {
            let message = format!("`{option}` changes nothing up to stage `{}`", after.name());
            return Err(Failure::new(Code::Option, message).help(
                "`--after lower` and later stages run its loops; so does `--target` with `run` and `verify`",
            ));
        }
        let options = self.options(model, machine, after, schedules, c);
        let name = model.path.display().to_string();
        let form = pipeline::compile(&model.source, &options, &mut |stage| {
            talk.begin("Compiling", &format!("{name}: stage {}", stage.name()));
        });
        talk.end();
        form
    }

    /// What the arguments decide about a compilation; `c` says what is not the model's about the C.
    pub fn options(
        &self,
        model: &Model,
        machine: &Machine,
        after: Stage,
        schedules: &Schedules,
        c: nablac_c::Options,
    ) -> Options {
        Options {
            dimensions: self.dimensions.iter().cloned().collect(),
            limits: self.limits.limits(),
            requantization: self.requantize,
            stream: self.stream.clone(),
            machine: machine.clone(),
            schedules: schedules.clone(),
            c: nablac_c::Options {
                name: model.stem(),
                version: env!("CARGO_PKG_VERSION").into(),
                model_sha256: model.sha256.clone(),
                ..c
            },
            after,
        }
    }

    /// Reads the model, and defines what it computes.
    pub fn network(&self, talk: &Talk) -> Result<Network> {
        let model = self.read(talk)?;
        let definition = self.compile(
            &model,
            &Machine::load("host")?,
            if self.stream.is_some() { Stage::Stream } else { Stage::Define },
            &Schedules::default(),
            Default::default(),
            talk,
        )?;
        let Form::Index(program) = &definition else {
            return Err(Failure::new(Code::BrokenStage, "stage `define` made no index notation"));
        };
        let (inputs, outputs) = (Port::inputs(program), Port::outputs(program));
        Ok(Network { model, definition, inputs, outputs })
    }
}

/// How kernels run.
#[derive(Args)]
pub struct ScheduleArguments {
    /// Force the schedules of kernels: a file of `pin`s, each a kernel's loops as they nest, outermost first. Repeat it for several
    /// files. `nablac show MODEL --after schedule --target TARGET` prints such a file for all kernels: change a line, then
    /// measure it with `nablac bench`. Every legal schedule computes the same integers.
    #[arg(long = "schedule", help_heading = "Schedules", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the code is to be. `time`: few cycles. `size`: little flash; loops are written out less, and the C compiler is told -Os
    /// rather than -O3. `ram`: the smallest arena that is found. All compute the same integers.
    #[arg(long, help_heading = "Schedules", value_name = "GOAL", default_value = "time", value_parser = goal)]
    optimize: Optimize,
    /// The most RAM that it may take, such as 64K or 64KiB: the arena, and where it is measured the context, stack and data, too. Whole
    /// tensors are fastest; where they do not fit, kernels run row by row with rings of rows between them. More exits 4.
    #[arg(long, help_heading = "Memory", value_name = "SIZE", value_parser = size)]
    ram: Option<u64>,
    /// The most flash that it may take: the weights, and where it is measured the code, too. More exits 4.
    #[arg(long, help_heading = "Memory", value_name = "SIZE", value_parser = size)]
    flash: Option<u64>,
    /// How an input, called by its name or position, reaches the network. `whole`: it is in the arena when a run begins. `rows`: the
    /// network asks a function of yours for one row after the other, and keeps those that it still needs. `external`: the network
    /// reads it where you have it. Repeat it for several inputs.
    #[arg(long = "input", help_heading = "Memory", value_name = "NAME|POSITION=whole|rows|external", value_parser = delivery)]
    deliveries: Vec<(String, Delivery)>,
    /// Run kernels with much work on so many threads, the caller's included, on a target that has them. Results are the same, bit by bit.
    #[arg(long, help_heading = "Schedules", value_name = "N", default_value_t = 1, value_parser = threads)]
    threads: usize,
}

impl ScheduleArguments {
    /// The schedules of all files.
    pub fn read(&self) -> Result<Schedules> {
        let mut schedules = Schedules::read(&self.files)?;
        schedules.optimize = self.optimize;
        schedules.threads = self.threads;
        schedules.budget = self.budget();
        schedules.inputs = self.deliveries.clone();
        Ok(schedules)
    }

    /// What the result must keep to.
    pub fn budget(&self) -> Budget {
        Budget { ram: self.ram, flash: self.flash }
    }

    /// What the code is to be.
    pub fn optimize(&self) -> Optimize {
        self.optimize
    }
}

/// Where the C has its constants.
#[derive(Args)]
pub struct WeightArguments {
    /// Where the weights are. `code`: arrays of constants in the C. `blob`: a file of their own, NAME_weights.bin, with a header and a
    /// checksum, whose address NAME_set_weights takes; it can be replaced without the code, as long as the code that belongs to the new
    /// weights is the same. The outputs are, too.
    #[arg(long, help_heading = "Memory", value_name = "PLACE", default_value = "code", value_parser = place_of_weights)]
    pub weights: Weights,
}

fn place_of_weights(name: &str) -> std::result::Result<Weights, String> {
    let names: Vec<&str> = Weights::ALL.iter().map(|place| place.name()).collect();
    Weights::from_name(name).ok_or(format!("the places are {}", names.join(" and ")))
}

/// A model with its meaning.
pub struct Network {
    /// The file.
    pub model: Model,
    /// The network just as its operators define it: what everything else is compared with.
    pub definition: Form,
    /// What it takes.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// What the model is run on.
#[derive(Args)]
pub struct SampleArguments {
    /// An .npz file with one array per input, under its name. An array that has more along the first axis than the input is
    /// several samples, which run one by one: ten samples of an input [1, 8, 8] are an array [10, 8, 8].
    #[arg(long, help_heading = "Samples", value_name = "IN.npz", conflicts_with = "random")]
    pub inputs: Option<PathBuf>,
    /// Run on random inputs made from this seed: floats in -1…1, 8-bit integers of any value, wider ones 0 or 1. [default: 0]
    #[arg(long, help_heading = "Samples", value_name = "SEED")]
    pub random: Option<u64>,
    /// How many random samples.
    #[arg(long, help_heading = "Samples", value_name = "N", default_value_t = 1, value_parser = at_least_one, conflicts_with = "inputs")]
    pub samples: usize,
    /// Take the samples as steps of one sequence: what the network keeps goes from each to the next. Otherwise each begins
    /// with what it keeps as at first.
    #[arg(long, help_heading = "Samples")]
    pub keep_state: bool,
}

impl SampleArguments {
    /// The samples.
    pub fn samples(&self, ports: &[Port]) -> Result<(Vec<Sample>, Stacking)> {
        match &self.inputs {
            Some(path) => samples::cut(ports, &npz::read(path)?, "input"),
            None => {
                let stacking = if self.samples == 1 { Stacking::Alone } else { Stacking::Joined };
                Ok((samples::random(ports, self.samples, self.random.unwrap_or(0)), stacking))
            }
        }
    }
}
