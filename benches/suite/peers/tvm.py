"""TVM with the schedules that it has without tuning."""

import os

import numpy as np
import onnx

os.environ["TVM_NUM_THREADS"] = "1"  # read when TVM is loaded

import tvm  # noqa: E402
from tvm import relax  # noqa: E402
from tvm.relax.frontend.onnx import from_onnx  # noqa: E402

from ..cases import Case, ModelFile  # noqa: E402
from ..contender import Contender  # noqa: E402


def load(case: Case, file: ModelFile) -> Contender:
    """The network, compiled for this processor."""
    target = tvm.target.Target({"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu()})
    with tvm.transform.PassContext(opt_level=3):
        executable = tvm.compile(from_onnx(onnx.load(file.path), keep_params_in_input=False), target=target)
    main = relax.VirtualMachine(executable, tvm.cpu())["main"]
    inputs = [tvm.runtime.empty(array.shape, str(array.dtype), tvm.cpu()) for array in file.inputs[0]]

    def write(sample: list[np.ndarray]) -> None:
        for place, array in zip(inputs, sample, strict=True):
            place.copyfrom(np.ascontiguousarray(array))

    def read() -> list[np.ndarray]:
        outputs = main(*inputs)
        return [output.numpy() for output in ([outputs] if hasattr(outputs, "numpy") else outputs)]

    return Contender("TVM, untuned", file.label, write, run=lambda: main(*inputs), read=read)
