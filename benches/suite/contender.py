"""What takes part: something that is loaded with a case and can be run in this process."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Sample = list[np.ndarray]
BUILD_SECONDS = 1800  # after which a compiler counts as hanging


class Unavailable(Exception):
    """Why a contender does not take part."""


@dataclass(frozen=True)
class Contender:
    """One way to run a case. `write` gives it inputs, `run` makes one inference, `read` copies the outputs."""

    name: str
    file: str
    write: Callable[[Sample], None]
    run: Callable[[], object]
    read: Callable[[], Sample]
    other_numbers: str = ""  # why its outputs are not those of the file, where they cannot be


def call(command: list[str | Path], purpose: str, folder: Path | None = None) -> str:
    """What a command prints; a failure ends the contender with what the command said last."""
    command = [str(part) for part in command]
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS)
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed: it is needed {purpose}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{Path(command[0]).name} took more than {BUILD_SECONDS} s {purpose}") from None
    if ended.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name} failed {purpose}: {last_words(ended.stderr or ended.stdout)}")
    return ended.stdout


def last_words(text: str) -> str:
    """The line that says most about a failure: the last one with an error, or else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"]
    telling = [line for line in lines if "error" in line.lower()]
    return (telling or lines)[-1][:300]
