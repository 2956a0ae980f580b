"""The peers: one module each, with `FORMATS`, the files that it takes, and `load`, which makes a contender of one.

A peer that is not installed, or that cannot take a case, raises; whoever asks says why it is missing.
"""

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from ..cases import Case
from ..contender import Contender, Unavailable, call
from ..places import BENCHES

# By the name that `--peers` takes: the module's name, and what the report calls it.
PEERS = {
    "onnxruntime": "ONNX Runtime",
    "litert": "LiteRT",
    "openvino": "OpenVINO",
    "tract": "tract",
    "iree": "IREE",
    "tvm": "TVM, untuned",
    "aidge": "AIDGE",
}


def install(peer: str) -> str:
    """Installs what is missing of a peer's pinned packages; gives the first one's name and version."""
    wanted = requirements(peer)
    absent = [f"{name}=={pinned}" for name, pinned in wanted.items() if _installed(name) != pinned]
    if absent:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        call([*pip, *absent], f"to install {', '.join(absent)}")
    first = next(iter(wanted))
    return f"{first} {wanted[first]}"


def requirements(peer: str) -> dict[str, str]:
    """The versions of the packages that a peer needs beside the suite's own, the peer itself first."""
    lines = (BENCHES / "requirements" / f"{peer}.txt").read_text().splitlines()
    stated = [line.split("#")[0].strip() for line in lines]
    return dict(line.split("==") for line in stated if line)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def contenders(peer: str, case: Case) -> Iterator[tuple[str, Contender | Unavailable]]:
    """What the peer makes of each of the case's files that it takes, by format."""
    try:
        module = importlib.import_module(f"{__name__}.{peer}")
    except (Exception, SystemExit) as error:  # whatever a peer may raise is its reason
        yield "any file", Unavailable(f"its package does not load: {_said(error)}")
        return
    for format in module.FORMATS:
        try:
            yield format, module.load(case, case.files[format])
        except Unavailable as reason:
            yield format, reason
        except Exception as error:
            yield format, Unavailable(_said(error))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
