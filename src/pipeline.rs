//! The pipeline: from a model's node list to code, in one function.
//!
//! Owns the order of the stages and that each is verified after it runs. What a stage does is the business of the crate that
//! it calls.

use std::collections::BTreeMap;

use nablac_graph::limits::Limits;
use nablac_graph::source::{SourceDim, SourceModel};
use nablac_graph::{Graph, Requantization, ValueId, import};
use nablac_loops::schedule::Item;
use nablac_loops::{Capacity, Delivery, Optimize};
use nablac_machine::Machine;

use crate::budget::Footprint;
use crate::failure::{Code, Failure, Result};
use crate::schedules::Schedules;
use crate::{defaults, fusion, memory};

macro_rules! stages { ($($Name:ident $name:literal $about:literal;)*) => {
    /// A stage of the compiler, in the order in which they run.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub enum Stage { $(#[doc = $about] $Name),* }

    impl Stage {
        /// Every stage, in order.
        pub const ALL: &[Stage] = &[$(Stage::$Name),*];
        /// What `--after` calls it.
        pub fn name(self) -> &'static str { match self { $(Stage::$Name => $name),* } }
        /// What it makes.
        pub fn about(self) -> &'static str { match self { $(Stage::$Name => $about),* } }
    }
} }

stages! {
    Import   "import"   "the operators of the model";
    Fold     "fold"     "the operators, with what depends on constants alone computed";
    Quantize "quantize" "the operators, on integers where values are quantized on both sides";
    Define   "define"   "what each operator computes, in index notation";
    Simplify "simplify" "the same with maps and views inlined into their readers";
    Stream   "stream"   "the same given what is new, run by run, where that is asked for";
    Views    "views"    "the same with tensors laid out as windows move over them";
    Schedule "schedule" "how the loops of each kernel run";
    Lower    "lower"    "loop nests over buffers";
    Fuse     "fuse"     "the same with kernels that run row by row, in turn";
    Plan     "plan"     "the same with every buffer at its place in the arena";
    C        "c"        "C";
}

impl Stage {
    /// The stage called `name`.
    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.iter().copied().find(|stage| stage.name() == name)
    }
}

/// What the user decides about a compilation.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--dim NAME=N`: the extents of dimensions that the model leaves open.
    pub dimensions: BTreeMap<String, usize>,
    /// `--limit-…`: what the model may ask for.
    pub limits: Limits,
    /// `--requantize`: how integers get from one scale to another; nothing for the way of the model's framework.
    pub requantization: Option<Requantization>,
    /// `--stream`: the axis of an input along which each run gets what is new.
    pub stream: Option<Axis>,
    /// What the code is for.
    pub machine: Machine,
    /// `--schedule`: how kernels run that the rules would have run otherwise, and what the result must keep to; and `--optimize`.
    pub schedules: Schedules,
    /// What the C says of itself, and what its self-test compares with.
    pub c: nablac_c::Options,
    /// The last stage to run.
    pub after: Stage,
}

/// An axis of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Axis {
    /// The input's name or position; nothing for the first.
    pub input: Option<String>,
    /// Which of its axes.
    pub along: usize,
}

/// What a stage makes.
#[derive(Clone, Debug)]
pub enum Form {
    /// Which operators.
    Graph(Graph),
    /// What they compute.
    Index(nablac_index::Program),
    /// What is computed still, and how its kernels' loops run, as text.
    Schedule(nablac_index::Program, String),
    /// How that runs.
    Loops(nablac_loops::Program),
    /// That in C; the nests, for what is asked of them still.
    C(nablac_loops::Program, nablac_c::Folder),
}

