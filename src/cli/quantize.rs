//! `nablac quantize`: a float model to integers.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use nablac::failure::{Code, Failure, Result};
use nablac::model::Format;
use nablac::quantize::plan::Precision;
use nablac::quantize::range::Method;
use nablac::quantize::report::{Report, Row};
use nablac::quantize::search::Evaluation;
use nablac::quantize::{AUTO_DROP, Equalize, Options, Outcome, Scheme, quantize};
use nablac::samples::{self, Port};
use nablac::{folder, npz};
use serde_json::json;

use super::arguments::{ModelArguments, factor};
use super::talk::Talk;
use super::{Answer, text};

/// Quantize a float ONNX model after training, and say what that loses.
///
/// The result is an ONNX model in QDQ form, which ONNX Runtime opens and `nablac compile` turns into integer arithmetic. Its inputs
/// and outputs stay float. The calibration data should be like what the device will see: a hundred samples do, ten give a first
/// idea.
///
///   nablac quantize model.onnx --calibrate train.npz --out model.int8.onnx
///   nablac quantize model.onnx --calibrate train.npz --labels labels --evaluate test.npz --scheme auto --max-drop 0.5 --out q.onnx
///
/// What is done, in this order:
///   fold        batch normalization and added biases go into the weights before them
///   equalize    scales move between two layers with a ReLU between, so that their channels have like ranges (Nagel et al. 2019);
///               kept only if the outputs have less noise with it, unless --equalize says otherwise
///   calibrate   the float network runs on every sample, and --method chooses the range of each activation
///   round       weights to 8 or 4 bits with a scale per output channel; activations to 8 bits with a zero point, or to 16
///               with zero at 0; biases to 32 bits. Pools, reshapes, slices and concatenations keep the scale of their input;
///               sigmoid and softmax give steps of 1/256
///   correct     the mean error of each channel on the calibration data is taken off its bias
///   measure     both networks run on the evaluation data, layer beside layer
///
/// The table has a row per layer. SNR is the signal-to-noise ratio of what the layer gives in the quantized network, in dB: 20 dB is
/// a tenth of the signal, 40 dB a hundredth. OWN is the same if the layer is fed the float network's values, before its bias is
/// corrected: the layer with the lowest OWN is the one to compute more exactly. WEIGHTS is the ratio of the rounded weights.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// An .npz file with samples: one array per input under its name, stacked along the first axis as for `nablac run`.
    #[arg(long, value_name = "DATA.npz")]
    calibrate: PathBuf,
    /// The ONNX file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many bits weights (w) and activations (a) have. `auto` begins with w8a8 and raises the layers with the lowest OWN to
    /// w8a16, then to float, until --max-drop holds.
    #[arg(long, value_enum, default_value = "w8a8")]
    scheme: SchemeName,
    /// The most that may be lost, in points (percent of the samples): of accuracy if there are labels, else of agreement with the
    /// float network on which element of the first output is the largest. More exits 5, and nothing is written. [default: 1 with
    /// `--scheme auto`, else no bound]
    #[arg(long, value_name = "D", value_parser = factor)]
    max_drop: Option<f64>,
    /// How the range of an activation is chosen from its values on the calibration data.
    #[arg(long, value_enum, default_value = "min-max")]
    method: MethodName,
    /// How many percent of the values the range of `--method percentile` holds.
    #[arg(long, value_name = "P", default_value_t = 99.99, value_parser = percent)]
    percentile: f64,
    /// The name of an array in DATA.npz (and in the --evaluate file) that holds the class of each sample, as integers.
    #[arg(long, value_name = "NAME")]
    labels: Option<String>,
    /// An .npz file with samples to measure on, stacked alike. [default: the calibration data]
    #[arg(long, value_name = "DATA.npz")]
    evaluate: Option<PathBuf>,
    /// Whether weights are equalized across layers.
    #[arg(long, value_enum, default_value = "auto")]
    equalize: EqualizeName,
    /// Leave biases as they are.
    #[arg(long)]
    no_bias_correction: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemeName {
    /// Weights and activations of 8 bits.
    W8a8,
    /// Weights of 4 bits, which take half the flash; activations of 8.
    W4a8,
    /// Weights of 8 bits, activations of 16.
    W8a16,
    /// As few layers as possible at higher precision.
    Auto,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// From the smallest to the largest value: nothing is cut off.
    MinMax,
    /// Without the outermost values; see --percentile.
    Percentile,
    /// The range with the smallest mean square of the rounding error.
    Mse,
    /// The range that changes the distribution least, by Kullback-Leibler divergence.
    Kl,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EqualizeName {
    /// If the outputs have less noise then, on the calibration data.
    Auto,
    /// Wherever two layers allow it.
    On,
    /// Nowhere.
    Off,
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if percent > 0.0 && percent <= 100.0 {
        Ok(percent)
    } else {
        Err("it must be above 0, and at most 100".into())
    }
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            scheme: match self.scheme {
                SchemeName::W8a8 => Scheme::All(Precision::W8A8),
                SchemeName::W4a8 => Scheme::All(Precision::W4A8),
                SchemeName::W8a16 => Scheme::All(Precision::W8A16),
                SchemeName::Auto => Scheme::Auto,
            },
            method: match self.method {
                MethodName::MinMax => Method::MinMax,
                MethodName::Percentile => Method::Percentile(self.percentile),
                MethodName::Mse => Method::Mse,
                MethodName::Kl => Method::Kl,
            },
            equalize: match self.equalize {
                EqualizeName::Auto => Equalize::IfBetter,
                EqualizeName::On => Equalize::Always,
                EqualizeName::Off => Equalize::Never,
            },
            correct_bias: !self.no_bias_correction,
            max_drop: self.max_drop,
        }
    }

    fn allowed_drop(&self) -> Option<f64> {
        self.max_drop.or((self.scheme == SchemeName::Auto).then_some(AUTO_DROP))
    }

    /// The samples of a file, and their labels if they are named.
    fn data(&self, path: &Path, ports: &[Port]) -> Result<Evaluation> {
        let mut arrays = npz::read(path)?;
        let labels = match &self.labels {
            None => None,
            Some(name) => {
                let names = arrays.keys().cloned().collect::<Vec<_>>().join(", ");
                let message = format!("{} has no array `{name}` of labels; it holds {names}", path.display());
                Some(arrays.remove(name).ok_or_else(|| Failure::new(Code::Samples, message))?)
            }
        };
        let (samples, _) = samples::cut(ports, &arrays, "input").map_err(|mut failure| {
            if self.labels.is_none() && arrays.len() > ports.len() {
                failure.help =
                    Some("`--labels NAME` says which array holds the classes of the samples".into());
            }
            failure
        })?;
        let labels = labels.map(|array| {
            let whole = array.dtype().is_integer() && array.len() == samples.len();
            let message = format!(
                "the labels are {}{:?}, but there are {} samples",
                array.dtype(),
                array.shape(),
                samples.len()
            );
            if whole {
                Ok(array.to_i64())
            } else {
                Err(Failure::new(Code::Samples, message).help("give one integer per sample"))
            }
        });
        Ok(Evaluation { samples, labels: labels.transpose()? })
    }
}

