"""The folder form of a conformance suite, as tests/conformance writes it and the Rust tests read it.

    FOLDER/tests.json           {"generator": ..., "tests": [{"name", "model", "operators", "opset", "inputs", "outputs",
                                "rtol", "atol", "ties", "data"}, ...]}; inputs and outputs are [{"name", "dtype", "shape"}, ...]
    FOLDER/NAME/model.onnx      or model.tflite
    FOLDER/NAME/in.npz          one array per graph input, under its name
    FOLDER/NAME/out.npz         the expected outputs likewise

Floats are compared by `rtol` and `atol`; integers must be equal, but for the share `ties` of a test's, which may differ by one.
`data` is false, and the two .npz files are missing, where .npz cannot hold a type (bfloat16, sequences, ...). `opset` is
null for TFLite. An array has the shape of its tensor: one sample, no axis in front.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

# What .npz holds without a convention of its own.
NPZ_TYPES = frozenset("bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64".split())


@dataclasses.dataclass
class Tensor:
    """A graph input or output as the index describes it; `value` is None if .npz cannot hold its type."""

    name: str
    dtype: str
    shape: list[int] | None
    value: np.ndarray | None


@dataclasses.dataclass
class Case:
    """One test of a suite."""

    name: str
    model: bytes
    operators: list[str]
    opset: int | None
    inputs: list[Tensor]
    outputs: list[Tensor]
    rtol: float
    atol: float
    ties: float = 0.0


def write_arrays(path: Path, tensors: list[Tensor]) -> None:
    """An .npz file of the values in row-major order (`asarray`, as `ascontiguousarray` makes scalars vectors)."""
    np.savez(path, **{tensor.name: np.asarray(tensor.value, order="C") for tensor in tensors})


def write_case(folder: Path, case: Case, model_name: str) -> dict:
    """Writes one case and gives its row of the index."""
    folder.mkdir()
    (folder / model_name).write_bytes(case.model)
    has_data = all(tensor.value is not None for tensor in case.inputs + case.outputs)
    if has_data:
        write_arrays(folder / "in.npz", case.inputs)
        write_arrays(folder / "out.npz", case.outputs)

    def rows(tensors: list[Tensor]) -> list[dict]:
        return [{"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape} for tensor in tensors]

    return {
        "name": case.name,
        "model": f"{case.name}/{model_name}",
        "operators": case.operators,
        "opset": case.opset,
        "inputs": rows(case.inputs),
        "outputs": rows(case.outputs),
        "rtol": case.rtol,
        "atol": case.atol,
        "ties": case.ties,
        "data": has_data,
    }


def write_suite(folder: Path, generator: str, model_name: str, cases: Iterable[Case]) -> int:
    """Replaces `folder` by the suite. An interrupted run leaves only a `.partial` folder behind."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows = [write_case(partial / case.name, case, model_name) for case in cases]
    index = {"generator": generator, "tests": sorted(rows, key=lambda row: row["name"])}
    (partial / "tests.json").write_text(json.dumps(index, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return len(rows)
