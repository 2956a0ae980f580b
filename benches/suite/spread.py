"""Numbers that stand for many: medians of ratios with their quartiles, and geometric means."""

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}…{self.high:.2f})"


def ratio(ours: list[float], theirs: list[float]) -> Spread:
    """Of what was measured in the same rounds."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Spread(median, low, high)


def geometric_mean(values: list[float]) -> float:
    """The mean of ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))
