"""What is measured: the reference networks as they lie in NABLAC_MODELS, and networks that the suite writes itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from . import macs
from .contender import Sample
from .networks import onnx_file, tflite_file
from .networks.architectures import ARCHITECTURES
from .networks.description import Network
from .places import made_once

REFERENCE = ("kws", "resnet8", "vww", "ad")
FILES = {
    "fp32": {"onnx": "fp32.onnx", "tflite": "fp32.tflite"},
    "int8": {"onnx": "int8_qdq.onnx", "tflite": "int8.tflite"},
}
SMALL, LARGE = (*REFERENCE, "matmul512"), ("mobilenetv2", "resnet18")


@dataclass(frozen=True)
class ModelFile:
    """A model with inputs for it, and the outputs of the framework's reference kernels where those are recorded."""

    path: Path
    label: str  # the file as the report calls it
    inputs: list[Sample]
    outputs: list[Sample] | None


@dataclass(frozen=True)
class Case:
    """One network in one precision."""

    network: str
    precision: str
    macs: int
    files: dict[str, ModelFile]  # by format, onnx or tflite
    float_onnx: ModelFile  # for those who quantize by themselves

    @property
    def label(self) -> str:
        """The case as the report calls it."""
        return f"{self.network} {self.precision}"


def cases(networks: list[str], models: Path | None) -> Iterator[Case]:
    """The cases of these networks, in that order."""
    for name in networks:
        yield from _reference(name, models) if name in REFERENCE else [_made(name)]


def _reference(name: str, models: Path) -> Iterator[Case]:
    float_onnx = _recorded(models / name / FILES["fp32"]["onnx"])
    count = macs.count(onnx.load(float_onnx.path))
    for precision, files in FILES.items():
        loaded = {format: _recorded(models / name / file) for format, file in files.items()}
        yield Case(name, precision, count, loaded, float_onnx)


def _recorded(path: Path) -> ModelFile:
    return ModelFile(path, path.name, *(_samples(path.with_name(f"{path.name}.{side}.npz")) for side in ("in", "out")))


def _samples(path: Path) -> list[Sample]:
    """One list of arrays for each position along the first axis, which stays as the batch of one."""
    with np.load(path) as archive:
        arrays = [archive[name] for name in archive.files]
    return [[array[index : index + 1] for array in arrays] for index in range(len(arrays[0]))]


def _made(name: str) -> Case:
    network = ARCHITECTURES[name]()
    recipe = sorted(Path(onnx_file.__file__).parent.glob("*.py"))
    folder = made_once(name, [name, *recipe], lambda draft: _write(network, draft))
    generator = np.random.default_rng(0)
    images = [generator.normal(size=network.nodes[index].shape).astype(np.float32) for index in network.inputs()]
    moved = [image.transpose(0, 3, 1, 2) if image.ndim == 4 else image for image in images]
    moved = [np.ascontiguousarray(image) for image in moved]
    samples = {"onnx": [moved], "tflite": [images]}
    labels = FILES["fp32"]
    files = {f: ModelFile(folder / f"{name}.{f}", labels[f], samples[f], None) for f in samples}
    return Case(name, "fp32", macs.count(onnx.load(files["onnx"].path)), files, files["onnx"])


def _write(network: Network, folder: Path) -> None:
    onnx_file.write(network, folder / f"{network.name}.onnx")
    tflite_file.write(network, folder / f"{network.name}.tflite")
