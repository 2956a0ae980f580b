"""Writes random cases of ONNX's operators on quantized tensors and what ONNX Runtime computes, as `suite` describes.

    .cache/python/bin/python tests/conformance/dump_onnx_quantized_tests.py [.cache/conformance/onnx_quantized]

A file holds NODES independent nodes of one operator, so that a compiler is started once for all of them; an operator has
FILES files. Types, shapes, scales, zero points and attributes are random, seeded by the file's name. In one file of five,
scales and zero points are graph inputs. The example network, quantized in four ways, comes on top.

Signed weights stay within 7 bits, as ONNX Runtime itself advises: its kernels add pairs of products in 16 bits, which
saturate, on processors that lack instructions for the products of bytes.
"""

import dataclasses
import itertools
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from quantized_network import networks
from suite import Case, Tensor, write_suite

FILES = 10
NODES = 20
OPSETS = (("", 21), ("com.microsoft", 1))
IR_VERSION = 10  # of opset 21
MICROSOFT = "com.microsoft"
BYTES = (np.uint8, np.int8)


@dataclasses.dataclass
class Given:
    """A tensor that a node reads: a graph input, a constant, or what is a constant in four files of five."""

    value: np.ndarray
    kind: str


@dataclasses.dataclass
class Node:
    """One random node."""

    operator: str
    inputs: list[Given | None]
    outputs: list[type]
    attributes: dict = dataclasses.field(default_factory=dict)
    domain: str = ""


