"""Families of quantized operators that compute each element by itself, with reductions, pools and softmax."""

import numpy as np
from quantized_draws import Case, integers
from quantized_sums import constant
from tflite_file import Input, Operator, Quantization, Weight

EIGHT_BITS = ("int8", "uint8")
ALL_TYPES = ("int8", "uint8", "int16")

# The scales that functions onto a fixed interval have, and the zero points that go with them.
UNIT = {"int8": Quantization([1 / 256], [-128]), "uint8": Quantization([1 / 256], [0]), "int16": Quantization([1 / 32768], [0])}
SIGNED_UNIT = {
    "int8": Quantization([1 / 128], [0]),
    "uint8": Quantization([1 / 128], [128]),
    "int16": Quantization([1 / 32768], [0]),
}


def every(dtype: str):
    """Every 8-bit number in a random order, or as many 16-bit ones."""
    if dtype == "int16":
        return integers(dtype)
    ends = np.iinfo(dtype)

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return generator.permutation(np.arange(ends.min, ends.max + 1)).astype(dtype).reshape(shape)

    return draw


def unary(case: Case, dtype: str, code: str, options: tuple[str, dict] | None, output: Quantization | None) -> Operator:
    """A function of one element, of all 8-bit numbers at once."""
    x = case.activations(dtype)
    y = output or case.output(dtype, x.scales[0] * case.between(-1.5, 2))
    table, fields = options or (None, {})
    return Operator("", code, [Input((4, 64), every(dtype), x)], table, fields, 1, dtype, y)


def leaky_relu(case: Case, dtype: str) -> Operator:
    """Slopes below zero and above one too."""
    alpha = float(np.float32(case.generator.uniform(-0.5, 1.5)))
    return unary(case, dtype, "LEAKY_RELU", ("LeakyReluOptions", {"alpha": alpha}), None)


def gelu(case: Case, dtype: str) -> Operator:
    """Both forms."""
    return unary(case, dtype, "GELU", ("GeluOptions", {"approximate": case.chance(2)}), None)


def exp(case: Case, dtype: str) -> Operator:
    """The output holds what the largest input gives, or is left by far."""
    operator = unary(case, dtype, "EXP", ("ExpOptions", {}), None)
    operator.quantization = case.output(dtype, case.between(-7, 0) / (256 if dtype == "int16" else 1))
    return operator


def log(case: Case, dtype: str) -> Operator:
    """Of numbers above zero."""
    operator = unary(case, dtype, "LOG", None, None)
    zero = np.iinfo(dtype).min
    operator.inputs = [Input((4, 60), integers(dtype, zero + 1), Quantization([case.scale()], [zero]))]
    operator.quantization = case.output(dtype, case.between(-6, -3))
    return operator


def hard_swish(case: Case, dtype: str) -> Operator:
    """The kernel asks for an output scale that is not far below the input's."""
    operator = unary(case, dtype, "HARD_SWISH", ("HardSwishOptions", {}), None)
    scale = operator.inputs[0].quantization.scales[0]
    operator.quantization = case.output(dtype, scale * case.between(-1, 2))
    return operator


def prelu(case: Case, dtype: str) -> Operator:
    """Slopes per channel, or for the whole image."""
    x, slope = case.activations(dtype), case.activations(dtype)
    shape = (1, *case.shape(3))
    slopes = case.one_of(((1, 1, shape[3]), shape[1:], (shape[1], 1, 1)))
    operands = [Input(shape, integers(dtype), x), Weight(slopes, integers(dtype), slope)]
    y = case.output(dtype, x.scales[0] * case.between(-1, 5))
    return Operator("", "PRELU", operands, None, {}, 1, dtype, y)


