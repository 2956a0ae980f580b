"""Exports an ONNX file to C++ with AIDGE: `aidge_export.py NETWORK.onnx DTYPE SAMPLES.npz FOLDER`.

A program of its own: AIDGE writes into the folder that it runs in, talks a lot, and ends the process when it fails.
"""

import sys

import aidge_backend_cpu  # noqa: F401  registers kernels, as the next three do
import aidge_core
import aidge_export_cpp  # noqa: F401
import aidge_onnx
import aidge_quantization  # noqa: F401
import numpy as np
from aidge_core.export_utils.config import ExportConfig

# It joins two pointwise convolutions, as MobileNetV2 has them, and takes the channels of the result for rows.
BROKEN_RECIPES = ["FuseConvolution"]


def export(network: str, dtype: str, samples: str, folder: str) -> None:
    """Writes the project. The samples, channels first, are what integers are calibrated with."""
    with np.load(samples) as archive:
        (name,) = archive.files
        arrays = list(archive[name])
    graph = aidge_onnx.load_onnx(network)
    shape = list(arrays[0].shape)
    aidge_core.recipes.simplify_graph(graph, {name: [shape]}, skip=BROKEN_RECIPES.copy(), training_safe=False)
    config = ExportConfig(
        target="host", export_folder=folder, dtype=dtype, compile=False, cuda=False, clone_model=False
    )
    aidge_core.export_utils.export(graph, config, input_tensors=[_tensor(array) for array in arrays])


def _tensor(array: np.ndarray) -> aidge_core.Tensor:
    tensor = aidge_core.Tensor(np.ascontiguousarray(array))
    formats = aidge_core.dformat
    tensor.set_data_format(formats.nchw if array.ndim == 4 else formats.default)
    return tensor


if __name__ == "__main__":
    export(*sys.argv[1:])
