//! `nablac bench`: what an inference costs on a target.

use std::time::Duration;

use clap::ValueEnum;
use nablac::failure::Result;
use nablac::layers::Layer;
use nablac_machine::Machine;
use nablac_run::{Measurement, Options, StackBound};
use serde_json::{Value, json};

use super::arguments::{ModelArguments, SampleArguments, seconds};
use super::engine::{BuildArguments, Execution};
use super::talk::Talk;
use super::{Answer, text};

/// Measure what an inference costs: instructions, cycles, flash, RAM and stack, and what each layer has of it.
///
/// Emulated targets count every executed instruction of the inference exactly. Cycles on a Cortex-M4 are an estimate by the
/// published instruction timings, with memory that never waits. On this computer the shortest time of many inferences counts, and
/// each layer's, with a clock between layers. Sizes are the linked program's, without the test harness (on
/// the host and on aarch64 the library's, without what it uses of the system's): flash is text + rodata + data, RAM is arena +
/// context + data + bss + stack.
///
/// The stack is the most that init, run, reset and set_weights can take: the C compiler's report of each function (GCC's
/// -fcallgraph-info), added up along the calls; library functions are followed in the linked program. Where something about it cannot
/// be known, that is named, and the deepest stack that was seen counts. Where an input comes by rows, the harness's function that
/// delivers them is on the way: yours takes its place. Interrupts come on top.
///
/// The table of layers has a row for each function that the network became, and one for every other function that ran, so that the
/// rows add up. MACs are multiply-accumulates, those with padding included. The share is that of the cycles where they are
/// estimated, else of the instructions, and on this computer of the time. Weights, in and out are the bytes of the constants and other tensors that a layer reads and
/// writes, each once.
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
    /// List only the N functions with the largest shares, or where there are none with the most MACs. [default: all]
    #[arg(long, value_name = "N")]
    functions: Option<usize>,
    /// Where time is measured, for how long to repeat the first sample; the shortest time counts.
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    timing: Duration,
    /// Which functions to list first.
    #[arg(long, value_enum, default_value = "order")]
    sort: Sort,
}

/// The order of a table of layers.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Those that run first.
    Order,
    /// Those that cost most.
    Share,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let machines: Vec<Machine> =
        arguments.target.iter().map(|name| Ok(Machine::load(name)?)).collect::<Result<_>>()?;
    let network = arguments.model.network(talk)?;
    let (samples, _) = arguments.samples.samples(&network.inputs)?;
    let budget = arguments.build.budget();
    let options =
        Options { timing: arguments.timing, ..arguments.build.options(arguments.samples.keep_state) };
    let mut measured: Vec<(&Machine, Execution)> = vec![];
    let mut failure = None;
    for machine in &machines {
        let execution =
            arguments.build.execute(&arguments.model, &network, machine, &samples, &options, talk)?;
        failure = failure.or(budget.check_measured(&machine.name, &execution.measurement).err());
        measured.push((machine, execution));
    }
    let model = json!({ "model": network.model.path, "samples": samples.len() });
    let fields = match &measured[..] {
        [(machine, execution)] => merged([model, result(machine, execution)]),
        many => {
            merged([model, json!({ "results": many.iter().map(|(t, e)| result(t, e)).collect::<Vec<_>>() })])
        }
    };
    let mut report = report(&measured);
    for (machine, execution) in &measured {
        let listed = listed(&execution.layers, arguments.functions, arguments.sort);
        report += &format!("\n{}", layer_table(&machine.name, &listed));
    }
    let mut answer = Answer::new(fields, report);
    answer.failure = failure;
    Ok(answer)
}

/// The figures of one target.
fn result(machine: &Machine, execution: &Execution) -> Value {
    let figures = serde_json::to_value(&execution.measurement).unwrap_or_default();
    merged([
        json!({ "target": machine.name, "threads": execution.threads }),
        figures,
        json!({ "layers": execution.layers }),
    ])
}

fn merged<const N: usize>(objects: [Value; N]) -> Value {
    let fields = objects.into_iter().flat_map(|object| object.as_object().cloned().unwrap_or_default());
    Value::Object(fields.collect())
}

