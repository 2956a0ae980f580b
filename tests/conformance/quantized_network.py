"""The example network as ONNX Runtime's quantizers write it in operator form, and what it computes then."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from suite import Case, Tensor

DIGITS = Path(__file__).resolve().parents[2] / "examples"
UNSIGNED = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8}
MIXED = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": True}
SIGNED = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8, "per_channel": True, "reduce_range": True}
# Exponentials of the last softmax, of real values.
TOLERANCE = 1e-6


class Samples(CalibrationDataReader):
    """The example's samples one by one."""

    def __init__(self, name: str, samples: np.ndarray) -> None:
        self.samples = iter([{name: sample[np.newaxis]} for sample in samples])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next sample, or nothing."""
        return next(self.samples, None)


def networks() -> Iterator[Case]:
    """With scales known when it was calibrated, and with scales of each sample."""
    logging.disable(logging.WARNING)  # on preparing a model first, which changes the operators
    source = DIGITS / "digits.onnx"
    with np.load(DIGITS / "digits.in.npz") as arrays:
        [(name, samples)] = arrays.items()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "quantized.onnx"
        for label, options in (("unsigned", UNSIGNED), ("mixed", MIXED), ("signed", SIGNED)):
            quantize_static(source, target, Samples(name, samples), quant_format=QuantFormat.QOperator, **options)
            yield case(f"digits_{label}", target, name, samples[:1])
        quantize_dynamic(source, target, weight_type=QuantType.QUInt8)
        yield case("digits_dynamic", target, name, samples[:1])


def case(label: str, path: Path, name: str, sample: np.ndarray) -> Case:
    """A file with what ONNX Runtime computes, operator by operator."""
    data = path.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    outputs = [
        Tensor(output.name, value.dtype.name, list(value.shape), value)
        for output, value in zip(session.get_outputs(), session.run(None, {name: sample}), strict=True)
    ]
    model = onnx.load_model_from_string(data)
    return Case(
        name=label,
        model=data,
        operators=sorted({node.op_type for node in model.graph.node}),
        opset=next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        inputs=[Tensor(name, sample.dtype.name, list(sample.shape), sample)],
        outputs=outputs,
        rtol=0.0,
        atol=TOLERANCE,
    )
