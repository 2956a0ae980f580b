"""AIDGE's C++ export, built with the flags of the CMake file that it writes, as a shared library.

It reads no QDQ file, and quantizes the float network by itself: same shapes, other numbers.
"""

import ctypes
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from ..cases import Case, ModelFile
from ..contender import Contender, Sample, Unavailable, call
from ..machine import model_name
from ..places import made_once

FLAGS = ["-std=c++17", "-O3", "-ffast-math", "-march=native", "-shared", "-fPIC"]
DTYPES = {"fp32": ("float32", np.float32), "int8": ("int8", np.int8)}
LIBRARY = "libmodel.so"
SCRIPT = Path(__file__).with_name("aidge_export.py")


def load(case: Case, file: ModelFile) -> Contender:
    """The network from the float file."""
    source = case.float_onnx
    if len(source.inputs[0]) != 1:
        raise Unavailable("its export takes networks with one input only")
    dtype, element = DTYPES[case.precision]
    network, was_moved = _channels_first(onnx.load(source.path))
    ingredients = [network.SerializeToString(), dtype, SCRIPT, version("aidge-export-cpp"), model_name(), *FLAGS]
    folder = made_once("aidge", ingredients, lambda draft: _build(network, source.inputs, dtype, draft))
    library = ctypes.CDLL(str(folder / LIBRARY))
    image = np.zeros(source.inputs[0][0].size, element)
    outputs = _outputs(folder, element)
    arguments = [ctypes.c_void_p(image.ctypes.data), *map(ctypes.byref, outputs)]

    def write(sample: Sample) -> None:
        is_image = sample[0].ndim == 4 and not was_moved
        image[:] = (sample[0].transpose(0, 2, 3, 1) if is_image else sample[0]).ravel()

    def read() -> Sample:
        library.model_forward(*arguments)
        return [np.ctypeslib.as_array(outputs[0], _shape(network.graph.output[0])).copy()]

    own = "it quantizes the float network by itself" if case.precision == "int8" else ""
    return Contender("AIDGE", source.label, write, lambda: library.model_forward(*arguments), read, own)


def _outputs(folder: Path, element: type) -> list:
    """Pointers that the library sets: to the network's output, then to those of its operators that nothing reads."""
    manifest = json.loads((folder / "project" / ".aidge-export.json").read_text())
    return [ctypes.POINTER(np.ctypeslib.as_ctypes_type(element))() for _ in manifest["outputs"]]


def _channels_first(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    """The network without the operator that moves its channels first, if any: the export takes them last."""
    first = model.graph.node[0]
    if first.op_type not in ("Transpose", "Reshape") or first.input[0] != model.graph.input[0].name:
        return model, False
    model = onnx.shape_inference.infer_shapes(model)
    moved = next(value for value in model.graph.value_info if value.name == first.output[0])
    model.graph.input[0].CopyFrom(moved)
    del model.graph.node[0]
    return model, True


def _build(network: onnx.ModelProto, samples: list[Sample], dtype: str, folder: Path) -> None:
    """Exports and compiles; of the two programs only the library stays."""
    path, calibration = folder / "network.onnx", folder / "samples.npz"
    onnx.save(network, path)
    argument = network.graph.input[0]
    np.savez(calibration, **{argument.name: np.stack([_as_planes(s[0], _shape(argument)) for s in samples])})
    call([sys.executable, SCRIPT, path, dtype, calibration, "project"], "to export the network", folder)
    project = folder / "project"
    includes = [f"-I{place}" for place in (project, project / "dnn", project / "dnn" / "include")]
    sources = sorted((project / "dnn" / "src").rglob("*.cpp"))
    call(["g++", *FLAGS, *includes, "-w", *sources, "-o", folder / LIBRARY], "to compile the export")


def _as_planes(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An input with its channels first, from either order."""
    if len(shape) != 4 or array.shape == shape:
        return array
    _, channels, height, width = shape
    return array.reshape(1, height, width, channels).transpose(0, 3, 1, 2)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