fn report(measured: &[(&Machine, Execution)]) -> String {
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(measured.iter().map(|(machine, _)| machine.name.clone()));
    if measured.iter().any(|(_, execution)| execution.threads > 1) {
        let threads = measured.iter().map(|(_, execution)| execution.threads.to_string());
        rows.push(["threads".to_string()].into_iter().chain(threads).collect());
    }
    let mut row = |name: &str, figure: &dyn Fn(&Measurement) -> Option<u64>| {
        let figures: Vec<Option<u64>> = measured.iter().map(|(_, e)| figure(&e.measurement)).collect();
        if figures.iter().any(Option::is_some) {
            rows.push(
                [name.to_string()].into_iter().chain(figures.into_iter().map(text::optional)).collect(),
            );
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
    row("  (stack seen)", &|m| m.stack_seen_bytes);
    let stacks =
        measured.iter().filter_map(|(machine, e)| stack(&machine.name, e.measurement.stack.as_ref()?));
    text::table(&rows) + &stacks.collect::<String>()
}

/// Where the stack is deepest, or why that is not known.
fn stack(target: &str, stack: &StackBound) -> Option<String> {
    let path: Vec<String> =
        stack.path.iter().map(|frame| format!("{} {}", frame.function, text::number(frame.bytes))).collect();
    let mut lines = match (stack.gaps.is_empty(), path.is_empty()) {
        (true, true) => return None,
        (true, false) => format!("\n{target}'s stack: {}\n", path.join(" + ")),
        (false, _) => {
            format!("\n{target}'s stack is not bounded; known: {}\n", text::number(stack.bytes))
        }
    };
    stack.gaps.iter().for_each(|gap| lines += &format!("  {gap}\n"));
    Some(lines)
}

/// The layers to list, and behind them what they leave out and the sum of all.
fn listed(layers: &[Layer], count: Option<usize>, sort: Sort) -> Vec<Layer> {
    let mut shown: Vec<usize> = (0..layers.len()).collect();
    let cost = |position: &usize| (layers[*position].share.unwrap_or(0.0), layers[*position].macs);
    // Equal ones stay in the order in which they run.
    shown.sort_by(|a, b| cost(b).0.total_cmp(&cost(a).0).then(cost(b).1.cmp(&cost(a).1)));
    let hidden = shown.split_off(count.unwrap_or(layers.len()).min(layers.len()));
    if sort == Sort::Order {
        shown.sort_unstable();
    }
    let of = |positions: &[usize]| positions.iter().map(|&p| layers[p].clone()).collect::<Vec<Layer>>();
    let mut rows = of(&shown);
    if !hidden.is_empty() {
        rows.push(Layer::sum(&format!("{} more", hidden.len()), &of(&hidden)));
    }
    rows.push(Layer::sum("all", layers));
    rows
}

/// What a table says of a layer.
type Cell = fn(&Layer) -> String;

/// The columns of a table of layers.
const COLUMNS: &[(&str, Cell)] = &[
    ("MACs", |layer| text::number(layer.macs)),
    ("instructions", |layer| text::optional(layer.instructions)),
    ("per MAC", |layer| text::decimal(layer.instructions_per_mac)),
    ("cycles", |layer| text::optional(layer.estimated_cycles)),
    ("per MAC", |layer| text::decimal(layer.cycles_per_mac)),
    ("predicted", |layer| text::optional(layer.predicted_cycles)),
    ("µs", |layer| text::decimal(layer.seconds.map(|seconds| seconds * 1e6))),
    ("GMAC/s", |layer| text::decimal(layer.macs_per_second.map(|rate| rate * 1e-9))),
    ("share", |layer| text::percent(layer.share)),
    ("weights", |layer| text::number(layer.weight_bytes)),
    ("in", |layer| text::number(layer.activation_bytes.read)),
    ("out", |layer| text::number(layer.activation_bytes.written)),
];

/// One target's layers; a column of which nothing is known is left out.
fn layer_table(target: &str, layers: &[Layer]) -> String {
    let mut columns = vec![[format!("on {target}")].to_vec()];
    let name = |layer: &Layer| match layer.kernels.len() {
        0 | 1 => layer.function.clone(),
        calls => format!("{} ×{calls}", layer.function),
    };
    columns[0].extend(layers.iter().map(name));
    for (head, cell) in COLUMNS {
        let cells: Vec<String> = layers.iter().map(cell).collect();
        if cells.iter().any(|cell| cell != text::UNKNOWN) {
            columns.push([(*head).to_string()].into_iter().chain(cells).collect());
        }
    }
    let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
    text::table(&(0..=layers.len()).map(row).collect::<Vec<Vec<String>>>())
}
