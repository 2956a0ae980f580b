"""Families of quantized operators that sum products: convolutions, dense layers and products of matrices."""

import numpy as np
from ai_edge_litert.schema_py_generated import TensorType
from quantized_draws import Case, integers, output_scale
from tflite_file import Input, Operator, Quantization, Weight

# Activations, and the bias: 16-bit activations have one of 32 or of 64 bits.
KINDS = {"int8": ("int8", "int32"), "uint8": ("uint8", "int32"), "int16": ("int16", "int64"), "int16_bias32": ("int16", "int32")}


def weight(case: Case, kind: str, shape: tuple[int, ...], axis: int, packed: bool) -> Weight:
    """Symmetric weights, most of them with a scale per channel; unsigned ones have a zero point, and one scale."""
    if kind == "uint8":
        return Weight(shape, integers("uint8"), Quantization([case.between(-10, -5)], [case.zero_point("uint8")]))
    count = 1 if case.chance(3) else shape[axis]
    scales = [case.between(-6, -1) if packed else case.between(-10, -5) for _ in range(count)]
    most = 7 if packed else 127
    return Weight(shape, integers("int8", -most, most), Quantization(scales, [0] * count, axis), packed)


def sum_of(
    case: Case,
    kind: str,
    code: str,
    image: tuple[int, ...],
    weights: Weight,
    features: int,
    terms: int,
    options: tuple[str, dict],
    first: list | None = None,
) -> Operator:
    """The operator with its scales: the bias has the product of input's and weights', and may be left out."""
    dtype, bias_dtype = KINDS[kind]
    x = case.activations(dtype)
    scales = weights.quantization.scales
    own = output_scale(x.scales[0], scales, terms, case)
    product = [float(np.float32(x.scales[0]) * np.float32(scale)) for scale in scales]
    reach = {"int32": 3000, "int64": 3_000_000}[bias_dtype]
    bias = Weight((features,), integers(bias_dtype, -reach, reach), Quantization(product, [0] * len(product)))
    table, fields = options
    if dtype == "int16" and code != "DEPTHWISE_CONV_2D":
        fields = fields | {"quantizedBiasType": TensorType.INT64 if bias_dtype == "int64" else TensorType.INT32}
    operands = [Input(image, integers(dtype), x), weights]
    operands = (first or []) + (operands[::-1] if first else operands)
    if code == "CONV_2D" or kind == "int16_bias32" or not case.chance(6):
        operands.append(bias)
    elif code == "FULLY_CONNECTED":
        operands.append(None)  # only this one may name what is left out
    return Operator("", code, operands, table, fields, 1, dtype, case.output(dtype, own))