/// Compiles a model up to the stage `options.after`. `begin` hears of each stage as it begins.
pub fn compile(source: &SourceModel, options: &Options, begin: &mut dyn FnMut(Stage)) -> Result<Form> {
    begin(Stage::Import);
    check_dimensions(source, options)?;
    let graph = import(
        source,
        &import::Options {
            dimensions: options.dimensions.clone(),
            limits: options.limits.clone(),
            requantization: options.requantization,
        },
    )?;
    verify_graph(Stage::Import, &graph)?;
    if options.after == Stage::Import {
        return Ok(Form::Graph(graph));
    }

    begin(Stage::Fold);
    let graph = nablac_graph::fold_batch_normalization(nablac_graph::fold_constants(graph));
    verify_graph(Stage::Fold, &graph)?;
    if options.after == Stage::Fold {
        return Ok(Form::Graph(graph));
    }

    begin(Stage::Quantize);
    let requantization = options.requantization.unwrap_or(Requantization::F32);
    let graph = nablac_graph::fuse_quantization(graph, requantization);
    verify_graph(Stage::Quantize, &graph)?;
    if options.after == Stage::Quantize {
        return Ok(Form::Graph(graph));
    }

    let scales = scales(&graph);
    begin(Stage::Define);
    let program = nablac_graph::define(&graph)?;
    verify_index(Stage::Define, &program)?;
    if options.after == Stage::Define {
        return Ok(Form::Index(program));
    }

    begin(Stage::Simplify);
    let program = nablac_index::simplify(program);
    verify_index(Stage::Simplify, &program)?;
    if options.after == Stage::Simplify {
        return Ok(Form::Index(program));
    }

    begin(Stage::Stream);
    let program = match &options.stream {
        None => program,
        Some(axis) => streamed(&program, axis, &scales)?,
    };
    verify_index(Stage::Stream, &program)?;
    if options.after == Stage::Stream {
        return Ok(Form::Index(program));
    }

    begin(Stage::Views);
    let program = nablac_index::simplify(nablac_index::assign_layouts(program));
    let program = nablac_index::fit_steps(program);
    verify_index(Stage::Views, &program)?;
    if options.after == Stage::Views {
        return Ok(Form::Index(program));
    }

    begin(Stage::Schedule);
    let Scheduling { capacity, chosen, deliveries } = scheduling(&program, options)?;
    let asked_for = &options.schedules.parsed;
    let bounds = options.schedules.bounds();
    let schedules = fusion::choose(&program, &capacity, asked_for, chosen, &deliveries, bounds.ram);
    let schedules = schedules.map_err(|error| options.schedules.failure(error))?;
    if options.after == Stage::Schedule {
        let text = schedule_text(&program, &capacity, &schedules);
        return Ok(Form::Schedule(program, text.map_err(|error| options.schedules.failure(error))?));
    }

    begin(Stage::Lower);
    let lowered = nablac_loops::lower(&program, &capacity, &schedules);
    let nests = lowered.map_err(|error| options.schedules.failure(error))?;
    verify_loops(Stage::Lower, &nests)?;
    if options.after == Stage::Lower {
        return Ok(Form::Loops(nests));
    }

    begin(Stage::Fuse);
    let fused = nablac_loops::fuse(nests, &schedules, &deliveries);
    let nests = fused.map_err(|error| options.schedules.failure(error))?;
    verify_loops(Stage::Fuse, &nests)?;
    if options.after == Stage::Fuse {
        return Ok(Form::Loops(nests));
    }

    begin(Stage::Plan);
    let nests = nablac_loops::plan(nests);
    verify_loops(Stage::Plan, &nests)?;
    bounds.check(Footprint::of(&nests), || memory::Report::of(&nests).what_binds())?;
    if options.after == Stage::Plan {
        return Ok(Form::Loops(nests));
    }

    begin(Stage::C);
    let c = nablac_c::Options { scales, optimize: options.schedules.optimize, ..options.c.clone() };
    let folder = nablac_c::export(&nests, &c)?;
    Ok(Form::C(nests, folder))
}

/// The bytes of the arenas that `--ram` can ask for, from whole tensors down to the smallest.
pub fn arenas(source: &SourceModel, options: &Options) -> Result<Vec<u64>> {
    let Form::Index(program) =
        compile(source, &Options { after: Stage::Views, ..options.clone() }, &mut |_| {})?
    else {
        return Err(Failure::new(Code::BrokenStage, "stage `views` made no index notation"));
    };
    let Scheduling { capacity, chosen, deliveries } = scheduling(&program, options)?;
    let arenas = fusion::curve(&program, &capacity, &options.schedules.parsed, &chosen, &deliveries);
    arenas.map_err(|error| options.schedules.failure(error))
}

