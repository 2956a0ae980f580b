"""Writes the ONNX project's own node tests, from the published `onnx` package, in the form that `suite` describes.

    .cache/python/bin/python tests/conformance/dump_onnx_node_tests.py [.cache/conformance/onnx]

A test is taken when every node of its model is one of OPERATORS: the tests of those operators, and those of other
operators that the package gives expanded into them.

Many of these tests pass a shape, axes or paddings as a graph input, for their nodes stand alone; in exported networks
those are constants, and a compiler with static shapes needs them to be. Such a test is written twice: under its own
name with these inputs turned into initializers, and as NAME.unbound as it came. Scales, zero points and weights that are graph
inputs are no obstacle, but not how networks have them either: such a test is written as it came, and as NAME.constant. There,
weights of types that only constants have are constants too.
"""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase
from suite import NPZ_TYPES, Case, Tensor, write_suite

OPERATORS = frozenset(
    """
    Conv ConvTranspose Gemm MatMul
    Add Sub Mul Div Pow Min Max
    Relu Clip LeakyRelu PRelu Sigmoid Tanh HardSigmoid HardSwish Elu Gelu Erf Exp Log Sqrt Abs Neg
    MaxPool AveragePool GlobalAveragePool GlobalMaxPool Resize Upsample ArgMax ArgMin
    BatchNormalization LayerNormalization Softmax ReduceMean ReduceSum ReduceMax ReduceMin
    Reshape Flatten Squeeze Unsqueeze Transpose Pad Concat Split Slice Identity Constant Cast Round
    QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger
    If Loop Scan
    """.split()
)

# Positions of the inputs that decide an output's shape, or which elements it takes.
STATIC_INPUTS = {
    "Loop": (0, 1),
    "Pad": (1, 3),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}

# Positions of the inputs that are constants in a quantized network.
CONSTANT_INPUTS = {
    "ConvInteger": (1, 2, 3),
    "DequantizeLinear": (1, 2),
    "MatMulInteger": (1, 2, 3),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 3, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
}


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the graphs in its attributes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)
            for inner in attribute.graphs:
                yield from nodes(inner)


def tensor(info: onnx.ValueInfoProto, value: object) -> Tensor:
    """A graph input or output with its value in the test."""
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        return Tensor(info.name, kind.removesuffix("_type"), None, None)
    declared = onnx.TensorProto.DataType.Name(info.type.tensor_type.elem_type).lower()
    dtype = {"float": "float32", "double": "float64"}.get(declared, declared)
    shape = [dimension.dim_value for dimension in info.type.tensor_type.shape.dim]
    if dtype not in NPZ_TYPES:
        return Tensor(info.name, dtype, shape, None)
    value = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    if value.dtype.name != dtype or list(value.shape) != shape:
        raise SystemExit(f"{info.name} is declared {dtype} {shape} and holds {value.dtype} {list(value.shape)}")
    return Tensor(info.name, dtype, shape, value)


def initializer(value: object, name: str) -> onnx.TensorProto:
    """A constant; types that numpy lacks come as messages already."""
    if not isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.from_array(np.asarray(value), name)
    result = onnx.TensorProto()
    result.CopyFrom(value)
    result.name = name
    return result


def bound(model: onnx.ModelProto, names: set[str], values: dict[str, object]) -> onnx.ModelProto:
    """The model with the named inputs turned into initializers."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.input[:]
    result.graph.input.extend(info for info in model.graph.input if info.name not in names)
    result.graph.initializer.extend(initializer(values[name], name) for name in sorted(names))
    onnx.checker.check_model(result)
    return result


def case(test: TestCase, name: str, model: onnx.ModelProto) -> Case:
    """One model with the arrays of the test's only data set."""
    [(input_values, output_values)] = test.data_sets
    values = {info.name: value for info, value in zip(test.model.graph.input, input_values, strict=True)}
    values |= {info.name: value for info, value in zip(test.model.graph.output, output_values, strict=True)}
    return Case(
        name=name,
        model=model.SerializeToString(deterministic=True),
        operators=sorted({node.op_type for node in nodes(model.graph)}),
        opset=next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
        inputs=[tensor(info, values[info.name]) for info in model.graph.input],
        outputs=[tensor(info, values[info.name]) for info in model.graph.output],
        rtol=test.rtol,
        atol=test.atol,
    )


def inputs_at(graph: onnx.GraphProto, positions: dict[str, tuple[int, ...]]) -> set[str]:
    """The graph inputs that nodes read at these positions."""
    inputs = {info.name for info in graph.input}
    return {
        node.input[position]
        for node in nodes(graph)
        for position in positions.get(node.op_type, ())
        if position < len(node.input) and node.input[position] in inputs
    }


def cases() -> Iterator[Case]:
    """All cases of OPERATORS, in the package's order."""
    for test in collect_testcases(None):
        graph = test.model.graph
        if not all(node.domain in ("", "ai.onnx") and node.op_type in OPERATORS for node in nodes(graph)):
            continue
        values = dict(zip((info.name for info in graph.input), test.data_sets[0][0], strict=True))
        if static := inputs_at(graph, STATIC_INPUTS):
            yield case(test, test.name, bound(test.model, static, values))
            yield case(test, f"{test.name}.unbound", test.model)
        else:
            yield case(test, test.name, test.model)
        if constant := inputs_at(graph, CONSTANT_INPUTS):
            constant |= {info.name for info in graph.input if tensor(info, values[info.name]).value is None}
            yield case(test, f"{test.name}.constant", bound(test.model, constant, values))


def main() -> None:
    warnings.simplefilter("ignore")  # the package's reference code divides by zero on purpose
    root = Path(__file__).resolve().parents[2]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else root / ".cache/conformance/onnx"
    count = write_suite(folder, f"onnx {onnx.__version__}", "model.onnx", cases())
    print(f"{count} ONNX node tests in {folder}")


if __name__ == "__main__":
    main()
