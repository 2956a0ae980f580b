"""Writes single-operator float32 .tflite files, and a few networks of integers and floats, with what TFLite's reference kernels compute,
as `suite` describes.

    .cache/python/bin/python tests/conformance/dump_tflite_operator_tests.py [.cache/conformance/tflite]

A case's random numbers are seeded by its name: adding one leaves the others as they are.
"""

import itertools
import sys
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import mixed_networks
import numpy as np
from ai_edge_litert.schema_py_generated import ActivationFunctionType, MirrorPadMode, Padding
from suite import Case, Tensor, write_suite
from tflite_file import TENSOR_TYPES, Draw, Input, Operator, Parameter, Weight, build, normal

PADDINGS = {"same": Padding.SAME, "valid": Padding.VALID}
ACTIVATIONS = {
    "none": ActivationFunctionType.NONE,
    "relu": ActivationFunctionType.RELU,
    "relu_n1_to_1": ActivationFunctionType.RELU_N1_TO_1,
    "relu6": ActivationFunctionType.RELU6,
}
# What float sums in another order stay within: 1e-5 of the value, or absolutely below 1.
TOLERANCE = 1e-5

Cases = Iterator[Operator]


def positive(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Where logarithms, roots and powers are defined."""
    return generator.uniform(0.1, 4.0, shape).astype(np.float32)


def wide(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Far beyond what activations clamp to, on both sides."""
    return (20 * generator.standard_normal(shape)).astype(np.float32)


def away_from_zero(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Divisors: both signs, none near zero."""
    return (generator.uniform(0.5, 3.0, shape) * generator.choice([-1, 1], shape)).astype(np.float32)


def integers(*values: int, dtype: type = np.int32) -> Parameter:
    """A constant vector."""
    return Parameter(np.array(values, dtype))


def scalar(value: float, dtype: type = np.int32) -> Parameter:
    """A constant of rank 0."""
    return Parameter(np.array(value, dtype))


def spelled(values: tuple[int, ...]) -> str:
    """Numbers as part of a name: (1, -2) is 1_m2, () is scalar."""
    return "_".join(f"m{-value}" if value < 0 else str(value) for value in values) or "scalar"


def window(padding: str, stride: tuple[int, int], activation: str = "none") -> dict:
    """The option fields that convolutions and pools share; a stride is (height, width)."""
    return {
        "padding": PADDINGS[padding],
        "strideH": stride[0],
        "strideW": stride[1],
        "fusedActivationFunction": ACTIVATIONS[activation],
    }


def dilated(dilation: tuple[int, int]) -> dict:
    """The dilation fields, (height, width)."""
    return {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}


def conv_2d() -> Cases:
    """Filters are [output channel, height, width, input channel]."""

    def case(name, image, filter_shape, fields, filter_kind=Weight):
        operands = [Input(image), filter_kind(filter_shape), Weight(filter_shape[:1])]
        return Operator(f"conv_2d_{name}", "CONV_2D", operands, "Conv2DOptions", fields)

    strides, dilations = ((1, 1), (2, 2), (1, 2), (3, 2)), ((1, 1), (2, 2), (3, 1))
    for padding, stride, dilation in itertools.product(PADDINGS, strides, dilations):
        fields = window(padding, stride) | dilated(dilation)
        yield case(
            f"{padding}_stride_{spelled(stride)}_dilation_{spelled(dilation)}", (1, 9, 8, 3), (5, 3, 3, 3), fields
        )
    for padding, kernel in itertools.product(PADDINGS, ((1, 1), (2, 2), (1, 4), (5, 2), (8, 8))):
        fields = window(padding, (2, 2))
        yield case(f"{padding}_kernel_{spelled(kernel)}", (1, 8, 8, 2), (3, *kernel, 2), fields)
    for activation in ACTIVATIONS:
        yield case(f"activation_{activation}", (1, 6, 6, 4), (4, 3, 3, 4), window("same", (1, 1), activation))
    yield case("batch_3", (3, 5, 4, 2), (3, 3, 3, 2), window("same", (1, 1)))
    yield case("groups_2", (1, 5, 5, 6), (4, 3, 3, 3), window("same", (1, 1)))
    yield case("groups_3_stride_2", (1, 6, 6, 6), (6, 2, 2, 2), window("valid", (2, 2)))
    yield case("filter_input", (1, 5, 5, 3), (4, 3, 3, 3), window("same", (1, 1)), filter_kind=Input)
    yield case("height_1", (1, 1, 12, 2), (3, 1, 5, 2), window("same", (1, 2)))
    yield case("stride_beyond_kernel", (1, 7, 7, 2), (3, 1, 1, 2), window("valid", (3, 3)))


def depthwise_conv_2d() -> Cases:
    """Filters are [1, height, width, channel * multiplier]."""

    def case(name, image, kernel, multiplier, fields, bias=True):
        channels = image[3] * multiplier
        operands = [Input(image), Weight((1, *kernel, channels))] + [Weight((channels,))] * bias
        fields = fields | {"depthMultiplier": multiplier}
        return Operator(f"depthwise_conv_2d_{name}", "DEPTHWISE_CONV_2D", operands, "DepthwiseConv2DOptions", fields)

    for padding, stride, multiplier in itertools.product(PADDINGS, ((1, 1), (2, 2), (1, 2)), (1, 2, 3)):
        name = f"{padding}_stride_{spelled(stride)}_multiplier_{multiplier}"
        yield case(name, (1, 8, 7, 3), (3, 3), multiplier, window(padding, stride))
    for padding, dilation in itertools.product(PADDINGS, ((2, 2), (1, 3))):
        name = f"{padding}_dilation_{spelled(dilation)}"
        yield case(name, (1, 9, 9, 4), (3, 3), 1, window(padding, (1, 1)) | dilated(dilation))
    for activation in ACTIVATIONS:
        yield case(f"activation_{activation}", (1, 6, 6, 4), (3, 3), 1, window("same", (1, 1), activation))
    for kernel in ((1, 1), (5, 5), (2, 4), (6, 6)):
        yield case(f"kernel_{spelled(kernel)}", (1, 6, 6, 2), kernel, 1, window("same", (2, 2)))
    yield case("one_channel_multiplier_8", (1, 7, 5, 1), (4, 3), 8, window("same", (2, 2)))
    yield case("batch_2", (2, 5, 5, 3), (3, 3), 1, window("valid", (1, 1)))
    yield case("no_bias", (1, 5, 5, 3), (3, 3), 1, window("same", (1, 1)), bias=False)


def transpose_conv() -> Cases:
    """Inputs are the output's shape, filters [output channel, height, width, input channel], the image and a bias."""

    def case(name, image, kernel, channels, output, fields, bias):
        operands = [integers(image[0], *output, channels), Weight((channels, *kernel, image[3])), Input(image)]
        operands += [Weight((channels,))] * bias
        return Operator(f"transpose_conv_{name}", "TRANSPOSE_CONV", operands, "TransposeConvOptions", fields)

    for stride, kernel, bias in itertools.product(((1, 1), (2, 2), (3, 2)), ((3, 3), (2, 2), (4, 3)), (False, True)):
        name = f"stride_{spelled(stride)}_kernel_{spelled(kernel)}{'_bias' if bias else ''}"
        same = (5 * stride[0], 4 * stride[1])
        valid = (4 * stride[0] + max(kernel[0], stride[0]), 3 * stride[1] + max(kernel[1], stride[1]))
        yield case(f"same_{name}", (1, 5, 4, 3), kernel, 2, same, window("same", stride), bias)
        yield case(f"valid_{name}", (1, 5, 4, 3), kernel, 2, valid, window("valid", stride), bias)
    yield case("same_odd_output", (1, 4, 4, 2), (3, 3), 3, (7, 7), window("same", (2, 2)), True)
    yield case("batch_2", (2, 3, 3, 2), (3, 3), 3, (6, 6), window("same", (2, 2)), True)
    for activation in ACTIVATIONS:
        yield case(
            f"activation_{activation}", (1, 3, 3, 2), (3, 3), 3, (6, 6), window("same", (2, 2), activation), True
        )


def fully_connected() -> Cases:
    """Weights are [output, input]; without keep_num_dims the result has rank 2."""

    def case(name, shape, units, keep=False, activation="none", bias=True, weights=Weight):
        operands = [Input(shape), weights((units, shape[-1])), Weight((units,)) if bias else None]
        fields = {"fusedActivationFunction": ACTIVATIONS[activation], "keepNumDims": keep}
        return Operator(f"fully_connected_{name}", "FULLY_CONNECTED", operands, "FullyConnectedOptions", fields)

    for shape, keep in itertools.product(((1, 7), (3, 7), (2, 3, 5), (2, 3, 2, 4)), (False, True)):
        yield case(f"{spelled(shape)}{'_keep_num_dims' if keep else ''}", shape, 6, keep)
    for activation in ACTIVATIONS:
        yield case(f"activation_{activation}", (2, 8), 9, activation=activation)
    yield case("no_bias", (2, 8), 5, bias=False)
    yield case("weights_input", (2, 8), 5, weights=Input)
    yield case("one_unit", (1, 33), 1)
    operands = [Input((2, 2, 2, 3)), Weight((5, 12)), Weight((5,))]  # the weights' width gathers the inner axes
    yield Operator("fully_connected_flattened", "FULLY_CONNECTED", operands, "FullyConnectedOptions")


BROADCASTS = (
    ((2, 3, 4), (2, 3, 4)),
    ((2, 3, 4), ()),
    ((), (2, 3, 4)),
    ((2, 3, 4), (4,)),
    ((1, 4, 5, 3), (1, 1, 1, 3)),
    ((1, 4, 5, 3), (4, 1, 1)),
    ((2, 1, 5, 1), (1, 4, 1, 3)),
    ((3, 1), (1, 1, 4)),
)
# Operator, its options table, whether it has a fused activation, and what its two operands are drawn from.
BINARY = (
    ("ADD",                "AddOptions",               True,  normal,   normal),
    ("SUB",                "SubOptions",               True,  normal,   normal),
    ("MUL",                "MulOptions",               True,  normal,   normal),
    ("DIV",                "DivOptions",               True,  normal,   away_from_zero),
    ("POW",                "PowOptions",               False, positive, normal),
    ("MINIMUM",            "MaximumMinimumOptions",    False, normal,   normal),
    ("MAXIMUM",            "MaximumMinimumOptions",    False, normal,   normal),
    ("SQUARED_DIFFERENCE", "SquaredDifferenceOptions", False, normal,   normal),
)  # fmt: skip


def binary() -> Cases:
    """Elementwise operators of two operands, with every kind of broadcasting and fused activation."""
    for code, options, fused, first, second in BINARY:

        def case(name, left, right, activation="none", first=first, right_kind=Input):
            operands = [Input(left, first), right_kind(right, second)]
            fields = {"fusedActivationFunction": ACTIVATIONS[activation]} if fused else {}
            return Operator(f"{code.lower()}_{name}", code, operands, options, fields)

        for left, right in BROADCASTS:
            yield case(f"{spelled(left)}_with_{spelled(right)}", left, right)
        yield case("constant", (1, 4, 4, 3), (3,), right_kind=Weight)
        for activation in ACTIVATIONS if fused else ():
            yield case(f"activation_{activation}", (1, 3, 3, 2), (1, 3, 3, 2), activation, wide)


# Operator, its options table and fields, a name for them, and what its operand is drawn from.
UNARY = (
    ("RELU",         None,               {},                     "",            normal),
    ("RELU6",        None,               {},                     "",            normal),
    ("RELU_N1_TO_1", None,               {},                     "",            normal),
    ("LEAKY_RELU",   "LeakyReluOptions", {"alpha": 0.25},        "",            normal),
    ("LEAKY_RELU",   "LeakyReluOptions", {"alpha": -1.5},        "_negative",   normal),
    ("LOGISTIC",     None,               {},                     "",            normal),
    ("TANH",         None,               {},                     "",            normal),
    ("HARD_SWISH",   "HardSwishOptions", {},                     "",            normal),
    ("ELU",          None,               {},                     "",            normal),
    ("GELU",         "GeluOptions",      {"approximate": False}, "",            normal),
    ("GELU",         "GeluOptions",      {"approximate": True},  "_approximate", normal),
    ("EXP",          "ExpOptions",       {},                     "",            normal),
    ("LOG",          None,               {},                     "",            positive),
    ("SQRT",         None,               {},                     "",            positive),
    ("RSQRT",        None,               {},                     "",            positive),
    ("SQUARE",       "SquareOptions",    {},                     "",            normal),
    ("ABS",          "AbsOptions",       {},                     "",            normal),
    ("NEG",          "NegOptions",       {},                     "",            normal),
)  # fmt: skip


def unary() -> Cases:
    """Elementwise operators of one operand, and PRELU with its slopes."""
    for code, options, fields, suffix, draw in UNARY:
        for shape in ((17,), (1, 3, 5, 4)):
            name = f"{code.lower()}{suffix}_{spelled(shape)}"
            yield Operator(name, code, [Input(shape, draw)], options, fields)
    for slope in ((4,), (1, 1, 4), (3, 5, 4), (3, 1, 1)):
        yield Operator(f"prelu_{spelled(slope)}", "PRELU", [Input((2, 3, 5, 4)), Weight(slope)])


def pools() -> Cases:
    """Average pooling counts the cells inside the image only."""
    for code in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):

        def case(name, image, kernel, fields, draw=normal):
            fields = fields | {"filterHeight": kernel[0], "filterWidth": kernel[1]}
            return Operator(f"{code.lower()}_{name}", code, [Input(image, draw)], "Pool2DOptions", fields)

        kernels, strides = ((2, 2), (3, 3), (3, 2), (1, 1)), ((1, 1), (2, 2), (1, 3))
        for padding, kernel, stride in itertools.product(PADDINGS, kernels, strides):
            name = f"{padding}_kernel_{spelled(kernel)}_stride_{spelled(stride)}"
            yield case(name, (1, 7, 8, 3), kernel, window(padding, stride))
        for activation in ACTIVATIONS:
            yield case(f"activation_{activation}", (1, 6, 6, 2), (1, 2), window("valid", (1, 2), activation), wide)
        yield case("whole_image", (1, 5, 4, 3), (5, 4), window("valid", (1, 1)))
        yield case("batch_2", (2, 5, 5, 2), (2, 2), window("same", (2, 2)))


def softmax() -> Cases:
    """Over the last axis."""
    for shape, beta in itertools.product(((6,), (3, 6), (2, 3, 5), (1, 3, 2, 4)), (1.0, 0.5)):
        name = f"softmax_{spelled(shape)}{'_beta_half' if beta != 1.0 else ''}"
        yield Operator(name, "SOFTMAX", [Input(shape)], "SoftmaxOptions", {"beta": beta})
    yield Operator("softmax_wide", "SOFTMAX", [Input((4, 9), wide)], "SoftmaxOptions", {"beta": 1.0})


REDUCED_AXES = (
    ((2, 3, 4, 5), (1, 2)),
    ((2, 3, 4, 5), (3,)),
    ((2, 3, 4, 5), (0, -1)),
    ((2, 3, 4, 5), (-2,)),
    ((2, 3, 4, 5), (0, 1, 2, 3)),
    ((2, 3, 4), (1, 1)),
    ((7,), (0,)),
)


def reductions() -> Cases:
    """Axes may be negative and repeated."""
    for code in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
        for (shape, axes), keep in itertools.product(REDUCED_AXES, (False, True)):
            name = f"{code.lower()}_{spelled(shape)}_axes_{spelled(axes)}{'_keep_dims' if keep else ''}"
            yield Operator(name, code, [Input(shape), integers(*axes)], "ReducerOptions", {"keepDims": keep})
        operands = [Input((3, 4)), scalar(1)]
        yield Operator(f"{code.lower()}_scalar_axis", code, operands, "ReducerOptions", {"keepDims": False})


def shapes() -> Cases:
    """Operators that keep the elements in order, and TRANSPOSE."""
    for before, after in (((2, 3, 4), (6, 4)), ((2, 3, 4), (-1,)), ((2, 3, 4), (4, -1, 1, 2)), ((1, 1), ())):
        name = f"reshape_{spelled(before)}_to_{spelled(after)}"
        operands = [Input(before), Parameter(np.array(after, np.int32))]
        yield Operator(name, "RESHAPE", operands, "ReshapeOptions", {"newShape": list(after)})
    yield Operator("reshape_by_option", "RESHAPE", [Input((2, 6))], "ReshapeOptions", {"newShape": [3, 4]})
    for shape, axes in (((1, 3, 1, 4), ()), ((1, 3, 1, 4), (0,)), ((1, 3, 1, 4), (-2,)), ((1, 1, 4), (1, 0))):
        name = f"squeeze_{spelled(shape)}_axes_{spelled(axes) if axes else 'all'}"
        yield Operator(name, "SQUEEZE", [Input(shape)], "SqueezeOptions", {"squeezeDims": list(axes)})
    for axis in (0, 2, -1, -3):
        operands = [Input((3, 4)), scalar(axis)]
        yield Operator(f"expand_dims_{spelled((axis,))}", "EXPAND_DIMS", operands, "ExpandDimsOptions")
    orders = [*itertools.permutations(range(3)), (1, 0), (0, 3, 1, 2), (0, 2, 3, 1), (3, 1, 0, 2), (0, 4, 1, 3, 2)]
    for order in orders:
        operands = [Input((2, 3, 4, 5, 3)[: len(order)]), integers(*order)]
        yield Operator(f"transpose_{spelled(order)}", "TRANSPOSE", operands, "TransposeOptions")


def pads() -> Cases:
    """Paddings are [axis, before and after]."""
    paddings = (
        ((5,), ((2, 1),)),
        ((3, 4), ((0, 2), (1, 0))),
        ((1, 4, 3, 2), ((0, 0), (1, 2), (2, 1), (0, 0))),
        ((2, 3, 4, 2), ((1, 0), (0, 0), (0, 1), (2, 1))),
    )
    for (shape, amounts), dtype in itertools.product(paddings, (np.int32, np.int64)):
        amounts = Parameter(np.array(amounts, dtype))
        name = f"{spelled(shape)}_{dtype.__name__}"
        yield Operator(f"pad_{name}", "PAD", [Input(shape), amounts], "PadOptions")
        value = Parameter(np.array(-1.5, np.float32))
        yield Operator(f"padv2_{name}", "PADV2", [Input(shape), amounts, value], "PadV2Options")
    mirrored = (((4, 5), ((2, 1), (3, 4))), ((1, 4, 3, 2), ((0, 0), (1, 2), (2, 1), (0, 0))), ((6,), ((0, 5),)))
    for (shape, amounts), mode in itertools.product(mirrored, ("REFLECT", "SYMMETRIC")):
        operands = [Input(shape), Parameter(np.array(amounts, np.int32))]
        fields = {"mode": getattr(MirrorPadMode, mode)}
        name = f"mirror_pad_{mode.lower()}_{spelled(shape)}"
        yield Operator(name, "MIRROR_PAD", operands, "MirrorPadOptions", fields)


def joins() -> Cases:
    """Operators that put tensors together and take them apart."""
    for axis, extents in ((0, (1, 2)), (1, (3, 1, 2)), (2, (2, 2)), (-1, (1, 4)), (3, (5,))):
        parts = [tuple(extent if at == axis % 4 else (2, 3, 4, 5)[at] for at in range(4)) for extent in extents]
        name = f"concatenation_axis_{spelled((axis,))}_of_{len(parts)}"
        yield Operator(name, "CONCATENATION", list(map(Input, parts)), "ConcatenationOptions", {"axis": axis})
    operands = [Input((2, 3)), Weight((2, 2))]
    yield Operator("concatenation_constant", "CONCATENATION", operands, "ConcatenationOptions", {"axis": 1})
    for axis, count in ((0, 2), (1, 3), (-1, 4), (2, 1)):
        operands = [scalar(axis), Input((2, 6, 3, 4))]
        name = f"split_axis_{spelled((axis,))}_in_{count}"
        yield Operator(name, "SPLIT", operands, "SplitOptions", {"numSplits": count}, outputs=count)
    for axis, extents in ((0, (1, 3)), (1, (2, -1, 1)), (-1, (1, 1, 1))):
        operands = [Input((4, 6, 3)), integers(*extents), scalar(axis)]
        name = f"split_v_axis_{spelled((axis,))}_in_{spelled(extents)}"
        yield Operator(name, "SPLIT_V", operands, "SplitVOptions", {"numSplits": len(extents)}, outputs=len(extents))
    for axis, count in ((0, 3), (1, 2), (-1, 2), (2, 1)):
        fields = {"axis": axis, "valuesCount": count}
        name = f"pack_axis_{spelled((axis,))}_of_{count}"
        yield Operator(name, "PACK", [Input((2, 3))] * count, "PackOptions", fields)
    for axis, count in ((0, 2), (1, 3), (-1, 4)):
        fields = {"axis": axis, "num": count}
        name = f"unpack_axis_{spelled((axis,))}"
        yield Operator(name, "UNPACK", [Input((2, 3, 4))], "UnpackOptions", fields, outputs=count)


def slices() -> Cases:
    """A size of -1 reaches to the end; a mask bit stands for an axis."""
    for begin, size in (
        ((0, 0, 0), (2, 3, 4)),
        ((1, 0, 2), (1, 2, 1)),
        ((0, 1, 1), (-1, -1, 2)),
        ((1, 2, 3), (1, 1, 1)),
    ):
        operands = [Input((2, 3, 4)), integers(*begin), integers(*size)]
        yield Operator(f"slice_{spelled(begin)}_size_{spelled(size)}", "SLICE", operands, "SliceOptions")
    operands = [Input((2, 3)), integers(0, 1, dtype=np.int64), integers(2, 2, dtype=np.int64)]
    yield Operator("slice_int64", "SLICE", operands, "SliceOptions")
    strided = {
        "plain": ((0, 1, 1), (2, 3, 4), (1, 1, 2), {}),
        "negative_indices": ((-2, -3, -2), (-1, -1, 4), (1, 1, 1), {}),
        "backwards": ((1, 2, 3), (-3, -4, -5), (-1, -1, -2), {}),
        "beyond_the_end": ((0, 0, 0), (9, 9, 9), (1, 2, 3), {}),
        "begin_mask": ((1, 2, 3), (2, 3, 4), (1, 1, 1), {"beginMask": 0b101}),
        "end_mask": ((1, 1, 1), (1, 2, 2), (1, 1, 1), {"endMask": 0b110}),
        "masks_backwards": ((0, 0, 0), (0, 0, 0), (-1, 1, -1), {"beginMask": 0b111, "endMask": 0b111}),
        "shrink": ((1, 0, -1), (2, 3, 4), (1, 1, 1), {"shrinkAxisMask": 0b101}),
        "ellipsis": ((0, 1), (0, 3), (1, 1), {"ellipsisMask": 0b01}),
        "new_axis": ((0, 0, 1), (0, 2, 3), (1, 1, 1), {"newAxisMask": 0b001}),
        "fewer_axes": ((1,), (2,), (1,), {}),
    }
    for name, (begin, end, strides, fields) in strided.items():
        operands = [Input((2, 3, 4)), integers(*begin), integers(*end), integers(*strides)]
        yield Operator(f"strided_slice_{name}", "STRIDED_SLICE", operands, "StridedSliceOptions", fields)
    gathered = {
        "axis_0": ((4, 3), (2, 0, 2), 0, 0),
        "axis_1": ((2, 5, 3), (4, 1), 1, 0),
        "axis_last": ((2, 3, 4), (3, 3, 0), -1, 0),
        "matrix": ((5, 2), ((0, 4), (1, 3)), 0, 0),
        "scalar": ((3, 4), 1, 0, 0),
        "batch": ((2, 4, 3), ((3, 0), (1, 1)), 1, 1),
    }
    for (name, (shape, taken, axis, batch)), dtype in itertools.product(gathered.items(), (np.int32, np.int64)):
        operands = [Input(shape), Parameter(np.array(taken, dtype))]
        fields = {"axis": axis, "batchDims": batch}
        yield Operator(f"gather_{name}_{dtype.__name__}", "GATHER", operands, "GatherOptions", fields)
    indices = Input((3,), lambda generator, shape: generator.integers(0, 4, shape).astype(np.int32))
    yield Operator("gather_index_input", "GATHER", [Input((4, 3)), indices], "GatherOptions", {"axis": 0})


def casts() -> Cases:
    """Between float32 and every other type, and between integers; floats lie within the narrowest target."""

    def draw_for(source: str, target: str) -> Draw:
        if "bool" in (source, target):
            return lambda generator, shape: generator.integers(0, 3, shape).astype(source)
        low = 0 if "u" in source + target else -100
        return lambda generator, shape: generator.uniform(low, 100, shape).round(1).astype(source)

    types = [dtype for dtype in TENSOR_TYPES if dtype != "int4"]
    pairs = [("float32", other) for other in types] + [(other, "float32") for other in types]
    pairs += [("int32", "int64"), ("int64", "int32"), ("int8", "int32"), ("uint8", "int16"), ("bool", "int32")]
    for source, target in dict.fromkeys(pairs):
        fields = {"inDataType": TENSOR_TYPES[source], "outDataType": TENSOR_TYPES[target]}
        operands = [Input((3, 5), draw_for(source, target))]
        yield Operator(f"cast_{source}_to_{target}", "CAST", operands, "CastOptions", fields, output_dtype=target)


def batch_matmul() -> Cases:
    """Matrices in the last two axes, each possibly adjoint, the axes before broadcast."""
    for adjoint_left, adjoint_right in itertools.product((False, True), repeat=2):
        left, right = (4, 3) if adjoint_left else (3, 4), (5, 4) if adjoint_right else (4, 5)
        fields = {"adjX": adjoint_left, "adjY": adjoint_right}
        suffix = f"{'_adj_x' if adjoint_left else ''}{'_adj_y' if adjoint_right else ''}"
        for before_left, before_right in (((), ()), ((2,), (2,)), ((2, 1), (3,)), ((1, 2), (3, 1))):
            name = f"batch_matmul{suffix}_{spelled(before_left)}_with_{spelled(before_right)}"
            operands = [Input(before_left + left), Input(before_right + right)]
            yield Operator(name, "BATCH_MATMUL", operands, "BatchMatMulOptions", fields)
    operands = [Input((2, 3, 4)), Weight((4, 5))]
    yield Operator("batch_matmul_constant", "BATCH_MATMUL", operands, "BatchMatMulOptions")


def resizes() -> Cases:
    """Larger and smaller, by whole factors and others, from corner to corner and by half pixels."""
    modes = {"": {}, "_corners": {"alignCorners": True}, "_half_pixel": {"halfPixelCenters": True}}
    for code, (suffix, fields) in itertools.product(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), modes.items()):
        options = "ResizeBilinearOptions" if code == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
        for image, size in (((4, 5), (8, 10)), ((6, 4), (3, 2)), ((3, 7), (5, 4)), ((1, 3), (2, 9)), ((5, 5), (1, 1))):
            name = f"{code.lower()}{suffix}_{spelled(image)}_to_{spelled(size)}"
            operands = [Input((2, *image, 3)), integers(*size)]
            yield Operator(name, code, operands, options, fields)


