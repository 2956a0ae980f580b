"""The comparison on this computer: which contenders take part in each case, and what is found."""

import sys
from dataclasses import dataclass, field
from functools import partial

from . import nablac, peers, spread, timing, trial
from .agreement import Difference, difference, most_common
from .cases import Case, ModelFile
from .contender import Contender, Sample, Unavailable

NABLAC = "nablac"
LIMIT_SECONDS = 90.0  # of a case: slow ones get fewer rounds


@dataclass
class Entry:
    """What was found of a contender: whether it computes the same, and seconds per call in every round."""

    name: str
    file: str
    difference: Difference
    other_numbers: str = ""
    seconds: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The least disturbed round."""
        return min(self.seconds)


@dataclass
class Result:
    """A case with whoever took part, and whoever did not and why."""

    case: Case
    entries: list[Entry]
    missing: dict[str, str]
    layers: list[dict] = field(default_factory=list)

    def of(self, name: str) -> Entry | None:
        """The fastest entry of that name: a peer may take files of both formats."""
        return min((entry for entry in self.entries if entry.name == name), key=lambda e: e.best, default=None)

    def best_peer(self) -> Entry | None:
        """The fastest one that is not nablac."""
        return min((e for e in self.entries if e.name != NABLAC), key=lambda e: e.best, default=None)

    def ratio(self) -> spread.Spread | None:
        """nablac's time over the fastest peer's, round by round; below 1 nablac is faster."""
        ours, theirs = self.of(NABLAC), self.best_peer()
        return spread.ratio(ours.seconds, theirs.seconds) if ours and theirs else None


def run(case: Case, chosen: list[str], target: str, rounds: int) -> Result:
    """Loads everyone, checks that they agree, times them against each other."""
    result = Result(case, [], {})
    contenders = _keep_agreeing(result, _loaded(result, chosen, target))
    found = timing.rounds([contender.run for contender in contenders], rounds, LIMIT_SECONDS)
    for entry, seconds in zip(result.entries, found, strict=True):
        entry.seconds = seconds
    times = [f"{entry.name} {entry.best * 1e6:.1f} µs" for entry in result.entries]
    print(f"{case.label}: {', '.join(times)}", file=sys.stderr)
    return result


def _loaded(result: Result, chosen: list[str], target: str) -> list[tuple[Contender, ModelFile]]:
    """Whoever takes the case, with the file that it was given."""
    case, loaded = result.case, []
    candidates = [(NABLAC, nablac.FORMATS[case.precision], partial(nablac.load, case, target))]
    for peer in chosen:
        known = peers.PEERS[peer]
        candidates += [(known.title, format, partial(peers.load, peer, case, format)) for format in known.formats]
    for title, format, load in candidates:
        file = case.files[format]
        try:
            trial.check(load, file.inputs[0])
            loaded.append((load(), file))
        except Unavailable as reason:
            result.missing[f"{title}, {file.label}"] = str(reason)
    return loaded


def _keep_agreeing(result: Result, loaded: list[tuple[Contender, ModelFile]]) -> list[Contender]:
    """Makes entries of those whose outputs are not nonsense, and gives them."""
    computed = []
    for contender, file in loaded:
        try:
            computed.append((contender, file, _outputs(contender, file.inputs)))
        except Exception as error:  # whatever a peer may raise is its reason
            result.missing[f"{contender.name}, {contender.file}"] = f"it does not run: {error}"
    peers_first = sorted(computed, key=lambda entry: entry[0].name == NABLAC)
    common = most_common([outputs for _, _, outputs in peers_first])
    kept = []
    for contender, file, outputs in computed:
        found = difference(outputs, file.outputs or common)
        if found.is_nonsense and not contender.other_numbers:
            reason = f"it computes something else: outputs differ by {found}"
            result.missing[f"{contender.name}, {contender.file}"] = reason
        else:
            result.entries.append(Entry(contender.name, contender.file, found, contender.other_numbers))
            kept.append(contender)
    return kept


def _outputs(contender: Contender, samples: list[Sample]) -> list[Sample]:
    found = []
    for sample in samples:
        contender.write(sample)
        contender.run()
        found.append(contender.read())
    return found
