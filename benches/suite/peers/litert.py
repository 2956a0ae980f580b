"""LiteRT with its default kernels and delegate (XNNPACK)."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ..cases import Case, ModelFile
from ..contender import Contender


def load(case: Case, file: ModelFile) -> Contender:
    """The network on one thread."""
    interpreter = Interpreter(str(file.path), num_threads=1)
    interpreter.allocate_tensors()
    inputs = [detail["index"] for detail in interpreter.get_input_details()]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def write(sample: list[np.ndarray]) -> None:
        for index, array in zip(inputs, sample, strict=True):
            interpreter.set_tensor(index, array)

    return Contender(
        "LiteRT",
        file.label,
        write,
        run=interpreter._interpreter.Invoke,  # what `invoke` calls behind a check that costs as much as a small layer
        read=lambda: [interpreter.get_tensor(index) for index in outputs],
    )