/// How kernels run, before it is known which of them run row by row.
struct Scheduling {
    capacity: Capacity,
    chosen: nablac_loops::schedule::Schedules,
    deliveries: BTreeMap<String, Delivery>,
}

fn scheduling(program: &nablac_index::Program, options: &Options) -> Result<Scheduling> {
    let capacity = capacity(&options.machine, options.schedules.optimize, options.schedules.threads)?;
    let chosen = defaults::choose(program, &options.machine, &capacity, &options.schedules.parsed);
    let chosen = chosen.map_err(|error| options.schedules.failure(error))?;
    Ok(Scheduling { capacity, chosen, deliveries: deliveries(program, &options.schedules.inputs)? })
}

/// What a machine offers to a nest, what the nest is to be, and on how many threads; 0 is 1.
pub fn capacity(machine: &Machine, optimize: Optimize, threads: usize) -> Result<Capacity> {
    if threads > 1 && !machine.threads {
        let message = format!("`{}` has no threads, but {threads} are asked for", machine.name);
        return Err(Failure::new(Code::Option, message)
            .help("leave `--threads` out, or name a target that has them: `host`"));
    }
    let pipeline =
        machine.pipeline.map_or_else(nablac_loops::Pipeline::default, |own| nablac_loops::Pipeline {
            issues: own.issues as usize,
            loads: own.loads as usize,
            multiplies: own.multiplies as usize,
            latency: own.latency as usize,
        });
    let caches = machine.caches.iter();
    let caches =
        caches.map(|own| nablac_loops::Cache { bytes: own.bytes as usize, refill: own.refill as usize });
    let caches = caches.collect();
    Ok(Capacity {
        machine: machine.name.clone(),
        float_registers: machine.registers.float as usize,
        general_registers: machine.registers.general as usize,
        vector_registers: machine.registers.vector as usize,
        pipeline,
        caches,
        library: machine.library()?,
        optimize,
        rank: 0,
        threads: if machine.threads { threads.max(1) } else { 0 },
        by_rows: false,
    })
}

/// Every kernel's schedule as a pin, under what it computes.
pub fn schedule_text(
    program: &nablac_index::Program,
    capacity: &Capacity,
    schedules: &nablac_loops::schedule::Schedules,
) -> std::result::Result<String, nablac_loops::Error> {
    let pins = nablac_loops::schedules(program, capacity, schedules)?;
    let mut text = format!(
        "; {} on {}: change a line, and give the file to --schedule\n",
        program.name, capacity.machine
    );
    pins.iter().for_each(|(law, pin)| text += &format!("\n; {law}\n{pin}\n"));
    let fused = schedules.items.iter().filter(|item| matches!(item, Item::Fused(_)));
    fused.for_each(|item| text += &format!("\n{item}\n"));
    Ok(text)
}

/// The program that gets what is new along an axis.
fn streamed(
    program: &nablac_index::Program,
    axis: &Axis,
    scales: &BTreeMap<String, nablac_c::Scale>,
) -> Result<nablac_index::Program> {
    let inputs = program.inputs();
    let names: Vec<&str> = inputs.iter().map(|id| program.tensor(*id).name.as_str()).collect();
    let position = match &axis.input {
        None => (!names.is_empty()).then_some(0),
        Some(name) => named(&names, name),
    };
    let Some(position) = position else {
        let message = format!("the model has no input `{}`", axis.input.as_deref().unwrap_or("0"));
        return Err(Failure::new(Code::Option, message).help(format!("its inputs are {}", names.join(", "))));
    };
    // What came before the first run was real zeros.
    let silence = scales.get(names[position]).map_or(0, |scale| scale.zero_point);
    let silence = nablac_index::Value::from_i64(program.dtype(inputs[position]), silence);
    let streamed = nablac_index::stream(program, inputs[position], axis.along, silence);
    let streamed = streamed.map_err(|error| {
        Failure::new(Code::Option, format!("`--stream` is not possible: {error}"))
            .help("`nablac show MODEL --after simplify` shows how each layer reads along the axis")
    })?;
    Ok(streamed.program)
}

