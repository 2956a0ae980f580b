"""OpenVINO, which reads both formats."""

import numpy as np
import openvino
from openvino._pyopenvino import InferRequest

from ..cases import Case, ModelFile
from ..contender import Contender

ONE_THREAD = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}


def load(case: Case, file: ModelFile) -> Contender:
    """The network with its shapes fixed: TFLite files may leave the batch open."""
    core = openvino.Core()
    model = core.read_model(file.path)
    model.reshape({index: list(array.shape) for index, array in enumerate(file.inputs[0])})
    request = core.compile_model(model, "CPU", ONE_THREAD).create_infer_request()

    def write(sample: list[np.ndarray]) -> None:
        for tensor, array in zip(request.input_tensors, sample, strict=True):
            tensor.data[:] = array

    return Contender(
        "OpenVINO",
        file.label,
        write,
        # The method of the base class: the subclass looks through inputs that are there already.
        run=lambda: InferRequest.infer(request, {}, share_outputs=True, decode_strings=False),
        read=lambda: [tensor.data.copy() for tensor in request.output_tensors],
    )
