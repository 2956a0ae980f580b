"""What the families of quantized operators draw their cases from: scales, zero points, shapes and activations."""

import math

import numpy as np
from ai_edge_litert.schema_py_generated import ActivationFunctionType, Padding
from tflite_file import Draw, Quantization

ACTIVATIONS = (
    ActivationFunctionType.NONE,
    ActivationFunctionType.RELU,
    ActivationFunctionType.RELU_N1_TO_1,
    ActivationFunctionType.RELU6,
)
PADDINGS = (Padding.SAME, Padding.VALID)


def integers(dtype: str, low: int | None = None, high: int | None = None) -> Draw:
    """Elements of the whole type, or of `low` to `high`."""
    ends = np.iinfo(dtype)
    low, high = (ends.min if low is None else low), (ends.max if high is None else high)
    return lambda generator, shape: generator.integers(low, high, shape, endpoint=True).astype(dtype)


class Case:
    """The random choices of one case."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def number(self, low: int, high: int) -> int:
        """One of `low` to `high`, both included."""
        return int(self.generator.integers(low, high, endpoint=True))

    def one_of(self, choices: list | tuple | dict) -> object:
        """One of several."""
        choices = list(choices)
        return choices[self.number(0, len(choices) - 1)]

    def chance(self, one_in: int) -> bool:
        """True once in `one_in` times."""
        return self.number(1, one_in) == 1

    def between(self, low: float, high: float) -> float:
        """A single-precision number between two powers of two."""
        return float(np.float32(2.0 ** self.generator.uniform(low, high)))

    def scale(self) -> float:
        """A scale of activations; one in eight is a power of two, where results fall on ties."""
        return 2.0 ** self.number(-6, -1) if self.chance(8) else self.between(-6, -1)

    def zero_point(self, dtype: str) -> int:
        """Any zero point; 16-bit values have none. One in eight is at an end of the type, where converters put it too."""
        if dtype == "int16":
            return 0
        ends = np.iinfo(dtype)
        return int(self.one_of((ends.min, ends.max)) if self.chance(8) else self.number(ends.min, ends.max))

    def activations(self, dtype: str) -> Quantization:
        """The quantization of an input."""
        scale = self.scale() / (256 if dtype == "int16" else 1)
        return Quantization([scale], [self.zero_point(dtype)])

    def output(self, dtype: str, scale: float) -> Quantization:
        """The quantization of an output, from the scale that would do."""
        return Quantization([float(np.float32(scale))], [self.zero_point(dtype)])

    def near(self, quantization: Quantization, low: float = -1.5, high: float = 2.0) -> Quantization:
        """Another scale within some powers of two, with a zero point as its type has it."""
        scale = quantization.scales[0] * self.between(low, high)
        return Quantization([float(np.float32(scale))], [0])

    def shape(self, rank: int | None = None, most: int = 5) -> tuple[int, ...]:
        """A small shape."""
        return tuple(self.number(1, most) for _ in range(rank or self.number(1, 4)))

    def broadcast(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Two shapes that stretch to one: half of them are equal."""
        shape = self.shape()
        if self.chance(2):
            return shape, shape
        stretched = [tuple(1 if self.chance(3) else n for n in shape) for _ in range(2)]
        shorter = stretched[1][self.number(0, len(shape) - 1) :]
        pair = (stretched[0], shorter)
        return pair if self.chance(2) else pair[::-1]

    def activation(self) -> int:
        """A fused activation."""
        return self.one_of(ACTIVATIONS)

    def window(self, most: int = 4) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
        """Image, kernel, stride and padding: the kernel fits into the image."""
        kernel, stride = (self.number(1, most), self.number(1, most)), (self.number(1, 3), self.number(1, 3))
        image = tuple(extent + self.number(0, 6) for extent in kernel)
        return image, kernel, stride, self.one_of(PADDINGS)


def output_scale(input_scale: float, weight_scales: list[float], terms: int, case: Case) -> float:
    """A scale that the sums of `terms` products of 8-bit numbers use well, or that they leave by far."""
    return input_scale * float(np.mean(weight_scales)) * math.sqrt(terms) * case.between(4, 7)