pub fn run(arguments: &Arguments, talk: &Talk) -> Result<Answer> {
    let network = arguments.model.network(talk)?;
    let model = &network.model;
    if model.format != Format::Onnx {
        let message = format!(
            "{} is a {} file; quantization reads and writes ONNX",
            model.path.display(),
            model.format
        );
        return Err(
            Failure::new(Code::Quantization, message).help("convert it to ONNX, for instance with tf2onnx")
        );
    }
    let document = nablac_onnx::Document::parse(&arguments.model.bytes()?, &arguments.model.limits())?;
    let calibration = arguments.data(&arguments.calibrate, &network.inputs)?;
    let evaluation = match &arguments.evaluate {
        Some(path) => arguments.data(path, &network.inputs)?,
        None => calibration.clone(),
    };
    let outcome = quantize(
        &model.source,
        document,
        &network.inputs,
        &calibration.samples,
        &evaluation,
        &arguments.options(),
        &mut |verb, what| talk.begin(verb, what),
    )?;
    talk.end();
    for row in outcome.report.layers.iter().filter(|row| row.silent) {
        talk.say(
            "Warning",
            &format!("layer `{}` gives nothing but 0 on these samples: its scale is a guess", row.layer),
        );
    }
    answer(arguments, &evaluation, [calibration.samples.len(), evaluation.samples.len()], outcome)
}

