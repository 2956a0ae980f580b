//! `nablac compile`: a model to a folder of C.

use std::path::PathBuf;

use nablac::budget::Footprint;
use nablac::failure::{Code, Failure, Result};
use nablac::pipeline::{Form, Stage};
use nablac::samples::{self, Sample};
use nablac::{engine, folder, memory, npz};
use nablac_c::Vector;
use nablac_machine::Machine;
use serde_json::json;

use super::arguments::{ModelArguments, Network, ScheduleArguments, WeightArguments};
use super::talk::Talk;
use super::{Answer, text};

/// Compile a model to a folder of C.
///
/// The folder holds the library (C99, no heap, no dependencies), its header, a CMake file, and a self-test with golden vectors:
/// inputs, and the outputs that the interpreter gives for them. `report.html` shows what fills the arena. No C compiler is needed. The folder is replaced as a whole, or
/// left as it was.
///
///   nablac compile model.onnx --target cortex-m4 --out out/model --ram 64K --flash 256K
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// What the code is for; see `nablac targets`. It is plain C everywhere, but its loops suit this machine.
    #[arg(long, value_name = "TARGET")]
    target: String,
    /// The folder to write. One that holds something else is not replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    schedule: ScheduleArguments,
    #[command(flatten)]
    weights: WeightArguments,
    /// Replace the folder whatever it holds.
    #[arg(long)]
    force: bool,
    /// An .npz file with inputs for the golden vectors, stacked as for `nablac run`. Without it they are random.
    #[arg(long, value_name = "IN.npz", conflicts_with = "random")]
    inputs: Option<PathBuf>,
    /// The seed of random inputs for the golden vectors.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    random: u64,
    /// How many golden vectors of random inputs. A second one shows what a first run leaves behind; 0 leaves the self-test out,
    /// and with it the interpreter's run of the network, which takes minutes for billions of products.
    #[arg(long, value_name = "N", default_value_t = 2, conflicts_with = "inputs")]
    vectors: usize,
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let machine = Machine::load(&arguments.target)?;
    let schedules = arguments.schedule.read()?;
    folder::check_replaceable(&arguments.out, arguments.force)?;
    let network = arguments.model.network(talk)?;
    let vectors = golden_vectors(arguments, &network, talk)?;
    let count = vectors.len();
    let c = nablac_c::Options { vectors, weights: arguments.weights.weights, ..Default::default() };
    let form = arguments.model.compile(&network.model, &machine, Stage::C, &schedules, c, talk)?;
    let Form::C(nests, made) = form else {
        return Err(Failure::new(Code::BrokenStage, "stage `c` made no C"));
    };
    let footprint = Footprint::of(&nests);
    let kernels = nests.kernels().len();
    let [arena, weights] = [footprint.arena_bytes, footprint.weight_bytes].map(|n| text::bytes(n as u64));
    talk.say("Planning", &format!("{kernels} kernels, arena {arena}, weights {weights}"));
    let memory = memory::Report::of(&nests);
    let mut files = folder::files_of(&made);
    let page = memory::page(&nests, &memory).into_bytes();
    files.push(folder::File { path: memory::FILE.into(), bytes: page });
    let place = arguments.out.display().to_string();
    talk.begin("Generating", &place);
    folder::write(&arguments.out, &files, arguments.force)?;
    talk.say("Generating", &format!("{place}  {} files", files.len()));
    let fields = json!({
        "model": network.model.path,
        "name": made.name,
        "target": machine.name,
        "out": arguments.out,
        "arena_bytes": memory.arena_bytes,
        "arena_lower_bound": memory.arena_lower_bound,
        "arena_optimal": memory.arena_optimal,
        "arena_lower_bound_any_order": memory.arena_lower_bound_any_order,
        "arena_optimal_any_order": memory.arena_optimal_any_order,
        "peak": memory.peak,
        "weight_bytes": footprint.weight_bytes,
        "weights": arguments.weights.weights.name(),
        "blob_bytes": made.blob.as_ref().map(|blob| blob.bytes.len()),
        "kernels": kernels,
        "threads": made.threads,
        "vectors": count,
        "files": files.iter().map(|file| file.path.clone()).collect::<Vec<_>>(),
    });
    let mut report = format!("{place}: {} for {}\n", made.name, machine.name);
    report += &format!("  arena    {} bytes of RAM\n", text::number(footprint.arena_bytes as u64));
    report += &format!("           {}\n", memory.verdict());
    report += &format!("           The fullest moment is {}; see {}.\n", memory.peak.kernel, memory::FILE);
    report += &format!("  weights  {} bytes of flash\n", text::number(footprint.weight_bytes as u64));
    if let Some(blob) = &made.blob {
        let (bytes, file) = (text::number(blob.bytes.len() as u64), blob.file.display());
        report += &format!("           {bytes} bytes as {file}, with header and alignment\n");
    }
    report += &format!("  kernels  {kernels}\n");
    if made.threads > 1 {
        report += &format!("  threads  {}\n", made.threads);
    }
    report += &format!("  vectors  {count} in the self-test, from the interpreter\n\n");
    Ok(Answer::new(fields, report + &file_table(&files)))
}

fn file_table(files: &[folder::File]) -> String {
    let mut rows = vec![["file", "bytes"].map(String::from).to_vec()];
    rows.extend(files.iter().map(|file| vec![file.path.clone(), text::number(file.bytes.len() as u64)]));
    text::table(&rows)
}

/// Inputs, and what the network gives for them just as its operators define it.
fn golden_vectors(arguments: &Arguments, network: &Network, talk: &Talk) -> Result<Vec<Vector>> {
    let inputs: Vec<Sample> = match &arguments.inputs {
        Some(path) => samples::cut(&network.inputs, &npz::read(path)?, "input")?.0,
        None => samples::random(&network.inputs, arguments.vectors, arguments.random),
    };
    if inputs.is_empty() {
        return Ok(vec![]);
    }
    talk.begin("Running", &format!("{} in the interpreter", text::count(inputs.len(), "golden vector")));
    let outputs = engine::interpret(&network.definition, &inputs)?;
    talk.say("Running", &format!("{} in the interpreter", text::count(inputs.len(), "golden vector")));
    Ok(inputs.into_iter().zip(outputs).map(|(inputs, outputs)| Vector { inputs, outputs }).collect())
}
