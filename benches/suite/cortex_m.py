"""The emulated microcontrollers: what `nablac bench` finds beside figures of other libraries that are on record."""

import json
import sys
import tomllib
from pathlib import Path

from .contender import call
from .markdown import table
from .places import BENCHES, NABLAC
from .spread import geometric_mean

FILES = {"int8": "int8.tflite", "fp32": "fp32.onnx"}
TARGETS = ["cortex-m4", "cortex-m7", "cortex-m55", "cortex-m3"]
FIGURES = ["instructions", "estimated_cycles", "flash_bytes", "ram_bytes"]
ABSENT = "–"


def recorded() -> dict:
    """The figures on record, and the goals."""
    return tomllib.loads((BENCHES / "cortex_m.toml").read_text())


def measure(models: Path) -> dict:
    """nablac's figures beside those on record: one row for each network, file, target and way to optimize."""
    record = recorded()
    builds = dict.fromkeys((entry["precision"], entry["optimize"]) for entry in record["recorded"])
    rows = []
    for precision, optimize in builds:
        targets = [t for t in TARGETS if optimize == "time" or _on_record(record, precision, t, optimize)]
        for position, network in enumerate(record["networks"]):
            print(f"{network} {precision}, optimized for {optimize}", file=sys.stderr)
            model = models / network / FILES[precision]
            for target, ours in zip(targets, _bench(model, targets, optimize), strict=True):
                entries = _on_record(record, precision, target, optimize)
                theirs = {entry["peer"]: _figures_of(entry, position) for entry in entries}
                row = {"network": network, "precision": precision, "target": target, "optimize": optimize}
                rows.append(row | {"nablac": {figure: ours[figure] for figure in FIGURES}, "peers": theirs})
    return {"schema": 1, "rows": rows, "goals": [goal | _reached(goal, rows) for goal in record["goals"]]}


def _on_record(record: dict, precision: str, target: str, optimize: str) -> list[dict]:
    wanted = {"precision": precision, "target": target, "optimize": optimize}
    return [entry for entry in record["recorded"] if entry.items() >= wanted.items()]


def _figures_of(entry: dict, position: int) -> dict[str, int]:
    return {figure: entry[figure][position] for figure in FIGURES if figure in entry}


def _bench(model: Path, targets: list[str], optimize: str) -> list[dict]:
    """The figures of one file on each target."""
    command = [NABLAC, "bench", model, "--target", ",".join(targets), "--optimize", optimize, "--json", "--quiet"]
    answer = json.loads(call(command, f"to measure {model}"))
    return answer.get("results", [answer])  # of one target the figures stand by themselves


def _reached(goal: dict, rows: list[dict]) -> dict:
    """The ratios that a goal is about, their geometric mean, and whether it is met."""
    wanted = {name: goal[name] for name in ("precision", "target", "optimize")}
    found = [row for row in rows if row.items() >= wanted.items()]
    ratios = {row["network"]: ratio(row, goal["peer"], goal["figure"]) for row in found}
    mean = geometric_mean(list(ratios.values()))
    met = mean <= goal.get("mean", float("inf")) and max(ratios.values()) <= goal.get("each", float("inf"))
    return {"ratios": ratios, "geometric_mean": mean, "met": met}


def ratio(row: dict, peer: str, figure: str) -> float | None:
    """nablac's figure over the peer's, where both are known."""
    ours, theirs = row["nablac"].get(figure), row["peers"].get(peer, {}).get(figure)
    return ours / theirs if ours and theirs else None


def markdown(figures: dict) -> str:
    """The report: goals first, then every figure."""
    head = (
        "Executed instructions, and cycles estimated for Cortex-M4, of one inference under emulation. "
        "How the others' figures were measured is said in `benches/cortex_m.toml`; their RAM is without the stack."
    )
    return "\n\n".join([head, table(_goal_rows(figures["goals"]), 2), table(_figure_rows(figures["rows"]), 3)])


def _goal_rows(goals: list[dict]) -> list[list[str]]:
    networks = list(goals[0]["ratios"])
    rows = [["nablac / peer", "peer", *networks, "geometric mean", "goal", "each", "met"]]
    for goal in goals:
        what = f"{goal['target']} {goal['precision']} {goal['figure'].replace('_', ' ')}"
        what += ", optimized for size" if goal["optimize"] == "size" else ""
        ratios = [f"{goal['ratios'][network]:.2f}" for network in networks] + [f"{goal['geometric_mean']:.2f}"]
        bounds = [f"≤ {goal[bound]:.2f}" if bound in goal else ABSENT for bound in ("mean", "each")]
        rows.append([what, goal["peer"], *ratios, *bounds, "yes" if goal["met"] else "no"])
    return rows


def _figure_rows(rows: list[dict]) -> list[list[str]]:
    found = [["network", "target", "library", *(figure.replace("_", " ") for figure in FIGURES)]]
    for row in rows:
        label = f"{row['network']} {row['precision']}" + (", for size" if row["optimize"] == "size" else "")
        for who, figures in {"nablac": row["nablac"], **row["peers"]}.items():
            cells = [f"{figures[f]:,}".replace(",", " ") if figures.get(f) else ABSENT for f in FIGURES]
            found.append([label, row["target"], who, *cells])
    return found
