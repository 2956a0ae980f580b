"""This computer: what processor it has, and what that processor can do at most."""

import ctypes
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .contender import call
from .places import BENCHES, made_once

EXTENSIONS = ("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512dq", "avx512vl")
EXTENSIONS += ("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16")


@dataclass(frozen=True)
class Peak:
    """Measured limits of one core."""

    float_instruction: str
    gflops: float
    integer_instruction: str
    gmacs: float  # of 8-bit integers
    l1_gbytes: float  # per second, read
    l2_gbytes: float
    dram_gbytes: float


def model_name() -> str:
    """The processor."""
    return _cpuinfo().get("model name", "unknown processor")


def extensions() -> list[str]:
    """What it has of the vector extensions."""
    present = processor_flags()
    return [name for name in EXTENSIONS if name in present]


def processor_flags() -> list[str]:
    """All that the system says of the processor's abilities."""
    return _cpuinfo().get("flags", "").split()


def _cpuinfo() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def pin(cpu: int | None) -> int:
    """Keeps this process, and what it starts, on one processor: the last one that it may use unless one is named."""
    chosen = max(os.sched_getaffinity(0)) if cpu is None else cpu
    os.sched_setaffinity(0, {chosen})
    return chosen


def peak() -> Peak:
    """Measures the limits."""
    source = BENCHES / "peak.c"

    def build(folder: Path) -> None:
        call(["cc", "-O2", "-std=gnu11", "-Wall", "-Wextra", source, "-o", folder / "peak"], "to measure the processor")

    program = made_once("peak", [source], build) / "peak"
    return Peak(**json.loads(call([program], "to measure the processor")))


def call_seconds() -> float:
    """What it costs to call a C function that does nothing: every contender's time has at least that much in it."""
    from .timing import block, calls_per_block

    function = ctypes.CDLL(None).getpid
    calls = calls_per_block(function)
    return min(block(function, calls) / calls for _ in range(10))
