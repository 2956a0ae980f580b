"""Compares `nablac quantize` with ONNX Runtime's static quantizer on float ONNX networks.

    .cache/python/bin/python tests/conformance/compare_quantizers.py --models DIR [--nablac target/release/nablac] [resnet8 kws vww]

Both calibrate on every second sample of NETWORK/fp32.onnx.in.npz and are measured on all samples, by ONNX Runtime without graph
rewrites. ONNX Runtime's quantizer runs as its guide recommends: after its own preprocessing, QDQ form, int8 activations and weights,
scales per channel, calibrated on extremes.

A layer's signal-to-noise ratio is that of the value behind its DequantizeLinear to the float network's. Where nablac has equalized the
network, inner values are scaled channel by channel, and the ratios are those of its own report, to the equalized float network; they
are marked `*`.
"""

import argparse
import contextlib
import io
import json
import logging
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

VARIANTS = {
    "nablac w8a8": [],
    "nablac w8a8, not equalized": ["--equalize", "off"],
    "nablac w8a8, mse": ["--method", "mse"],
    "nablac w8a8, kl": ["--method", "kl"],
    "nablac w4a8": ["--scheme", "w4a8"],
    "nablac w8a16": ["--scheme", "w8a16"],
}


class Samples(CalibrationDataReader):
    """Hands out samples one by one, as the quantizer asks for them."""

    def __init__(self, name: str, samples: np.ndarray):
        self.feeds = iter([{name: sample[None]} for sample in samples])

    def get_next(self):
        return next(self.feeds, None)


def quantize_by_onnxruntime(model: Path, out: Path, name: str, samples: np.ndarray) -> None:
    prepared = out.with_suffix(".prepared.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(out), Samples(name, samples), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip


def quantize_by_nablac(program: Path, model: Path, out: Path, calibration: Path, more: list[str]) -> dict:
    """The report."""
    command = [program, "quantize", model, "--calibrate", calibration, "--evaluate", f"{model}.in.npz"]
    command += ["--out", out, "--quiet", "--json", *more]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def values(model: Path, samples: np.ndarray, wanted: list[str]) -> dict[str, np.ndarray]:
    """The named values of a model, for all samples."""
    proto = onnx.load(model)
    known = {output.name for output in proto.graph.output}
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None) for value in wanted if value not in known
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    runs = [session.run(wanted, {name: sample[None]}) for sample in samples]
    return {value: np.stack([run[position] for run in runs]) for position, value in enumerate(wanted)}


def rounded(model: Path) -> dict[str, str]:
    """For each value that is rounded, the name of what its DequantizeLinear writes."""
    graph = onnx.load(model).graph
    behind = {node.input[0]: node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    pairs = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] in behind:
            name = behind[node.output[0]]
            # A rounded output of the network keeps its name; what is rounded has another.
            outputs = {output.name for output in graph.output}
            pairs[name if name in outputs else node.input[0]] = name
    return pairs


def decibels(expected: np.ndarray, got: np.ndarray) -> float:
    expected = expected.astype(np.float64)
    noise = np.square(expected - got).sum()
    return float("inf") if noise == 0 else 10 * np.log10(np.square(expected).sum() / noise)


def compare(folder: Path, program: Path, work: Path) -> None:
    model = folder / "fp32.onnx"
    arrays = np.load(f"{model}.in.npz")
    (name,) = arrays.files
    samples = arrays[name]
    calibration = work / "calibration.npz"
    np.savez(calibration, **{name: samples[::2]})
    by_onnxruntime = work / "onnxruntime.onnx"
    quantize_by_onnxruntime(model, by_onnxruntime, name, samples[::2])
    results = {"ONNX Runtime": (by_onnxruntime, None)}
    for variant, more in VARIANTS.items():
        path = work / f"{variant}.onnx"
        results[variant] = (path, quantize_by_nablac(program, model, path, calibration, more))
    graph = onnx.load(model).graph
    output = graph.output[0].name
    computed = {value for node in graph.node for value in node.output}
    common = sorted(set.intersection(computed, *(set(rounded(path)) for path, _ in results.values())) | {output})
    float_values = values(model, samples, common)
    largest = float_values[output].reshape(len(samples), -1).argmax(1)
    print(f"\n{folder.name}: {len(samples)} samples, {len(samples[::2])} to calibrate, {len(common)} layers in common\n")
    print("| quantizer | top-1 agreement | output | worst layer | its value | weights and biases | file |")
    print("|---|--:|--:|--:|---|--:|--:|")
    for variant, (path, report) in results.items():
        names = rounded(path)
        got = values(path, samples, [names.get(value, value) for value in common])
        ratios = {value: decibels(float_values[value], got[names.get(value, value)]) for value in common}
        worst = min(ratios, key=ratios.get)
        worst_ratio = f"{ratios[worst]:.1f} dB"
        if report and report["equalized"]:
            layers = [layer for layer in report["layers"] if layer["snr_db"] is not None]
            layer = min(layers, key=lambda layer: layer["snr_db"])
            worst, worst_ratio = layer["layer"], f"{layer['snr_db']:.1f} dB *"
        agreement = 100 * (got[names.get(output, output)].reshape(len(samples), -1).argmax(1) == largest).mean()
        weights = f"{report['weight_bytes_after']} B" if report else "-"
        cells = [
            variant, f"{agreement:.0f} %", f"{ratios[output]:.1f} dB", worst_ratio,
            worst.split(";")[0][-40:], weights, f"{path.stat().st_size} B",
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="the folder of reference networks")
    parser.add_argument("--nablac", type=Path, default=Path("target/release/nablac"), help="the program")
    parser.add_argument("networks", nargs="*", default=["resnet8", "kws", "vww"])
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    for network in arguments.networks:
        with tempfile.TemporaryDirectory() as work:
            compare(arguments.models / network, arguments.nablac, Path(work))


if __name__ == "__main__":
    main()
