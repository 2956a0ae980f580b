"""Small TFLite networks whose arithmetic changes on the way: integers then floats, 8 bits then 16 and back.

Each builds a `Chain`, in which an operator reads what the one before it wrote.
"""

from collections.abc import Iterator

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
from suite import Case, Tensor
from tflite_file import FILE_IDENTIFIER, FILE_VERSION, File, Quantization, options_table, run
from tflite_file import Operator as Node

TOLERANCE = 1e-5  # of floats behind integers, which are exact
VALID, RELU = schema.Padding.VALID, schema.ActivationFunctionType.RELU


class Chain:
    """A network under construction, from one input of integers."""

    def __init__(self, generator: np.random.Generator, shape: tuple[int, ...], quantization: Quantization) -> None:
        self.generator, self.file = generator, File()
        self.codes: list[schema.OperatorCodeT] = []
        self.nodes: list[schema.OperatorT] = []
        self.last = self.file.tensor("input", "int8", shape, None, quantization)
        self.file.graph.inputs.append(self.last)
        self.input = generator.integers(-128, 127, shape, endpoint=True).astype(np.int8)

    def constant(self, values: np.ndarray, quantization: Quantization | None = None) -> int:
        name = f"constant{len(self.file.graph.tensors)}"
        return self.file.tensor(name, values.dtype.name, values.shape, values.tobytes(), quantization)

    def then(
        self,
        node: Node,
        dtype: str,
        shape: tuple[int, ...],
        quantization: Quantization | None = None,
        constants: tuple[int, ...] = (),
    ) -> None:
        """The operator on what was written last, and constants behind it."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, node.code)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = node.version
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        operator.inputs = [self.last, *constants]
        self.last = self.file.tensor(f"value{len(self.nodes)}", dtype, shape, None, quantization)
        operator.outputs = [self.last]
        if node.options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, node.options)
            operator.builtinOptions = options_table(node)
        self.codes.append(code)
        self.nodes.append(operator)

    def weights(self, shape: tuple[int, ...], scale: float, bias: str, input_scale: float) -> tuple[int, int]:
        """Per-channel weights, and a bias of integers of type `bias` at the scale of the sums."""
        channels = shape[0]
        scales = [float(np.float32(scale * (1 + c / 4))) for c in range(channels)]
        values = self.generator.integers(-127, 127, shape, endpoint=True).astype(np.int8)
        sums = Quantization([float(np.float32(s * input_scale)) for s in scales], [0] * channels)
        biases = self.generator.integers(-900, 900, channels).astype(bias)
        return self.constant(values, Quantization(scales, [0] * channels)), self.constant(biases, sums)

    def finish(self, name: str) -> Case:
        self.file.graph.operators, self.file.graph.outputs = self.nodes, [self.last]
        model = schema.ModelT()
        model.version, model.description = FILE_VERSION, name
        model.operatorCodes, model.subgraphs, model.buffers = self.codes, [self.file.graph], self.file.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        data = bytes(builder.Output())
        [(output, value)] = run(name, data, {"input": self.input}).items()

        def row(name: str, value: np.ndarray) -> list[Tensor]:
            return [Tensor(name, value.dtype.name, list(value.shape), value)]

        operators = sorted({code.builtinCode for code in self.codes})
        names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
        return Case(
            name=name,
            model=data,
            operators=[names[number] for number in operators],
            opset=None,
            inputs=row("input", self.input),
            outputs=row(output, value),
            rtol=TOLERANCE,
            atol=TOLERANCE,
        )


def convolution(activation: int = RELU, version: int = 3) -> Node:
    fields = {"padding": VALID, "strideH": 1, "strideW": 1, "fusedActivationFunction": activation}
    return Node("", "CONV_2D", [], "Conv2DOptions", fields, version=version)


def float_head(seed: int) -> Case:
    """A convolution of integers, and a classifier of floats behind it."""
    chain = Chain(np.random.default_rng(seed), (1, 5, 4, 3), Quantization([0.05], [-3]))
    body = Quantization([0.4], [-128])
    chain.then(convolution(), "int8", (1, 4, 3, 6), body, chain.weights((6, 2, 2, 3), 0.01, "int32", 0.05))
    chain.then(Node("", "DEQUANTIZE", [], version=2), "float32", (1, 4, 3, 6))
    dense = chain.constant(chain.generator.standard_normal((5, 72)).astype(np.float32) / 8)
    bias = chain.constant(chain.generator.standard_normal(5).astype(np.float32))
    fields = {"fusedActivationFunction": schema.ActivationFunctionType.NONE}
    head = Node("", "FULLY_CONNECTED", [], "FullyConnectedOptions", fields)
    chain.then(head, "float32", (1, 5), None, (dense, bias))
    chain.then(Node("", "SOFTMAX", [], "SoftmaxOptions", {"beta": 1.0}), "float32", (1, 5))
    return chain.finish(f"mixed_float_head_{seed}")


def wide_middle(seed: int) -> Case:
    """8 bits, then a convolution of 16-bit activations, then 8 bits again."""
    chain = Chain(np.random.default_rng(seed), (1, 6, 5, 2), Quantization([0.03], [7]))
    first, wide, last = Quantization([0.2], [-20]), Quantization([0.001], [0]), Quantization([0.25], [11])
    chain.then(convolution(), "int8", (1, 5, 4, 4), first, chain.weights((4, 2, 2, 2), 0.02, "int32", 0.03))
    chain.then(Node("", "QUANTIZE", [], "QuantizeOptions", version=2), "int16", (1, 5, 4, 4), wide)
    weights = chain.weights((3, 2, 2, 4), 0.01, "int64", 0.001)
    chain.then(convolution(version=4), "int16", (1, 4, 3, 3), wide, weights)
    chain.then(Node("", "QUANTIZE", [], "QuantizeOptions", version=2), "int8", (1, 4, 3, 3), last)
    chain.then(convolution(), "int8", (1, 3, 2, 2), first, chain.weights((2, 2, 2, 3), 0.02, "int32", 0.25))
    return chain.finish(f"mixed_wide_middle_{seed}")


def cases() -> Iterator[Case]:
    """All networks, run."""
    for seed in range(10):
        yield float_head(seed)
        yield wide_middle(seed)
