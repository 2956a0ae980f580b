"""IREE: compiled ahead of time for this processor, run without threads."""

import sys
from importlib.metadata import version
from pathlib import Path

import iree.compiler
import iree.runtime

from ..cases import Case, ModelFile
from ..contender import Contender, Sample, call
from ..machine import model_name
from ..places import made_once

FLAGS = ["--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3"]
HIDDEN = ("__", "$async")  # the initializer, and the variants that wait for a fence


class _Session:
    """The module's one function with its arguments."""

    def __init__(self, bytecode: Path) -> None:
        config = iree.runtime.Config("local-sync")
        module = iree.runtime.VmModule.mmap(config.vm_instance, str(bytecode))
        self._device = config.device
        self._loaded = iree.runtime.load_vm_module(module, config)
        names = [name for name in module.function_names if not any(mark in name for mark in HIDDEN)]
        self._invoker = self._loaded[names[0]]
        self._arrays: list = []
        self._arguments = None

    def write(self, sample: Sample) -> None:
        self._arrays = [iree.runtime.asdevicearray(self._device, array) for array in sample]
        self._arguments = iree.runtime.VmVariantList(len(sample))
        for array in self._arrays:
            self._arguments.push_ref(array._buffer_view)

    def run(self) -> None:
        # What the invoker calls once it has converted its arguments.
        self._invoker._vm_context.invoke(self._invoker._vm_function, self._arguments, iree.runtime.VmVariantList(1))

    def read(self) -> Sample:
        results = self._invoker(*self._arrays)
        results = results if isinstance(results, tuple | list) else [results]
        return [result.to_host().copy() for result in results]


def load(case: Case, file: ModelFile) -> Contender:
    """The network, imported from ONNX."""

    def compile(folder: Path) -> None:
        importer = [sys.executable, "-m", "iree.compiler.tools.import_onnx"]
        call([*importer, file.path, "-o", folder / "model.mlir"], "to import the network")
        bytecode = iree.compiler.compile_file(
            str(folder / "model.mlir"), input_type="onnx", target_backends=["llvm-cpu"], extra_args=FLAGS
        )
        (folder / "model.vmfb").write_bytes(bytecode)

    ingredients = [file.path, version("iree-base-compiler"), model_name(), *FLAGS]
    session = _Session(made_once("iree", ingredients, compile) / "model.vmfb")
    return Contender("IREE", file.label, session.write, session.run, session.read)