class Random:
    """Random operands; one generator for a whole file."""

    def __init__(self, name: str) -> None:
        self.generator = np.random.default_rng(zlib.crc32(name.encode()))

    def choose(self, *options):
        """One of the options, all as likely."""
        return options[self.generator.integers(len(options))]

    def extent(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        return int(self.generator.integers(low, high + 1))

    def shape(self, rank: int, high: int = 7) -> tuple[int, ...]:
        """So many extents up to `high`."""
        return tuple(self.extent(1, high) for _ in range(rank))

    def integers(self, dtype: type, shape: tuple[int, ...], kind: str = "input") -> Given:
        """Any integers of the type; signed weights have 7 bits."""
        limits = np.iinfo(dtype)
        low, high = (-64, 63) if kind == "weight" and dtype == np.int8 else (limits.min, limits.max)
        values = self.generator.integers(low, high, shape, dtype=np.int64, endpoint=True)
        return Given(values.astype(dtype), "input" if kind == "input" else "constant")

    def scales(self, count: tuple[int, ...] = (), around: float = 0.05) -> Given:
        """Scales within a factor of four on both sides; every third a power of two, which makes ties."""
        exponents = self.generator.uniform(-2, 2, count)
        exponents = np.where(self.generator.random() < 1 / 3, np.round(exponents), exponents)
        nearest = 2.0 ** np.round(np.log2(around))
        return Given(np.asarray(nearest * 2.0**exponents, np.float32), "parameter")

    def zero_points(self, dtype: type, count: tuple[int, ...] = ()) -> Given:
        """Zero points of the type: one of its ends, zero, or anything between."""
        limits = np.iinfo(dtype)
        ends = self.choose(limits.min, 0, limits.max, None, None)
        anything = self.generator.integers(limits.min, limits.max, count, dtype=np.int64, endpoint=True)
        return Given(np.full(count, ends, dtype) if ends is not None else np.asarray(anything, dtype), "parameter")

    def quantized(self, dtype: type, shape: tuple[int, ...]) -> list[Given]:
        """Integers, their scale and their zero point."""
        return [self.integers(dtype, shape), self.scales(), self.zero_points(dtype)]

    def reals(self, shape: tuple[int, ...], scale: np.ndarray) -> Given:
        """Reals, a quarter of them half way between two multiples of the scale."""
        steps = self.generator.uniform(-300, 300, shape)
        steps = np.where(self.generator.random(shape) < 0.25, np.floor(steps) + 0.5, steps)
        return Given((steps * scale).astype(np.float32), "input")


def output(random: Random, dtype: type, around: float = 0.05) -> list[Given]:
    """An output's scale and zero point."""
    return [random.scales(around=around), random.zero_points(dtype)]


def convolution(random: Random, dtypes: tuple) -> tuple[list[Given], int, dict]:
    """Input and weights of random shapes, the number of output channels, and the attributes."""
    x_dtype, w_dtype = dtypes
    rank = random.choose(1, 2, 2, 2)
    groups = random.choose(1, 1, 2, 3)
    depthwise = random.generator.random() < 0.25
    seen = 1 if depthwise else random.extent(1, 5)
    features = groups * random.extent(1, 4)
    kernel = tuple(random.extent(1, 3) for _ in range(rank))
    strides = tuple(random.extent(1, 2) for _ in range(rank))
    dilations = tuple(random.extent(1, 2) for _ in range(rank))
    space = tuple(random.extent(6, 9) for _ in range(rank))
    attributes = {"strides": strides, "dilations": dilations, "group": groups}
    if random.generator.random() < 0.5:
        attributes["pads"] = [random.extent(0, extent - 1) for extent in kernel * 2]
    else:
        attributes["auto_pad"] = random.choose("VALID", "SAME_UPPER", "SAME_LOWER")
        attributes["dilations"] = (1,) * rank
    x = random.integers(x_dtype, (random.extent(1, 2), groups * seen, *space))
    w = random.integers(w_dtype, (features, seen, *kernel), "weight")
    return [x, w], features, attributes


def qlinear_conv(random: Random) -> Node:
    """Scales of weights per tensor or per channel; with and without a bias."""
    x_dtype, w_dtype = random.choose((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8))
    [x, w], features, attributes = convolution(random, (x_dtype, w_dtype))
    count = random.choose((), (features,))
    zero = random.zero_points(w_dtype)
    zeros = Given(np.full(count, zero.value, w_dtype), "constant")  # one for all channels: ONNX Runtime has no other
    inputs = [x, random.scales(), random.zero_points(x_dtype), w, random.scales(count, 0.01), zeros]
    inputs += output(random, x_dtype, around=0.25)
    if random.generator.random() < 0.5:
        bias = random.generator.integers(-20000, 20000, features).astype(np.int32)
        inputs.append(Given(bias, "constant"))
    return Node("QLinearConv", inputs, [x_dtype], attributes)


def conv_integer(random: Random) -> Node:
    """ONNX Runtime has it for unsigned inputs only."""
    w_dtype = random.choose(np.uint8, np.int8)
    [x, w], _, attributes = convolution(random, (np.uint8, w_dtype))
    zeros = [random.zero_points(np.uint8), random.zero_points(w_dtype)]
    return Node("ConvInteger", [x, w, *zeros[: random.extent(0, 2)]], [np.int32], attributes)


def matrices(random: Random) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shapes of two matrices, with the same dimensions before them or none before the second, and the columns."""
    rows, inner, columns = random.extent(1, 9), random.extent(1, 40), random.extent(1, 9)
    batch = random.shape(random.choose(0, 0, 1, 2), 3)
    return (*batch, rows, inner), (*(batch if random.extent(0, 1) else ()), inner, columns), columns


def qlinear_mat_mul(random: Random) -> Node:
    """Scales of the second matrix per tensor or per column."""
    a_dtype, b_dtype = random.choose((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8))
    a, b, columns = matrices(random)
    count = random.choose((), (columns,)) if len(b) == 2 else ()
    weights = [random.integers(b_dtype, b, "weight"), random.scales(count, 0.01), random.zero_points(b_dtype, count)]
    inputs = [*random.quantized(a_dtype, a), *weights, *output(random, a_dtype, around=0.25)]
    return Node("QLinearMatMul", inputs, [a_dtype])


def mat_mul_integer(random: Random) -> Node:
    """Zero points of the second matrix per tensor or per column."""
    a_dtype, b_dtype = random.choose((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8), (np.int8, np.uint8))
    a, b, columns = matrices(random)
    count = random.choose((), (columns,)) if len(b) == 2 else ()
    zeros = [random.zero_points(a_dtype), random.zero_points(b_dtype, count)]
    inputs = [random.integers(a_dtype, a), random.integers(b_dtype, b, "weight"), *zeros[: random.extent(0, 2)]]
    return Node("MatMulInteger", inputs, [np.int32])


def dynamic_quantize_linear(random: Random) -> Node:
    """Values of both signs, of one, and all zero."""
    value = random.reals(random.shape(random.extent(1, 4)), random.scales().value).value
    value = random.choose(value, value, np.abs(value), -np.abs(value), 0 * value)
    return Node("DynamicQuantizeLinear", [Given(value, "input")], [np.uint8, np.float32, np.uint8])


def parameters(random: Random, dtype: type, shape: tuple[int, ...]) -> tuple[list[Given], dict, np.ndarray]:
    """Scales and zero points for a tensor, per tensor, per index of an axis or per block of it; the attributes; and the
    scale of each element."""
    axis = random.extent(0, len(shape) - 1)
    count, attributes, block = (), {}, 1
    match random.choose("tensor", "axis", "block" if len(shape) > 1 else "axis"):
        case "axis":
            count, attributes = (shape[axis],), {"axis": axis}
        case "block":
            block = random.extent(2, 3)
            count = tuple(-(-n // block) if d == axis else n for d, n in enumerate(shape))
            attributes = {"axis": axis, "block_size": block}
    scales, zeros = random.scales(count), random.zero_points(dtype, count)
    each = scales.value
    if len(count) == 1 and "block_size" not in attributes:
        each = each.reshape([-1 if d == axis else 1 for d in range(len(shape))])
    elif count:
        each = np.repeat(each, block, axis).take(range(shape[axis]), axis)
    return [scales, *[zeros][: random.extent(0, 1) if dtype == np.uint8 else 1]], attributes, each


def quantize_linear(random: Random) -> Node:
    """To integers of 8 and 16 bits."""
    dtype, shape = random.choose(np.uint8, np.int8, np.uint16, np.int16), random.shape(random.extent(1, 4))
    given, attributes, each = parameters(random, dtype, shape)
    return Node("QuantizeLinear", [random.reals(shape, each), *given], [dtype], attributes)


def dequantize_linear(random: Random) -> Node:
    """From integers of 8, 16 and 32 bits; the latter have no zero point."""
    dtype, shape = random.choose(np.uint8, np.int8, np.uint16, np.int16, np.int32), random.shape(random.extent(1, 4))
    given, attributes, _ = parameters(random, dtype, shape)
    if dtype == np.int32:
        given = given[:1]
    return Node("DequantizeLinear", [random.integers(dtype, shape), *given], [np.float32], attributes)


def microsoft(operator: str, random: Random, inputs: list[Given], dtype: type, **attributes) -> Node:
    """A node of ONNX Runtime's own domain."""
    del random
    return Node(operator, inputs, [dtype], attributes, MICROSOFT)


def pair(operator: str, around: float) -> Callable[[Random], Node]:
    """An operator of two operands that are stretched to one shape."""

    def node(random: Random) -> Node:
        dtype, shape = random.choose(*BYTES), random.shape(random.extent(1, 4))
        other = random.choose(shape, shape[random.extent(0, len(shape) - 1) :], (1,) * len(shape))
        inputs = [*random.quantized(dtype, shape), *random.quantized(dtype, other), *output(random, dtype, around)]
        return microsoft(operator, random, inputs, dtype)

    return node


def qlinear_where(random: Random) -> Node:
    """A condition of the operands' shape."""
    dtype, shape = random.choose(*BYTES), random.shape(random.extent(1, 4))
    condition = Given(random.generator.random(shape) < 0.5, "input")
    # ONNX Runtime reads constants only, and one zero point for all.
    scales = [Given(random.scales().value, "constant") for _ in range(3)]
    zeros = [Given(random.zero_points(dtype).value, "constant") for _ in range(3)]
    x, y = random.integers(dtype, shape), random.integers(dtype, shape)
    inputs = [condition, x, scales[0], zeros[0], y, scales[1], zeros[1], scales[2], zeros[2]]
    return microsoft("QLinearWhere", random, inputs, dtype)


def qlinear_sigmoid(random: Random) -> Node:
    """To the range from zero to one."""
    dtype = random.choose(*BYTES)
    zero = Given(np.asarray(np.iinfo(dtype).min, dtype), "parameter")
    inputs = [*random.quantized(dtype, random.shape(3)), Given(np.array(1 / 256, np.float32), "parameter"), zero]
    return microsoft("QLinearSigmoid", random, inputs, dtype)


def qlinear_leaky_relu(random: Random) -> Node:
    """Slopes between 0 and 1."""
    dtype = random.choose(*BYTES)
    inputs = [*random.quantized(dtype, random.shape(3)), *output(random, dtype)]
    return microsoft("QLinearLeakyRelu", random, inputs, dtype, alpha=float(random.generator.random()))


def qlinear_softmax(random: Random) -> Node:
    """Over one axis, or over all from one on, as before operator set 13. Never over one element: its probability,
    256 / 256, wraps to zero in ONNX Runtime."""
    dtype, shape = random.choose(*BYTES), tuple(random.extent(2, 7) for _ in range(3))
    zero = Given(np.asarray(np.iinfo(dtype).min, dtype), "parameter")
    # ONNX Runtime makes a table of exponentials from the scale: it reads a constant.
    x = random.integers(dtype, shape), Given(random.scales().value, "constant"), random.zero_points(dtype)
    inputs = [*x, Given(np.array(1 / 256, np.float32), "parameter"), zero]
    opset = random.choose(12, 13)
    return microsoft("QLinearSoftmax", random, inputs, dtype, axis=random.extent(0, 2), opset=opset)


def image(random: Random, dtype: type, last: int) -> Given:
    """A batch of images with their channels first or last."""
    batch, channels, height, width = random.extent(1, 2), random.extent(1, 9), random.extent(4, 9), random.extent(4, 9)
    return random.integers(dtype, (batch, height, width, channels) if last else (batch, channels, height, width))


def qlinear_average_pool(random: Random) -> Node:
    """Windows with and without padding, which counts or does not."""
    dtype, last = random.choose(*BYTES), random.extent(0, 1)
    kernel = (random.extent(1, 3), random.extent(1, 3))
    attributes = {
        "kernel_shape": kernel,
        "strides": (random.extent(1, 2), random.extent(1, 2)),
        "pads": [random.extent(0, extent - 1) for extent in kernel * 2],
        "count_include_pad": random.extent(0, 1),
        "channels_last": last,
    }
    x = [image(random, dtype, last), random.scales(), random.zero_points(dtype)]
    return microsoft("QLinearAveragePool", random, [*x, *output(random, dtype)], dtype, **attributes)


def qlinear_global_average_pool(random: Random) -> Node:
    """Channels first and last."""
    dtype, last = random.choose(*BYTES), random.extent(0, 1)
    x = [image(random, dtype, last), random.scales(), random.zero_points(dtype)]
    return microsoft("QLinearGlobalAveragePool", random, [*x, *output(random, dtype)], dtype, channels_last=last)


def qlinear_concat(random: Random) -> Node:
    """One to four tensors; some have the output's scale."""
    dtype, shape = random.choose(*BYTES), random.shape(3)
    axis = random.extent(0, 2)
    result = output(random, dtype)
    inputs = [*result]
    for _ in range(random.extent(1, 4)):
        own = tuple(random.extent(1, 5) if d == axis else n for d, n in enumerate(shape))
        x = random.quantized(dtype, own)
        inputs += random.choose(x, [x[0], *result])
    return microsoft("QLinearConcat", random, inputs, dtype, axis=axis)


def q_gemm(random: Random) -> Node:
    """Transposed or not, with a summand or without, to integers or to reals."""
    a_dtype, b_dtype = random.choose((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8))
    rows, inner, columns = random.extent(1, 9), random.extent(1, 40), random.extent(1, 9)
    trans_a, trans_b = random.extent(0, 1), random.extent(0, 1)
    a = random.quantized(a_dtype, (inner, rows) if trans_a else (rows, inner))
    count = random.choose((), (columns,))
    b = [
        random.integers(b_dtype, (columns, inner) if trans_b else (inner, columns), "weight"),
        random.scales(count, 0.01),
        random.zero_points(b_dtype, count),
    ]
    summand = random.choose(None, (columns,), (rows, columns), (1, columns))
    c = summand and Given(random.generator.integers(-9999, 9999, summand).astype(np.int32), "constant")
    result = random.choose([], output(random, a_dtype, around=0.25))
    attributes = {"transA": trans_a, "transB": trans_b, "alpha": random.choose(1.0, 1.0, 0.37)}
    return microsoft("QGemm", random, [*a, *b, c, *result], a_dtype if result else np.float32, **attributes)


# ONNX Runtime averages dequantized floats, and rounds behind the zero point: ties may be rounded otherwise.
TIES = {"qlinear_average_pool": 0.005}

OPERATORS: dict[str, Callable[[Random], Node]] = {
    "qlinear_conv": qlinear_conv,
    "qlinear_mat_mul": qlinear_mat_mul,
    "conv_integer": conv_integer,
    "mat_mul_integer": mat_mul_integer,
    "dynamic_quantize_linear": dynamic_quantize_linear,
    "quantize_linear": quantize_linear,
    "dequantize_linear": dequantize_linear,
    "qlinear_add": pair("QLinearAdd", 0.1),
    "qlinear_mul": pair("QLinearMul", 0.25),
    "qlinear_where": qlinear_where,
    "qlinear_sigmoid": qlinear_sigmoid,
    "qlinear_leaky_relu": qlinear_leaky_relu,
    "qlinear_softmax": qlinear_softmax,
    "qlinear_average_pool": qlinear_average_pool,
    "qlinear_global_average_pool": qlinear_global_average_pool,
    "qlinear_concat": qlinear_concat,
    "q_gemm": q_gemm,
}


def info(name: str, value: np.ndarray) -> onnx.ValueInfoProto:
    """What a graph says of an input."""
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


def case(name: str, draw: Callable[[Random], Node], parameters_are_inputs: bool) -> Case:
    """One file, with what ONNX Runtime computes."""
    random = Random(name)
    inputs: dict[str, np.ndarray] = {}
    protos, constants, outputs = [], [], []
    for position in range(NODES):
        node = draw(random)
        names = []
        for number, given in enumerate(node.inputs):
            names.append("" if given is None else f"x{position}.{number}")
            if given is None:
                continue
            if given.kind == "input" or (given.kind == "parameter" and parameters_are_inputs):
                inputs[names[-1]] = given.value
            else:
                constants.append(numpy_helper.from_array(np.asarray(given.value), names[-1]))
        results = [f"y{position}.{number}" for number in range(len(node.outputs))]
        outputs += [
            helper.make_tensor_value_info(result, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
            for result, dtype in zip(results, node.outputs, strict=True)
        ]
        label = f"{node.operator}_{position}"
        protos.append(helper.make_node(node.operator, names, results, label, domain=node.domain, **node.attributes))
    graph = helper.make_graph(protos, name, [info(*item) for item in inputs.items()], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in OPSETS])
    model.ir_version = IR_VERSION
    data = model.SerializeToString(deterministic=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    expected = session.run(None, inputs)
    tensors = [Tensor(key, value.dtype.name, list(value.shape), value) for key, value in inputs.items()]
    results = [
        Tensor(proto.name, value.dtype.name, list(value.shape), value)
        for proto, value in zip(outputs, expected, strict=True)
    ]
    ties = TIES.get(name.rpartition("_")[0], 0.0)
    return Case(name, data, [node.operator], OPSETS[0][1], tensors, results, rtol=0.0, atol=0.0, ties=ties)


def main() -> None:
    onnxruntime.set_default_logger_severity(3)
    root = Path(__file__).resolve().parents[2]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else root / ".cache/conformance/onnx_quantized"
    cases = (
        case(f"{operator}_{number}", draw, parameters_are_inputs=number % 5 == 4)
        for operator, draw in OPERATORS.items()
        for number in range(FILES)
    )
    everything = itertools.chain(cases, networks())
    count = write_suite(folder, f"onnxruntime {onnxruntime.__version__}", "model.onnx", everything)
    print(f"{count} files of quantized ONNX operators in {folder}")


if __name__ == "__main__":
    main()
