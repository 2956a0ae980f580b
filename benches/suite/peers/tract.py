"""tract, through the C interface that its Python package brings along."""

from ctypes import byref, c_void_p

import numpy as np
import tract
from tract.bindings import check, lib

from ..cases import Case, ModelFile
from ..contender import Contender, Sample


class _Session:
    """A state with its inputs in place; the outputs are tract's own tensors, freed at every run."""

    def __init__(self, path: str, inputs: int) -> None:
        self._state = tract.onnx().load(path).into_model().into_runnable().spawn_state()
        self._tensors: list[tract.Tensor] = []
        self._inputs = (c_void_p * inputs)()
        self._outputs = (c_void_p * self._state.output_count())()

    def write(self, sample: Sample) -> None:
        self._tensors = [tract.Tensor.from_numpy(array) for array in sample]
        self._inputs[:] = [tensor.ptr for tensor in self._tensors]

    def run(self) -> None:
        check(lib.tract_state_run(self._state.ptr, self._inputs, self._outputs))
        for pointer in self._outputs:
            lib.tract_tensor_destroy(byref(c_void_p(pointer)))

    def read(self) -> list[np.ndarray]:
        return [tensor.to_numpy() for tensor in self._state.run(self._tensors)]


def load(case: Case, file: ModelFile) -> Contender:
    """The network, optimized."""
    session = _Session(str(file.path), len(file.inputs[0]))
    return Contender("tract", file.label, session.write, session.run, session.read)