def binary(case: Case, dtype: str, code: str, options: str) -> Operator:
    """Two operands that stretch, with a fused activation; one in six is constant."""
    a, b = case.activations(dtype), case.activations(dtype)
    left, right = case.broadcast()
    scale = max(a.scales[0], b.scales[0]) * case.between(-2, 2)
    if code == "MUL":
        scale = a.scales[0] * b.scales[0] * case.between(0, 7) * (256 if dtype == "int16" else 1)
    second = (Weight if case.chance(6) else Input)(right, integers(dtype), b)
    fields = {"fusedActivationFunction": case.activation()}
    if dtype == "int16" and code in ("ADD", "SUB"):
        fields["potScaleInt16"] = False
    return Operator("", code, [Input(left, integers(dtype), a), second], options, fields, 1, dtype, case.output(dtype, scale))


def squared_difference(case: Case, dtype: str) -> Operator:
    """No activation is fused."""
    operator = binary(case, dtype, "SUB", "SquaredDifferenceOptions")
    scales = [operand.quantization.scales[0] for operand in operator.inputs]
    operator.code, operator.fields = "SQUARED_DIFFERENCE", {}
    operator.quantization = case.output(dtype, max(scales) ** 2 * case.between(0, 7))
    return operator


def comparison(case: Case, dtype: str, code: str) -> Operator:
    """Both operands at a scale of their own, or at the same."""
    operator = binary(case, dtype, code, None)
    operator.options, operator.fields = None, {}
    operator.output_dtype, operator.quantization = "bool", None
    if case.chance(2):
        operator.inputs[1].quantization = operator.inputs[0].quantization
    return operator


def extreme(case: Case, dtype: str, code: str) -> Operator:
    """The larger or smaller: all scales are one."""
    operator = binary(case, dtype, code, "MaximumMinimumOptions")
    operator.fields = {}
    operator.quantization = operator.inputs[1].quantization = operator.inputs[0].quantization
    return operator


def reduction(case: Case, dtype: str, code: str) -> Operator:
    """Over one or two dimensions; the largest and smallest keep their scale."""
    shape = case.shape(case.number(2, 4), 8)
    axes = sorted({case.number(0, len(shape) - 1) for _ in range(2)})
    x = case.activations(dtype)
    y = case.output(dtype, x.scales[0] * case.between(-3, 1)) if code == "MEAN" else x
    operands = [Input(shape, integers(dtype), x), constant(*axes)]
    return Operator("", code, operands, "ReducerOptions", {"keepDims": case.chance(2)}, 1, dtype, y)


def arg(case: Case, dtype: str, code: str, options: str) -> Operator:
    """The position of the largest or smallest: the first where there are several."""
    shape = case.shape(case.number(1, 3), 9)
    axis = Weight((), lambda _generator, _shape: np.array(case.number(0, len(shape) - 1), np.int32))
    ends = np.iinfo(dtype)
    draw = integers(dtype, ends.min, ends.min + 9) if case.chance(2) else integers(dtype)
    return Operator("", code, [Input(shape, draw, case.activations(dtype)), axis], options, {"outputType": 2}, 1, "int32")


def pool(case: Case, dtype: str, code: str) -> Operator:
    """Windows beyond the edges count what they see."""
    image, kernel, stride, padding = case.window()
    x = case.activations(dtype)
    fields = {"padding": padding, "strideH": stride[0], "strideW": stride[1], "filterHeight": kernel[0], "filterWidth": kernel[1]}
    fields["fusedActivationFunction"] = case.activation()
    shape = (case.number(1, 2), *image, case.number(1, 5))
    return Operator("", code, [Input(shape, integers(dtype), x)], "Pool2DOptions", fields, 1, dtype, x)


