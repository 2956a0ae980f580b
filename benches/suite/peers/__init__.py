"""The peers: one module each, with `load`, which makes a contender of a file."""

import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from ..cases import Case
from ..contender import Contender, call
from ..places import BENCHES


@dataclass(frozen=True)
class Peer:
    """What the report calls a peer, and the formats that it takes."""

    title: str
    formats: tuple[str, ...]


# By the name of the module, which is the one that `--peers` takes.
PEERS = {
    "onnxruntime": Peer("ONNX Runtime", ("onnx",)),
    "litert": Peer("LiteRT", ("tflite",)),
    "openvino": Peer("OpenVINO", ("onnx", "tflite")),
    "tract": Peer("tract", ("onnx",)),
    "iree": Peer("IREE", ("onnx",)),
    "tvm": Peer("TVM, untuned", ("onnx",)),
    "aidge": Peer("AIDGE", ("onnx",)),
}
TITLES = [peer.title for peer in PEERS.values()]


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


def load(peer: str, case: Case, format: str) -> Contender:
    """What the peer makes of the case's file of that format. Whatever it raises is why it does not take it."""
    return importlib.import_module(f"{__name__}.{peer}").load(case, case.files[format])