fn answer(
    arguments: &Arguments,
    evaluation: &Evaluation,
    samples: [usize; 2],
    outcome: Outcome,
) -> Result<Answer> {
    let report = &outcome.report;
    let exceeded = report.drop.zip(arguments.allowed_drop()).filter(|(drop, allowed)| drop > allowed);
    if exceeded.is_none() {
        folder::write_file(&arguments.out, &outcome.bytes)?;
    }
    let mut fields = json!(report);
    fields["model"] = json!(arguments.model.model);
    fields["out"] = json!(exceeded.is_none().then_some(&arguments.out));
    fields["calibration_samples"] = json!(samples[0]);
    fields["evaluation_samples"] = json!(samples[1]);
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_string());
    fields["scheme"] = json!(name(arguments.scheme.to_possible_value()));
    fields["method"] = json!(name(arguments.method.to_possible_value()));
    let mut text = table(report) + "\n" + &summary(report, evaluation, samples);
    if exceeded.is_none() {
        text += &format!(
            "  written    {}  {}\n",
            arguments.out.display(),
            text::bytes(outcome.bytes.len() as u64)
        );
    }
    let mut answer = Answer::new(fields, text);
    answer.failure = exceeded.map(|(drop, allowed)| {
        let message = format!("the quantized network loses {drop:.2} points, {allowed} are allowed");
        Failure::new(Code::Drop, message)
            .help("`--scheme auto` raises the layers that lose most; `--method mse` chooses other ranges")
    });
    Ok(answer)
}

fn table(report: &Report) -> String {
    let head =
        ["layer", "operator", "w/a", "range", "scale", "zero", "SNR", "OWN", "WEIGHTS", "MACs", "bytes"];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(report.layers.iter().map(row));
    text::table(&rows)
}

fn row(row: &Row) -> Vec<String> {
    let decibels = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.1}"));
    let bits = match row.precision.as_str() {
        "float" => "float".into(),
        _ => {
            format!("{}/{}", row.weight_bits.map_or("-".into(), |bits| bits.to_string()), row.activation_bits)
        }
    };
    vec![
        short(&row.layer),
        row.operator.clone(),
        bits,
        row.range.map_or("-".into(), |[low, high]| format!("{low:.4}…{high:.4}")),
        row.scale.map_or("-".into(), |scale| format!("{scale:.3e}")),
        row.zero_point.map_or("-".into(), |zero| zero.to_string()),
        decibels(row.snr_db),
        decibels(row.own_snr_db),
        decibels(row.weight_snr_db),
        text::number(row.multiply_adds),
        text::number(row.bytes as u64),
    ]
}

/// The end of a long name: what tells layers apart. Converters join the names of fused nodes by `;`.
fn short(name: &str) -> String {
    const WIDTH: usize = 36; // leaves room for the figures on a wide terminal
    let first = name.split(';').next().unwrap_or(name);
    let length = first.chars().count();
    match length > WIDTH {
        true => format!("…{}", first.chars().skip(length - WIDTH + 1).collect::<String>()),
        false => first.into(),
    }
}

fn summary(report: &Report, evaluation: &Evaluation, [calibration, samples]: [usize; 2]) -> String {
    let mut text = String::new();
    if let Some(worst) = report.layers.iter().find(|row| Some(&row.layer) == report.worst.as_ref()) {
        text += &format!(
            "  worst      {}, {:.1} dB\n",
            short(&worst.layer),
            worst.snr_db.unwrap_or(f64::INFINITY)
        );
    }
    text += &format!(
        "  outputs    {}\n",
        report.output_snr_db.map_or("no noise".into(), |ratio| format!("{ratio:.1} dB"))
    );
    if let Some(agreement) = report.agreement {
        text += &format!(
            "  agreement  {agreement:.2} % of {} have the float network's largest output\n",
            text::count(samples, "sample")
        );
    }
    if let Some((before, after)) = report.accuracy_before.zip(report.accuracy_after) {
        let labels = evaluation.labels.as_ref().map_or(0, Vec::len);
        text += &format!(
            "  accuracy   {before:.2} % before, {after:.2} % after, of {}\n",
            text::count(labels, "label")
        );
    }
    let [before, after] =
        [report.weight_bytes_before, report.weight_bytes_after].map(|n| text::bytes(n as u64));
    text += &format!("  weights    {before} before, {after} after\n");
    text += &format!("  equalized  {}\n", if report.equalized { "yes" } else { "no" });
    text += &format!("  calibrated on {}\n", text::count(calibration, "sample"));
    text
}