def softmax(case: Case, dtype: str, to: str) -> Operator:
    """Logits that are far apart and close together."""
    x = Quantization([case.between(-9, 1)], [case.zero_point(dtype)])
    if dtype == "int16":
        x = Quantization([case.between(-14, -7)], [0])
    beta = float(np.float32(case.one_of((1.0, 0.5, 2.3))))
    ends = np.iinfo(dtype)
    narrow = case.chance(2)
    draw = integers(dtype, ends.min // 8, ends.max // 8) if narrow else integers(dtype)
    shape = (*case.shape(case.number(0, 2) or 1, 3), case.number(1, 60))
    return Operator("", "SOFTMAX", [Input(shape, draw, x)], "SoftmaxOptions", {"beta": beta}, 1, to, UNIT[to])


def refused() -> dict:
    """What the reference kernels compute and nablac does not, by name."""

    def by_shifts(case: Case) -> Operator:
        operator = binary(case, "int16", "ADD", "AddOptions")
        for operand in [*operator.inputs, operator]:
            operand.quantization = Quantization([2.0**-10], [0])
        operator.fields["potScaleInt16"] = True
        return operator

    found = {"add_by_shifts": by_shifts}
    for code, dtype in (("LOG", "int16"), ("GELU", "int16"), ("LOG_SOFTMAX", "int8"), ("L2_NORMALIZATION", "int8")):
        tables = {"GELU": ("GeluOptions", {}), "L2_NORMALIZATION": ("L2NormOptions", {})}
        output = {"LOG_SOFTMAX": Quantization([16 / 256], [127]), "L2_NORMALIZATION": SIGNED_UNIT["int8"]}.get(code)
        found[f"{code.lower()}_{dtype}"] = lambda case, code=code, dtype=dtype, table=tables.get(code), output=output: (
            unary(case, dtype, code, table, output)
        )
    found["div_uint8"] = lambda case: binary(case, "uint8", "DIV", "DivOptions")
    found["less_int16"] = lambda case: comparison(case, "int16", "LESS")
    return {f"refused_{name}": make for name, make in found.items()}


def families() -> dict:
    """The families by name."""
    found = {}

    def add(name: str, types: tuple[str, ...], make) -> None:
        for dtype in types:
            found[f"{name}_{dtype}"] = lambda case, dtype=dtype: make(case, dtype)

    def simple(code: str, types: tuple[str, ...], output: dict | None = None) -> None:
        fixed = output or {}
        add(code.lower(), types, lambda case, dtype: unary(case, dtype, code, None, fixed.get(dtype)))

    for code in ("RELU", "RELU6"):
        simple(code, ALL_TYPES)
    simple("ABS", ("int8", "int16"))
    simple("LOGISTIC", ALL_TYPES, UNIT)
    simple("TANH", ALL_TYPES, SIGNED_UNIT)
    simple("ELU", ("int8",))
    add("gelu", EIGHT_BITS, gelu)
    add("exp", ("int8", "int16"), exp)
    add("log", ("int8",), log)
    add("hard_swish", EIGHT_BITS, hard_swish)
    add("leaky_relu", ALL_TYPES, leaky_relu)
    add("prelu", EIGHT_BITS, prelu)
    for code in ("ADD", "SUB", "MUL"):
        add(code.lower(), ALL_TYPES, lambda case, dtype, code=code: binary(case, dtype, code, f"{code.capitalize()}Options"))
    add("squared_difference", ("int8",), squared_difference)
    for code in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL"):
        add(code.lower(), EIGHT_BITS, lambda case, dtype, code=code: comparison(case, dtype, code))
    for code in ("MAXIMUM", "MINIMUM"):
        add(code.lower(), ALL_TYPES, lambda case, dtype, code=code: extreme(case, dtype, code))
    for code in ("MEAN", "REDUCE_MAX", "REDUCE_MIN"):
        add(code.lower(), ALL_TYPES, lambda case, dtype, code=code: reduction(case, dtype, code))
    for code, options in (("ARG_MAX", "ArgMaxOptions"), ("ARG_MIN", "ArgMinOptions")):
        add(code.lower(), EIGHT_BITS, lambda case, dtype, code=code, options=options: arg(case, dtype, code, options))
    for code in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        add(code.lower(), ALL_TYPES, lambda case, dtype, code=code: pool(case, dtype, code))
    for dtype, to in (("int8", "int8"), ("uint8", "uint8"), ("int8", "int16"), ("int16", "int16")):
        name = "softmax" if to == dtype else f"softmax_to_{to}"
        add(name, (dtype,), lambda case, dtype, to=to: softmax(case, dtype, to))
    return found
