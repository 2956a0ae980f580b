"""The command line. `./benches/run` installs what this needs and starts it."""

import argparse
import json
import os
import sys
from pathlib import Path

from . import cases, cortex_m, machine, nablac, peers, report, timing, x86
from .contender import Unavailable, call

MODELS = "NABLAC_MODELS"


def main() -> None:
    """Prints a report, and writes it as JSON where asked."""
    arguments = _arguments()
    models = _models(arguments)
    try:
        text, data = _cortex_m(models) if arguments.mcu else _x86(arguments, models)
    except Unavailable as reason:
        sys.exit(f"error: {reason}")
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(data, indent=1) + "\n")
    if any(case["ratio"] is None for case in data.get("cases", [])):
        sys.exit("error: nablac or every peer is missing in some of the cases; the report says why")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./benches/run",
        description="Measures nablac's C beside other ways to run a network, all in one process, one thread, batch 1.",
        epilog=f"The reference networks are those in the folder that {MODELS} names.",
    )
    networks, known = [*cases.SMALL, *cases.LARGE], list(peers.PEERS)
    parser.add_argument("--networks", type=_some(networks), metavar="NAME,…", help=f"of {', '.join(networks)}")
    parser.add_argument("--large", action="store_true", help=f"{' and '.join(cases.LARGE)} too, with random weights")
    parser.add_argument("--peers", type=_some(known), default=known, metavar="NAME,…", help=f"of {', '.join(known)}")
    parser.add_argument("--target", help="what nablac compiles for (default: the widest that this processor is)")
    parser.add_argument("--rounds", type=_rounds, default=60, metavar="N", help="at most that many (default: 60)")
    parser.add_argument("--cpu", type=int, help="the processor to stay on (default: the last one)")
    parser.add_argument("--layers", action="store_true", help="list nablac's layers, with their parts of the peak")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--mcu", action="store_true", help="the emulated Cortex-M instead, beside recorded figures")
    return parser.parse_args()


def _some(known: list[str]):
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}; there are {', '.join(known)}")
        return names

    return parse


def _rounds(text: str) -> int:
    if not text.isdigit() or int(text) < timing.LEAST_ROUNDS:
        raise argparse.ArgumentTypeError(f"at least {timing.LEAST_ROUNDS} are needed to tell a spread")
    return int(text)


def _models(arguments: argparse.Namespace) -> Path:
    """The folder of the reference networks, if any is to be measured."""
    folder = Path(os.environ.get(MODELS, "")).absolute()
    wanted = set(cases.REFERENCE) & set(arguments.networks or cases.REFERENCE)
    if MODELS not in os.environ and (wanted or arguments.mcu):
        sys.exit(f"error: {MODELS} is not set: name the folder of the reference networks with it")
    absent = [name for name in sorted(wanted) if not (folder / name / "fp32.onnx").is_file()]
    if absent:
        sys.exit(f"error: {folder} ({MODELS}) has no {absent[0]}/fp32.onnx")
    return folder


def _cortex_m(models: Path) -> tuple[str, dict]:
    figures = cortex_m.measure(models)
    return cortex_m.markdown(figures), figures


def _x86(arguments: argparse.Namespace, models: Path) -> tuple[str, dict]:
    networks = [*(arguments.networks or cases.SMALL)]
    target = arguments.target or nablac.widest_target()
    networks += [name for name in cases.LARGE if arguments.large and name not in networks]
    load = os.getloadavg()[0]
    versions, absent = {"nablac": nablac.version()}, {}
    for peer in arguments.peers:
        try:
            versions[peer] = peers.install(peer)
        except Unavailable as reason:
            absent[peer] = reason
    setting = report.Setting(
        processor=machine.model_name(),
        extensions=machine.extensions(),
        cpu=machine.pin(arguments.cpu),
        load=load,
        peak=machine.peak(),
        call_seconds=machine.call_seconds(),
        compiler=call(["cc", "--version"], "to build generated C").splitlines()[0],
        versions=versions,
        target=target,
        rounds=arguments.rounds,
    )
    present = [peer for peer in arguments.peers if peer not in absent]
    results = [x86.run(case, present, target, arguments.rounds) for case in cases.cases(networks, models)]
    for result in results:
        if arguments.layers:
            result.layers = nablac.layers(result.case, target)
        result.missing.update({peers.PEERS[peer].title: str(reason) for peer, reason in absent.items()})
    return report.markdown(setting, results), report.as_json(setting, results)


if __name__ == "__main__":
    main()
