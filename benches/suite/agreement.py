"""Whether contenders compute the same."""

import math
from dataclasses import dataclass

import numpy as np

from .contender import Sample

FLOAT_TOLERANCE = 1e-4  # of the largest expected value, or absolutely below 1: sums in another order
INTEGER_TOLERANCE = 1  # step
NONSENSE = 0.5  # of the range of the expected values: whoever is that far off computes something else


@dataclass(frozen=True)
class Difference:
    """How far outputs are from those expected: the largest difference, and the largest that counts as agreement."""

    largest: float
    tolerance: float
    range: float
    unit: str

    @property
    def agrees(self) -> bool:
        """Whether it is within tolerance."""
        return self.largest <= self.tolerance

    @property
    def is_nonsense(self) -> bool:
        """Whether this is another network."""
        return not self.largest <= max(NONSENSE * self.range, self.tolerance)

    def __str__(self) -> str:
        return f"{self.largest:.3g}{self.unit}"


def difference(found: list[Sample], expected: list[Sample]) -> Difference:
    """Between the outputs of all samples."""
    pairs = [pair for ours, theirs in zip(found, expected, strict=True) for pair in zip(ours, theirs, strict=True)]
    expectation = np.concatenate([other.ravel().astype(np.float64) for _, other in pairs])
    is_float = pairs[0][1].dtype.kind == "f"
    scale = max(1.0, float(np.abs(expectation).max()))
    tolerance, unit = (FLOAT_TOLERANCE * scale, "") if is_float else (INTEGER_TOLERANCE, " steps")
    if any(one.shape != other.shape or one.dtype != other.dtype for one, other in pairs):
        return Difference(math.inf, tolerance, 0, ": they are of another type or shape")
    result = np.concatenate([one.ravel().astype(np.float64) for one, _ in pairs])
    return Difference(float(np.max(np.abs(result - expectation))), tolerance, float(np.ptp(expectation)), unit)


def most_common(candidates: list[list[Sample]]) -> list[Sample] | None:
    """The outputs that most candidates agree with, the first of those if there are several."""
    return max(candidates, key=lambda one: sum(difference(other, one).agrees for other in candidates), default=None)
