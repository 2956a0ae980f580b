"""Writes a network as an ONNX file, channels first, as frameworks export them."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .description import Network, Node, Shape

OPSET, IR_VERSION = 17, 8  # old enough for every peer


def channels_first(shape: Shape) -> Shape:
    """Where the extents of a tensor stand in ONNX."""
    return (shape[0], shape[3], *shape[1:3]) if len(shape) == 4 else shape


def write(network: Network, path: Path) -> None:
    """Writes the file."""
    nodes, constants = [], []
    for index, node in enumerate(network.nodes):
        if node.kind != "input":
            nodes += _operators(node, f"v{index}")
            constants += _constants(node, f"v{index}")
    inputs, output = [_value(network, index) for index in network.inputs()], _value(network, len(network.nodes) - 1)
    graph = helper.make_graph(nodes, network.name, inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _value(network: Network, index: int) -> onnx.ValueInfoProto:
    shape = channels_first(network.nodes[index].shape)
    return helper.make_tensor_value_info(f"v{index}", onnx.TensorProto.FLOAT, shape)


def _constants(node: Node, name: str) -> list[onnx.TensorProto]:
    constants = []
    if node.weights is not None:
        weights = node.weights.transpose(0, 3, 1, 2) if node.weights.ndim == 4 else node.weights
        arrays = {f"{name}.weights": weights, f"{name}.bias": node.bias}
        constants += [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in arrays.items()]
    if node.activation == "relu6":
        bounds = {f"{name}.low": 0, f"{name}.high": 6}
        constants += [numpy_helper.from_array(np.float32(value), key) for key, value in bounds.items()]
    return constants


def _operators(node: Node, name: str) -> list[onnx.NodeProto]:
    sources = [f"v{index}" for index in node.inputs]
    target = name if node.activation is None else f"{name}.linear"
    parameters = [f"{name}.weights", f"{name}.bias"]
    match node.kind:
        case "conv" | "depthwise":
            groups = node.weights.shape[0] if node.kind == "depthwise" else 1
            first = helper.make_node("Conv", sources + parameters, [target], group=groups, **_window(node))
        case "max_pool":
            first = helper.make_node("MaxPool", sources, [target], **_window(node))
        case "mean":
            pooled = helper.make_node("GlobalAveragePool", sources, [f"{name}.pooled"])
            return [pooled, helper.make_node("Flatten", [f"{name}.pooled"], [name])]
        case "dense":
            first = helper.make_node("Gemm", sources + parameters, [target], transB=1)
        case kind:
            first = helper.make_node({"add": "Add", "matmul": "MatMul"}[kind], sources, [target])
    if node.activation == "relu":
        return [first, helper.make_node("Relu", [target], [name])]
    if node.activation == "relu6":
        return [first, helper.make_node("Clip", [target, f"{name}.low", f"{name}.high"], [name])]
    return [first]


def _window(node: Node) -> dict:
    return {
        "kernel_shape": [node.window] * 2,
        "strides": [node.stride] * 2,
        "pads": [node.padding] * 4,
    }
