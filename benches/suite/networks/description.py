"""Networks as lists of nodes, from which files of both formats are written with the same weights.

Images are [1, height, width, channels] here. Windows are padded by as much on every side, half their extent, as
networks of PyTorch have it. What is pooled has no negative values: a zero is as good as minus infinity there.
"""

import math
from dataclasses import dataclass, field

import numpy as np

Shape = tuple[int, ...]


@dataclass
class Node:
    """One operator. `inputs` and the node itself are positions in `Network.nodes`."""

    kind: str  # input, conv, depthwise, max_pool, add, mean, dense or matmul
    inputs: list[int]
    shape: Shape
    weights: np.ndarray | None = None  # conv and depthwise: [out, height, width, in]; dense: [out, in]
    bias: np.ndarray | None = None
    window: int = 1
    stride: int = 1
    activation: str | None = None  # relu or relu6

    @property
    def padding(self) -> int:
        """How far the window reaches over an edge."""
        return self.window // 2


@dataclass
class Network:
    """Nodes in the order in which they are computed; the last one is the output."""

    name: str
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._generator = np.random.default_rng(2025)

    def input(self, *shape: int) -> int:
        """An input of this shape."""
        return self._append(Node("input", [], shape))

    def conv(self, source: int, channels: int, window: int, stride: int = 1, activation: str | None = "relu") -> int:
        """A convolution."""
        depth = self.nodes[source].shape[3]
        return self._window("conv", source, (channels, window, window, depth), stride, activation)

    def depthwise(self, source: int, window: int, stride: int = 1, activation: str | None = "relu") -> int:
        """A convolution of each channel by itself."""
        channels = self.nodes[source].shape[3]
        return self._window("depthwise", source, (channels, window, window, 1), stride, activation)

    def max_pool(self, source: int, window: int, stride: int) -> int:
        """The largest value of each window."""
        shape = self._slid(source, stride, self.nodes[source].shape[3])
        return self._append(Node("max_pool", [source], shape, window=window, stride=stride))

    def add(self, one: int, other: int, activation: str | None = None) -> int:
        """The sum of two values of one shape."""
        return self._append(Node("add", [one, other], self.nodes[one].shape, activation=activation))

    def mean(self, source: int) -> int:
        """The mean of each channel: [1, channels]."""
        batch, _, _, channels = self.nodes[source].shape
        return self._append(Node("mean", [source], (batch, channels)))

    def dense(self, source: int, channels: int) -> int:
        """A fully connected layer."""
        batch, depth = self.nodes[source].shape
        weights, bias = self._draw((channels, depth), gain=1)
        return self._append(Node("dense", [source], (batch, channels), weights, bias))

    def matmul(self, one: int, other: int) -> int:
        """The product of two matrices."""
        rows, columns = self.nodes[one].shape[0], self.nodes[other].shape[1]
        return self._append(Node("matmul", [one, other], (rows, columns)))

    def inputs(self) -> list[int]:
        """The inputs."""
        return [index for index, node in enumerate(self.nodes) if node.kind == "input"]

    def _window(self, kind: str, source: int, filters: Shape, stride: int, activation: str | None) -> int:
        weights, bias = self._draw(filters, gain=2 if activation else 1)
        shape = self._slid(source, stride, filters[0])
        return self._append(Node(kind, [source], shape, weights, bias, filters[1], stride, activation))

    def _slid(self, source: int, stride: int, channels: int) -> Shape:
        batch, height, width, _ = self.nodes[source].shape
        return (batch, -(-height // stride), -(-width // stride), channels)

    def _draw(self, shape: Shape, gain: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights that keep the variance of what they are applied to (`gain` is 2 before a ReLU), and small biases."""
        deviation = math.sqrt(gain / math.prod(shape[1:]))
        weights = self._generator.normal(0, deviation, shape)
        return weights.astype(np.float32), self._generator.normal(0, 0.1, shape[:1]).astype(np.float32)

    def _append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1