def positions() -> Cases:
    """The largest and smallest along an axis."""
    for code, options in (("ARG_MAX", "ArgMaxOptions"), ("ARG_MIN", "ArgMinOptions")):
        for axis, dtype in itertools.product((0, 1, -1), ("int32", "int64")):
            name = f"{code.lower()}_axis_{spelled((axis,))}_{dtype}"
            operands = [Input((3, 5, 4)), scalar(axis)]
            fields = {"outputType": TENSOR_TYPES[dtype]}
            yield Operator(name, code, operands, options, fields, output_dtype=dtype)


FAMILIES = (
    conv_2d, depthwise_conv_2d, transpose_conv, fully_connected, binary, unary, pools, softmax, reductions,
    shapes, pads, joins, slices, casts, batch_matmul, resizes, positions,
)  # fmt: skip


def tensors(values: dict[str, np.ndarray]) -> list[Tensor]:
    """Named arrays as rows of the index."""
    return [Tensor(name, value.dtype.name, list(value.shape), value) for name, value in values.items()]


def cases() -> Iterator[Case]:
    """All cases, run."""
    for operator in itertools.chain.from_iterable(family() for family in FAMILIES):
        try:
            built = build(operator, np.random.default_rng(zlib.crc32(operator.name.encode())))
        except (RuntimeError, ValueError) as error:
            raise SystemExit(f"{operator.name}: {error}") from error
        if not all(np.isfinite(value).all() for value in built.outputs.values()):
            raise SystemExit(f"{operator.name}: an output is not finite")
        yield Case(
            name=operator.name,
            model=built.data,
            operators=[operator.code],
            opset=None,
            inputs=tensors(built.inputs),
            outputs=tensors(built.outputs),
            rtol=TOLERANCE,
            atol=TOLERANCE,
        )
    yield from mixed_networks.cases()


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else root / ".cache/conformance/tflite"
    count = write_suite(folder, f"LiteRT {version('ai-edge-litert')}, BUILTIN_REF", "model.tflite", cases())
    print(f"{count} TFLite operator tests in {folder}")


if __name__ == "__main__":
    main()
