"""Families of quantized operators that move elements, resize images, and change types and scales."""

import numpy as np
from ai_edge_litert.schema_py_generated import MirrorPadMode
from quantized_draws import Case, integers
from quantized_sums import constant
from tflite_file import Input, Operator, Parameter, Quantization, Weight

ALL_TYPES = ("int8", "uint8", "int16")


def moved(case: Case, dtype: str, code: str, shape: tuple[int, ...], rest: list, options: tuple[str, dict], outputs: int = 1) -> Operator:
    """One tensor and parameters; the scale stays."""
    x = case.activations(dtype)
    table, fields = options
    return Operator("", code, [Input(shape, integers(dtype), x), *rest], table, fields, outputs, dtype, x)


def parameter(values: object) -> Parameter:
    """A constant of 32-bit integers."""
    return Parameter(np.array(values, np.int32))


def amounts(case: Case, shape: tuple[int, ...], mode: int | None = None) -> Parameter:
    """What is padded: mirrored elements are as many as there are."""
    def most(extent: int) -> int:
        return 3 if mode is None else extent - (mode == MirrorPadMode.REFLECT)

    return parameter([[case.number(0, most(n)), case.number(0, most(n))] for n in shape])


def pad(case: Case, dtype: str) -> Operator:
    """Filled with the zero point, or with a value of the same scale."""
    shape = case.shape(4)
    operator = moved(case, dtype, "PAD", shape, [amounts(case, shape)], ("PadOptions", {}))
    if case.chance(2):
        operator.code, operator.options = "PADV2", "PadV2Options"
        operator.inputs.append(Weight((1,), integers(dtype), operator.quantization))
    return operator


def mirror_pad(case: Case, dtype: str) -> Operator:
    """Both modes."""
    shape = case.shape(3)
    mode = case.one_of((MirrorPadMode.REFLECT, MirrorPadMode.SYMMETRIC))
    return moved(case, dtype, "MIRROR_PAD", shape, [amounts(case, shape, mode)], ("MirrorPadOptions", {"mode": mode}))


def concatenation(case: Case, dtype: str) -> Operator:
    """Two to four parts at one scale."""
    shape, axis, parts = case.shape(), 0, case.number(2, 4)
    axis = case.number(0, len(shape) - 1)
    x = case.activations(dtype)
    extents = [case.number(1, 4) for _ in range(parts)]
    operands = [Input((*shape[:axis], n, *shape[axis + 1 :]), integers(dtype), x) for n in extents]
    fields = {"axis": axis, "fusedActivationFunction": 0}
    return Operator("", "CONCATENATION", operands, "ConcatenationOptions", fields, 1, dtype, x)


def rescaled_concatenation(case: Case, dtype: str) -> Operator:
    """Parts at scales of their own, which unsigned ones may have."""
    operator = concatenation(case, dtype)
    for operand in operator.inputs:
        if case.chance(2):
            operand.quantization = case.activations(dtype)
    return operator


def reshape(case: Case, dtype: str) -> Operator:
    """Any number of dimensions to two."""
    shape = case.shape()
    to = [shape[0], int(np.prod(shape[1:]))]
    return moved(case, dtype, "RESHAPE", shape, [parameter(to)], ("ReshapeOptions", {"newShape": to}))


def transpose(case: Case, dtype: str) -> Operator:
    """Any order."""
    shape = case.shape(case.number(2, 4))
    order = [int(n) for n in case.generator.permutation(len(shape))]
    return moved(case, dtype, "TRANSPOSE", shape, [parameter(order)], ("TransposeOptions", {}))


def part(case: Case, dtype: str) -> Operator:
    """SLICE or STRIDED_SLICE."""
    shape = case.shape()
    begin = [case.number(0, n - 1) for n in shape]
    size = [case.number(1, n - start) for n, start in zip(shape, begin, strict=True)]
    if case.chance(2):
        return moved(case, dtype, "SLICE", shape, [parameter(begin), parameter(size)], ("SliceOptions", {}))
    end = [start + n for start, n in zip(begin, size, strict=True)]
    strides = [case.number(1, 2) for _ in shape]
    rest = [parameter(begin), parameter(end), parameter(strides)]
    return moved(case, dtype, "STRIDED_SLICE", shape, rest, ("StridedSliceOptions", {"beginMask": case.number(0, 3)}))


