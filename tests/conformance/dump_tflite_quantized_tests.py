"""Writes random cases of quantized single-operator .tflite files, and what TFLite's reference kernels compute.

    .cache/python/bin/python tests/conformance/dump_tflite_quantized_tests.py [.cache/conformance/tflite_quantized [FAMILY...]]

A folder with one .npz file per family, which holds for each case the arrays `NUMBER.model`, the bytes of the file,
`NUMBER.in.NAME` and `NUMBER.out.NAME`. Files called `refused_...` hold one case that nablac does not support, and says so. A case's random numbers are seeded by its family and number: adding one leaves the
others as they are.
"""

import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import quantized_elementwise
import quantized_moves
import quantized_sums
from quantized_draws import Case
from tflite_file import build

CASES = 200

REFUSED = quantized_elementwise.refused()
FAMILIES = quantized_sums.families() | quantized_elementwise.families() | quantized_moves.families()


def arrays(family: str) -> dict[str, np.ndarray]:
    """The cases of a family by the names of their arrays."""
    found = {}
    for number in range(1 if family in REFUSED else CASES):
        generator = np.random.default_rng(zlib.crc32(f"{family}_{number}".encode()))
        operator = (FAMILIES | REFUSED)[family](Case(generator))
        operator.name = f"{family}_{number}"
        try:
            built = build(operator, generator)
        except (RuntimeError, ValueError) as error:
            raise SystemExit(f"{operator.name}: {error}\n{operator}") from error
        found[f"{number:03}.model"] = np.frombuffer(built.data, np.uint8)
        found |= {f"{number:03}.in.{name}": value for name, value in built.inputs.items()}
        found |= {f"{number:03}.out.{name}": value for name, value in built.outputs.items()}
    return found


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else root / ".cache/conformance/tflite_quantized"
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    chosen = sys.argv[2:] or [*FAMILIES, *REFUSED]
    for family in chosen:
        np.savez(partial / f"{family}.npz", **arrays(family))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    print(f"{len(chosen)} families of quantized TFLite operator tests in {folder}")


if __name__ == "__main__":
    main()
