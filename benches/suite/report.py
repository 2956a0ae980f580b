"""What the comparison on this computer found, as Markdown and as JSON."""

import dataclasses
from collections import defaultdict

from . import peers
from .machine import Peak
from .markdown import table
from .x86 import NABLAC, Entry, Result

SCHEMA = 1
ABSENT = "–"


@dataclasses.dataclass
class Setting:
    """What the figures hold for."""

    processor: str
    extensions: list[str]
    cpu: int
    load: float  # runnable processes when the run began
    peak: Peak
    call_seconds: float
    compiler: str
    versions: dict[str, str]
    target: str
    rounds: int


def markdown(setting: Setting, results: list[Result]) -> str:
    """The whole report."""
    parts = [_head(setting), table(_ratios(setting, results), 2), table(_times(results)), _remarks(results)]
    parts += [_layers(setting.peak, result) for result in results if result.layers]
    return "\n\n".join(part for part in parts if part)


def _head(setting: Setting) -> str:
    peak = setting.peak
    lines = [
        f"Processor {setting.cpu}: {setting.processor} ({' '.join(setting.extensions)}).",
        f"Measured peak of one core: {peak.gflops:.1f} GFLOP/s ({peak.float_instruction}), {peak.gmacs:.1f} int8 "
        f"GMAC/s ({peak.integer_instruction}); reads from L1 {peak.l1_gbytes:.0f}, L2 {peak.l2_gbytes:.0f}, "
        f"memory {peak.dram_gbytes:.0f} GB/s.",
        f"Target `{setting.target}`, built by {setting.compiler}. " + ", ".join(setting.versions.values()) + ".",
        f"One thread, batch 1; every contender in turn in one process, {setting.rounds} rounds of blocks of 3 ms. "
        "Times are the least processor time per call in µs, ratios the median over the rounds with their quartiles. "
        f"A call from Python that does nothing takes {setting.call_seconds * 1e6:.2f} µs.",
        f"Load when the run began: {setting.load:.1f} runnable processes"
        + (": on a machine that is not idle, read ratios." if setting.load > 0.5 else "."),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _ratios(setting: Setting, results: list[Result]) -> list[list[str]]:
    heading = ["network", "best peer", "MMAC", "nablac µs", "best peer µs", "nablac / best peer", "rate", "of peak"]
    return [heading, *(_ratio_row(setting, result) for result in results)]


def _ratio_row(setting: Setting, result: Result) -> list[str]:
    ours, theirs = result.of(NABLAC), result.best_peer()
    named = f"{theirs.name}, {theirs.file}" if theirs else ABSENT
    cells = [result.case.label, named, f"{result.case.macs / 1e6:.2f}", _microseconds(ours), _microseconds(theirs)]
    cells.append(str(result.ratio() or ABSENT))
    case = result.case
    return cells + (list(_rate(setting.peak, case.precision, case.macs, ours.best)) if ours else [ABSENT, ABSENT])


def _rate(peak: Peak, precision: str, macs: int, seconds: float) -> tuple[str, str]:
    giga = macs / seconds / 1e9
    if precision == "int8":
        return f"{giga:.2f} GMAC/s", f"{giga / peak.gmacs:.1%}"
    return f"{2 * giga:.2f} GFLOP/s", f"{2 * giga / peak.gflops:.1%}"


def _layers(peak: Peak, result: Result) -> str:
    """nablac's layers that multiply, the longest first."""
    rows = [["layer", "kernels", "kMAC", "µs", "share", "rate", "of peak"]]
    multiply = [layer for layer in result.layers if layer["macs"] and layer["seconds"]]
    for layer in sorted(multiply, key=lambda layer: -layer["seconds"]):
        cells = [layer["function"], str(len(layer["kernels"])), f"{layer['macs'] / 1e3:.0f}"]
        cells += [f"{layer['seconds'] * 1e6:.2f}", f"{layer['share']:.1%}"]
        rows.append([*cells, *_rate(peak, result.case.precision, layer["macs"], layer["seconds"])])
    return f"Layers of {result.case.label}:\n\n{table(rows)}"


def _times(results: list[Result]) -> list[list[str]]:
    names = [NABLAC, *peers.TITLES]
    return [["µs", *names], *([r.case.label, *(_microseconds(r.of(name)) for name in names)] for r in results)]


def _microseconds(entry: Entry | None) -> str:
    if entry is None:
        return ABSENT
    microseconds = entry.best * 1e6
    return f"{microseconds:.2f}" if microseconds < 100 else f"{microseconds:.0f}"


def _remarks(results: list[Result]) -> str:
    """Which file each contender ran, who computes other numbers, and who is missing."""
    missing = defaultdict(list)
    for result in results:
        for who, reason in result.missing.items():
            missing[f"{who}: {reason}"].append(result.case.label)
    parts = {
        "Files:": _files(results),
        "Outputs that differ by more than rounding:": _differing(results),
        "Missing:": [f"{what} [{', '.join(labels)}]" for what, labels in missing.items()],
    }
    return "\n\n".join(
        "\n".join([title, *(f"- {item}" for item in items or ["none"])]) for title, items in parts.items()
    )


def _files(results: list[Result]) -> list[str]:
    """The files that each contender ran; of one that takes both formats, the one whose time is in the table."""
    lines = []
    for name in [NABLAC, *peers.TITLES]:
        found = defaultdict(list)
        for result in results:
            if entry := result.of(name):
                found[entry.file].append(result.case.label)
        if any(sum(entry.name == name for entry in result.entries) > 1 for result in results):
            lines += [f"{name}: {file}, the faster one [{', '.join(cases)}]" for file, cases in found.items()]
        elif found:
            lines.append(f"{name}: {', '.join(found)}")
    return lines


def _differing(results: list[Result]) -> list[str]:
    lines = []
    for result in results:
        for entry in result.entries:
            who = f"{entry.name} on {result.case.label} ({entry.file})"
            if entry.other_numbers:
                lines.append(f"{who}: not comparable, {entry.other_numbers}")
            elif not entry.difference.agrees:
                lines.append(f"{who}: {entry.difference}")
    return lines


def as_json(setting: Setting, results: list[Result]) -> dict:
    """The same for programs, with every round's seconds."""
    return {
        "schema": SCHEMA,
        "setting": dataclasses.asdict(setting),
        "cases": [
            {
                "network": result.case.network,
                "precision": result.case.precision,
                "macs": result.case.macs,
                "ratio": dataclasses.asdict(ratio) if (ratio := result.ratio()) else None,
                "contenders": [_entry(entry) for entry in result.entries],
                "missing": result.missing,
                "layers": result.layers,
            }
            for result in results
        ],
    }


def _entry(entry: Entry) -> dict:
    return {
        "name": entry.name,
        "file": entry.file,
        "least_seconds": entry.best,
        "seconds": entry.seconds,
        "largest_difference": entry.difference.largest,
        "agrees": entry.difference.agrees,
        "other_numbers": entry.other_numbers,
    }