def parts(case: Case, dtype: str) -> Operator:
    """SPLIT, SPLIT_V or UNPACK."""
    shape = list(case.shape())
    axis = case.number(0, len(shape) - 1)
    kind = case.number(0, 2)
    if kind == 2 and len(shape) > 1:
        fields = {"axis": axis, "num": shape[axis]}
        return moved(case, dtype, "UNPACK", tuple(shape), [], ("UnpackOptions", fields), shape[axis])
    count = case.number(1, 3)
    if kind == 1:
        sizes = [case.number(1, 3) for _ in range(count)]
        shape[axis] = sum(sizes)
        rest = [parameter(sizes), parameter(axis)]
        return moved(case, dtype, "SPLIT_V", tuple(shape), rest, ("SplitVOptions", {"numSplits": count}), count)
    shape[axis] *= count
    operator = moved(case, dtype, "SPLIT", tuple(shape), [], ("SplitOptions", {"numSplits": count}), count)
    operator.inputs.insert(0, parameter(axis))
    return operator


def pack(case: Case, dtype: str) -> Operator:
    """One to three parts."""
    shape, count, x = case.shape(case.number(1, 3)), case.number(1, 3), case.activations(dtype)
    fields = {"axis": case.number(0, len(shape)), "valuesCount": count}
    return Operator("", "PACK", [Input(shape, integers(dtype), x)] * count, "PackOptions", fields, 1, dtype, x)


def gather(case: Case, dtype: str) -> Operator:
    """Constant positions along any axis."""
    shape = case.shape()
    axis = case.number(0, len(shape) - 1)
    taken = parameter([case.number(0, shape[axis] - 1) for _ in range(case.number(1, 4))])
    return moved(case, dtype, "GATHER", shape, [taken], ("GatherOptions", {"axis": axis}))


def tile(case: Case, dtype: str) -> Operator:
    """One to three times along each axis."""
    shape = case.shape()
    return moved(case, dtype, "TILE", shape, [parameter([case.number(1, 3) for _ in shape])], ("TileOptions", {}))


def resize(case: Case, dtype: str, code: str) -> Operator:
    """Larger and smaller, by corners and half pixels."""
    shape = (case.number(1, 2), case.number(1, 9), case.number(1, 9), case.number(1, 3))
    mode = case.number(0, 2)
    table = "ResizeBilinearOptions" if code == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    fields = {"alignCorners": mode == 1, "halfPixelCenters": mode == 2}
    return moved(case, dtype, code, shape, [constant(case.number(1, 15), case.number(1, 15))], (table, fields))


def quantize(case: Case, dtype: str) -> Operator:
    """Reals, half of them halfway between two integers, and some far away."""
    y = case.activations(dtype)

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        ties = (generator.integers(-300, 300, shape) + 0.5) * np.float32(y.scales[0])
        wide = generator.standard_normal(shape) * 100 * y.scales[0] * 2.0 ** generator.uniform(0, 12)
        return np.where(generator.integers(0, 2, shape) == 0, ties, wide).astype(np.float32)

    return Operator("", "QUANTIZE", [Input((2, 100), draw)], "QuantizeOptions", {}, 1, dtype, y)


def requantize(case: Case, source: str, target: str) -> Operator:
    """Integers to integers, at the same scale one time in four."""
    x = case.activations(source)
    scale = x.scales[0] * (1 if case.chance(4) else case.between(-2, 2))
    if source != target and "int16" in (source, target):
        scale *= 256.0 if source == "int16" else 1 / 256
    y = case.output(target, scale)
    operands = [Input((4, 64), integers(source), x)]
    return Operator("", "QUANTIZE", operands, "QuantizeOptions", {}, 1, target, y)


def dequantize(case: Case, dtype: str) -> Operator:
    """Integers to reals."""
    operands = [Input((4, 64), integers(dtype), case.activations(dtype))]
    return Operator("", "DEQUANTIZE", operands, "DequantizeOptions", {}, 1, "float32", None, 2)


REQUANTIZATIONS = (
    ("int8", "int8"), ("int8", "uint8"), ("uint8", "int8"), ("uint8", "uint8"),
    ("int8", "int16"), ("int16", "int8"), ("int16", "int16"),
)  # fmt: skip


def families() -> dict:
    """The families by name."""
    found = {}
    moves = (pad, mirror_pad, concatenation, reshape, transpose, part, parts, pack, gather, tile, quantize, dequantize)
    for make in moves:
        for dtype in ALL_TYPES:
            found[f"{make.__name__}_{dtype}"] = lambda case, make=make, dtype=dtype: make(case, dtype)
    found["concatenation_rescaled_uint8"] = lambda case: rescaled_concatenation(case, "uint8")
    for code in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        for dtype in ALL_TYPES:
            found[f"{code.lower()}_{dtype}"] = lambda case, code=code, dtype=dtype: resize(case, dtype, code)
    for source, target in REQUANTIZATIONS:
        name = f"quantize_{source}_to_{target}"
        found[name] = lambda case, source=source, target=target: requantize(case, source, target)
    return found