/// The position of an input that is called by its name or position.
fn named(names: &[&str], name: &str) -> Option<usize> {
    let position = name.parse::<usize>().ok().filter(|position| *position < names.len());
    names.iter().position(|own| *own == name).or(position)
}

/// How inputs reach the program, by name.
fn deliveries(
    program: &nablac_index::Program,
    asked_for: &[(String, Delivery)],
) -> Result<BTreeMap<String, Delivery>> {
    let inputs = program.tensors.iter().filter(|tensor| tensor.role == nablac_index::Role::Input);
    let names: Vec<&str> = inputs.map(|tensor| tensor.name.as_str()).collect();
    let mut deliveries = BTreeMap::new();
    for (name, delivery) in asked_for {
        let Some(found) = named(&names, name).map(|position| names[position]) else {
            let message = format!("the model has no input `{name}`");
            return Err(
                Failure::new(Code::Option, message).help(format!("its inputs are {}", names.join(", ")))
            );
        };
        deliveries.insert(found.to_string(), *delivery);
    }
    Ok(deliveries)
}

/// How the integers of inputs and outputs stand for reals: what a caller must know.
fn scales(graph: &Graph) -> BTreeMap<String, nablac_c::Scale> {
    let scale = |&id: &ValueId| {
        let value = graph.value(id);
        let (scale, zero_point) = value.quantization.as_ref()?.uniform()?;
        Some((value.name.clone(), nablac_c::Scale { scale, zero_point }))
    };
    graph.inputs.iter().chain(&graph.outputs).filter_map(scale).collect()
}

/// Every `--dim` must name a dimension that the model leaves open: a mistyped one would go unnoticed.
fn check_dimensions(source: &SourceModel, options: &Options) -> Result<()> {
    let mut open = vec![];
    for input in &source.inputs {
        for (position, dimension) in input.shape.iter().flatten().enumerate() {
            match dimension {
                SourceDim::Named(name) if name.is_empty() => open.push(format!("{}.{position}", input.name)),
                SourceDim::Named(name) => open.push(name.clone()),
                SourceDim::Fixed(_) => {}
            }
        }
    }
    match options.dimensions.keys().find(|name| !open.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let failure = Failure::new(Code::Option, format!("the model has no open dimension `{name}`"));
            Err(match open.is_empty() {
                true => failure.help("all its dimensions are fixed: leave `--dim` out"),
                false => failure.help(format!("its open dimensions are {}", open.join(", "))),
            })
        }
    }
}

fn verify_graph(stage: Stage, graph: &Graph) -> Result<()> {
    nablac_graph::verify(graph).map_err(|error| broken(stage, error))
}

fn verify_index(stage: Stage, program: &nablac_index::Program) -> Result<()> {
    nablac_index::verify(program).map_err(|error| broken(stage, error))
}

fn verify_loops(stage: Stage, nests: &nablac_loops::Program) -> Result<()> {
    nablac_loops::verify(nests).map_err(|error| broken(stage, error))
}

/// A stage made something that breaks its language's rules: the stage's own mistake.
fn broken(stage: Stage, error: impl std::fmt::Display) -> Box<Failure> {
    Failure::new(Code::BrokenStage, format!("after stage `{}`: {error}", stage.name()))
}

impl Form {
    /// The text of the intermediate representation, or of the C file with the network's functions.
    pub fn text(&self) -> String {
        match self {
            Form::Graph(graph) => graph.to_string(),
            Form::Index(program) => program.to_string(),
            Form::Schedule(_, text) => text.clone(),
            Form::Loops(nests) => nests.to_string(),
            Form::C(_, folder) => {
                let source = folder.sources.first();
                let file = folder.files.iter().find(|(path, _)| Some(path) == source);
                file.map(|(_, text)| text.clone()).unwrap_or_default()
            }
        }
    }
}
