"""Whether contenders compute the same."""

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
    for one, other in pairs:
        if one.shape != other.shape or one.dtype != other.dtype:
            raise ValueError(f"an output is {one.dtype}{list(one.shape)} instead of {other.dtype}{list(other.shape)}")
    expectation = np.concatenate([other.ravel().astype(np.float64) for _, other in pairs])
    result = np.concatenate([one.ravel().astype(np.float64) for one, _ in pairs])
    largest = float(np.max(np.abs(result - expectation)))
    spread = float(np.ptp(expectation))
    if pairs[0][1].dtype.kind == "f":
        return Difference(largest, FLOAT_TOLERANCE * max(1.0, float(np.abs(expectation).max())), spread, "")
    return Difference(largest, INTEGER_TOLERANCE, spread, " steps")
