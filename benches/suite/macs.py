"""Multiply-accumulates of a network, padding included."""

import math

import onnx


def count(model: onnx.ModelProto) -> int:
    """Those of convolutions and matrix products; the rest of a network has next to none."""
    model = onnx.shape_inference.infer_shapes(model)
    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        shapes[value.name] = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
    return sum(_of_node(node, shapes) for node in graph.node)


def _of_node(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    match node.op_type:
        case "Conv":
            per_output = math.prod(shapes[node.input[1]][1:])  # [out, in per group, window...]
        case "Gemm":
            transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            per_output = shapes[node.input[0]][0 if transposed else 1]
        case "MatMul":
            per_output = shapes[node.input[0]][-1]
        case _:
            return 0
    return math.prod(shapes[node.output[0]]) * per_output
