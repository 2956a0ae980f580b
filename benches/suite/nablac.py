"""nablac's contender: its C for a target, built as `nablac bench` builds it, and called in this process."""

import ctypes
import json
import os
import subprocess
from pathlib import Path

import numpy as np

from .cases import Case
from .contender import Contender, Sample, Unavailable, call
from .machine import processor_flags
from .places import NABLAC, ROOT, made_once

# The float networks are ONNX's (one of the .tflite files has integer weights), the integer ones TFLite's, which it
# equals bit for bit.
FORMATS = {"fp32": "onnx", "int8": "tflite"}
# Those of targets/run, and what a shared library takes.
FLAGS = ["-std=c99", "-O3", "-ffp-contract=off", "-fno-asynchronous-unwind-tables", "-fPIC", "-shared"]
LIBRARY = "libmodel.so"
CACHE_LINE = 64
HOST = "host"
# Between Python and the library: one call copies the inputs in, since a run may reuse their bytes, and computes.
GLUE = """\
#include "@NAME@.h"
#include <string.h>

static @NAME@_ctx_t ctx;
static const void *inputs[@INPUTS@];

int bench_open(void *arena, size_t size) { return (int)@NAME@_init(&ctx, arena, size); }
void bench_input(int position, const void *data) { inputs[position] = data; }
int bench_run(void) {
@COPIES@
    return (int)@NAME@_run(&ctx);
}
const void *bench_output(int position) {
    const void *const outputs[] = {@OUTPUTS@};
    return outputs[position];
}
"""


def load(case: Case, target: str) -> Contender:
    """The network in the format that suits the precision."""
    file = case.files[FORMATS[case.precision]]
    machine = _machine(target)
    compiler = _compiler(machine)
    ingredients = [NABLAC, file.path, json.dumps(machine), GLUE, *compiler]
    folder = made_once("nablac", ingredients, lambda draft: _build(file.path, target, compiler, draft))
    library = Library(folder)

    def write(sample: Sample) -> None:
        for place, array in zip(library.inputs, sample, strict=True):
            np.copyto(place, array)

    return Contender("nablac", file.label, write, library.run, library.outputs)


def layers(case: Case, target: str) -> list[dict]:
    """What `nablac bench` says of each layer: its name, multiply-accumulates, seconds."""
    file = case.files[FORMATS[case.precision]].path
    measured = call([NABLAC, "bench", file, "--target", target, "--json", "--quiet"], "to time its layers")
    return json.loads(measured)["layers"]


def version() -> str:
    """The version, and the commit where there is one."""
    stated = call([NABLAC, "--version"], "to measure it").strip()
    describe = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True)
    return f"{stated} ({commit.stdout.strip()})" if commit.returncode == 0 else stated


def widest_target() -> str:
    """The target for this computer with the widest vectors that its processor has."""
    known = json.loads(call([NABLAC, "targets", "--json", "--quiet"], "to list the targets"))["targets"]
    return widest(known, processor_flags())


def widest(machines: list[dict], flags: list[str]) -> str:
    """The name of the one with the widest vectors, of `host` and of those that require flags, and only these."""
    ours = [machine for machine in machines if machine["name"] == HOST or machine.get("requires")]
    able = [machine for machine in ours if set(machine.get("requires", [])) <= set(flags)]
    return max(able, key=lambda machine: machine["simd_bits"])["name"]


def _machine(target: str) -> dict:
    """The target, as nablac describes it."""
    return json.loads(call([NABLAC, "targets", target, "--json", "--quiet"], "to describe the target"))["targets"][0]


def _compiler(machine: dict) -> list[str]:
    """Its C compiler with all flags."""
    stated = machine["compiler"]
    return [os.environ.get(stated.get("environment", "")) or stated["command"], *stated["flags"], *FLAGS]


def _build(model: Path, target: str, compiler: list[str], folder: Path) -> None:
    code = folder / "code"
    compile = [NABLAC, "compile", model, "--target", target, "--out", code, "--vectors", "0", "--quiet"]
    call(compile, "to compile the network")
    glue = folder / "glue.c"
    glue.write_text(_glue(_metadata(folder)))
    includes = [f"-I{code / place}" for place in ("include", "port", "src")]
    sources = [*sorted(code.glob("src/*.c")), *sorted(code.glob("port/*.c")), glue]
    command = [*compiler, *includes, *sources, "-lm", "-o", folder / LIBRARY]
    call(command, "to build the generated C")


def _metadata(folder: Path) -> dict:
    return json.loads((folder / "code" / "metadata.json").read_text())


def _glue(metadata: dict) -> str:
    name, inputs, outputs = metadata["name"], metadata["inputs"], metadata["outputs"]
    copy = "    memcpy({name}_input{index}(&ctx), inputs[{index}], {bytes}u);"
    copies = [copy.format(name=name, index=index, bytes=value["bytes"]) for index, value in enumerate(inputs)]
    reads = ", ".join(f"{name}_output{index}(&ctx)" for index in range(len(outputs)))
    filled = GLUE.replace("@NAME@", name).replace("@INPUTS@", str(len(inputs)))
    return filled.replace("@COPIES@", "\n".join(copies)).replace("@OUTPUTS@", reads)


class Library:
    """A library made by `_build`, with arrays for its inputs."""

    def __init__(self, folder: Path | str) -> None:
        metadata = _metadata(Path(folder))
        self._library = ctypes.CDLL(str(Path(folder) / LIBRARY))
        self._library.bench_output.restype = ctypes.c_void_p
        self._outputs = [(_dtype(value), tuple(value["shape"])) for value in metadata["outputs"]]
        self.inputs = [np.zeros(value["shape"], _dtype(value)) for value in metadata["inputs"]]
        self._arena = _aligned(metadata["arena_bytes"])
        if self._library.bench_open(ctypes.c_void_p(self._arena.ctypes.data), ctypes.c_size_t(self._arena.size)) != 0:
            raise Unavailable("its library refuses the arena")
        for position, array in enumerate(self.inputs):
            self._library.bench_input(position, ctypes.c_void_p(array.ctypes.data))
        self.run = self._library.bench_run

    def outputs(self) -> Sample:
        """Copies of the outputs of the last run."""
        return [self._output(position, *described) for position, described in enumerate(self._outputs)]

    def _output(self, position: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        place = self._library.bench_output(position)
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(ctypes.string_at(place, size), dtype).reshape(shape)


def _aligned(size: int) -> np.ndarray:
    """That many bytes, and from a multiple of CACHE_LINE on."""
    memory = np.zeros(size + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + size]


def _dtype(value: dict) -> np.dtype:
    """`f32` is float32, `i8` is int8."""
    kind = {"f": "f", "i": "i", "u": "u"}[value["dtype"][0]]
    return np.dtype(f"{kind}{int(value['dtype'][1:]) // 8}")
