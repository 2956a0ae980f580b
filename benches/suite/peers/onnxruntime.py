"""ONNX Runtime, through an I/O binding to arrays that stay where they are."""

import numpy as np
import onnxruntime

from ..cases import Case, ModelFile
from ..contender import Contender

ERRORS_ONLY = 3


def load(case: Case, file: ModelFile) -> Contender:
    """The network with every optimization."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    session = onnxruntime.InferenceSession(file.path, options, providers=["CPUExecutionProvider"])
    inputs = [np.empty_like(array) for array in file.inputs[0]]
    binding = session.io_binding()
    for argument, array in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_input(argument.name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    for argument in session.get_outputs():
        binding.bind_output(argument.name, "cpu")

    def write(sample: list[np.ndarray]) -> None:
        for place, array in zip(inputs, sample, strict=True):
            np.copyto(place, array)

    return Contender(
        "ONNX Runtime",
        file.label,
        write,
        run=lambda: session.run_with_iobinding(binding),
        read=binding.copy_outputs_to_cpu,
    )