def conv_2d(case: Case, kind: str, packed: bool = False) -> Operator:
    """In groups one time in five, dilated without strides at times."""
    image, kernel, stride, padding = case.window()
    channels, features, groups = case.number(1, 6), case.number(1, 6), 1
    if case.chance(5) and kind != "uint8":
        groups = 2
        channels, features = 2 * case.number(1, 3), 2 * case.number(1, 3)
    dilation = (1, 1)
    if stride == (1, 1) or case.chance(4):
        dilation, image = (case.number(1, 2), case.number(1, 3)), tuple(3 * n for n in image)
    weights = weight(case, kind, (features, *kernel, channels // groups), 0, packed)
    fields = window_fields(case, stride, padding) | {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
    terms = kernel[0] * kernel[1] * channels // groups
    shape = (case.number(1, 2), *image, channels)
    return sum_of(case, kind, "CONV_2D", shape, weights, features, terms, ("Conv2DOptions", fields))


def depthwise_conv_2d(case: Case, kind: str, packed: bool = False) -> Operator:
    """With every multiplier up to three."""
    image, kernel, stride, padding = case.window()
    channels, multiplier = case.number(1, 6), case.number(1, 3)
    features = channels * multiplier
    weights = weight(case, kind, (1, *kernel, features), 3, packed)
    fields = window_fields(case, (stride[0], stride[0]), padding) | {"depthMultiplier": multiplier}
    if case.chance(4):
        fields |= {"strideH": 1, "strideW": 1, "dilationHFactor": 2, "dilationWFactor": 2}
        image = tuple(2 * n for n in image)
    shape, terms = (1, *image, channels), kernel[0] * kernel[1]
    options = ("DepthwiseConv2DOptions", fields)
    return sum_of(case, kind, "DEPTHWISE_CONV_2D", shape, weights, features, terms, options)


def transpose_conv(case: Case, kind: str, packed: bool = False) -> Operator:
    """The output's shape comes first, then the weights, then the image."""
    kernel, stride = (case.number(1, 4), case.number(1, 4)), (case.number(1, 3), case.number(1, 3))
    image, channels, features = (case.number(1, 5), case.number(1, 5)), case.number(1, 4), case.number(1, 4)
    padding = case.number(0, 1)
    same = tuple(n * s for n, s in zip(image, stride, strict=True))
    valid = tuple((n - 1) * s + k for n, s, k in zip(image, stride, kernel, strict=True))
    output = valid if padding else same
    weights = weight(case, kind, (features, *kernel, channels), 0, packed)
    fields = window_fields(case, stride, padding)
    first = [constant(1, *output, features)]
    shape, options = (1, *image, channels), ("TransposeConvOptions", fields)
    return sum_of(case, kind, "TRANSPOSE_CONV", shape, weights, features, 4 * channels, options, first)


def fully_connected(case: Case, kind: str, packed: bool = False) -> Operator:
    """One scale or one per feature, with leading dimensions kept or not."""
    inner, features = case.number(1, 120), case.number(1, 24)
    lead = case.shape(case.number(1, 2), 3)
    weights = weight(case, kind, (features, inner), 0, packed)
    fields = {"fusedActivationFunction": case.activation(), "keepNumDims": len(lead) > 1}
    options = ("FullyConnectedOptions", fields)
    return sum_of(case, kind, "FULLY_CONNECTED", (*lead, inner), weights, features, inner, options)


def batch_matmul(case: Case, kind: str) -> Operator:
    """Two matrices of activations, each possibly transposed."""
    dtype = KINDS[kind][0]
    rows, inner, columns = case.number(1, 5), case.number(1, 40), case.number(1, 5)
    adjoint = [case.chance(2), case.chance(2)]
    left = (inner, rows) if adjoint[0] else (rows, inner)
    right = (columns, inner) if adjoint[1] else (inner, columns)
    batch = case.one_of((((), ()), ((2,), (2,)), ((1, 2), (3, 1)), ((2,), (1,))))
    x, w = case.activations(dtype), case.activations(dtype)
    own = output_scale(x.scales[0], w.scales, inner * (1 if dtype != "int16" else 1 << 16), case)
    fields = {"adjX": adjoint[0], "adjY": adjoint[1]}
    operands = [Input(batch[0] + left, integers(dtype), x), Input(batch[1] + right, integers(dtype), w)]
    return Operator("", "BATCH_MATMUL", operands, "BatchMatMulOptions", fields, 1, dtype, case.output(dtype, own))


def window_fields(case: Case, stride: tuple[int, int], padding: int) -> dict:
    """The fields that convolutions share."""
    return {"padding": padding, "strideH": stride[0], "strideW": stride[1], "fusedActivationFunction": case.activation()}


def constant(*values: int) -> Weight:
    """A constant vector."""
    return Weight((len(values),), lambda _generator, _shape: np.array(values, np.int32))


def families() -> dict:
    """The families by name."""
    found = {}
    for make in (conv_2d, depthwise_conv_2d, transpose_conv, fully_connected):
        for kind in KINDS:
            if (make, kind) == (depthwise_conv_2d, "int16_bias32"):
                continue  # its kernel takes 64 bits only
            found[f"{make.__name__}_{kind}"] = lambda case, make=make, kind=kind: make(case, kind)
    for make in (conv_2d, depthwise_conv_2d, fully_connected):
        found[f"{make.__name__}_int4"] = lambda case, make=make: make(case, "int8", packed=True)
    for kind in ("int8", "int16"):
        found[f"batch_matmul_{kind}"] = lambda case, kind=kind: batch_matmul(case, kind)
    return found
