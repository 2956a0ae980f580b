"""Writes a network as a TFLite file."""

from pathlib import Path

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np

from .description import Network, Node, Shape

FILE_VERSION, FILE_IDENTIFIER = 3, b"TFL3"
ACTIVATIONS = {
    None: schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
IMAGE_AXES = np.array([1, 2], np.int32)
# What a node is in the schema: operator, table of options, their fields beside those that windows and activations give.
OPERATORS: dict[str, tuple[str, str, dict]] = {
    "conv": ("CONV_2D", "Conv2DOptions", {}),
    "depthwise": ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", {"depthMultiplier": 1}),
    "max_pool": ("MAX_POOL_2D", "Pool2DOptions", {}),
    "add": ("ADD", "AddOptions", {}),
    "mean": ("MEAN", "ReducerOptions", {"keepDims": False}),
    "dense": ("FULLY_CONNECTED", "FullyConnectedOptions", {}),
    "matmul": ("BATCH_MATMUL", "BatchMatMulOptions", {}),
    "pad": ("PAD", "PadOptions", {}),
}


class _File:
    def __init__(self) -> None:
        self.codes: list[str] = []
        self.buffers = [schema.BufferT()]  # buffer 0 is the empty one that variables name
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name: str, shape: Shape, constant: np.ndarray | None = None) -> int:
        tensor = schema.TensorT()
        is_float = constant is None or constant.dtype == np.float32
        tensor.type = schema.TensorType.FLOAT32 if is_float else schema.TensorType.INT32
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        if constant is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(constant).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, node: Node, operands: list[int], output: int) -> None:
        code, options, fields = OPERATORS[node.kind]
        if code not in self.codes:
            self.codes.append(code)
        table = getattr(schema, options + "T")()
        padding = schema.Padding.VALID if node.stride > 1 else schema.Padding.SAME
        window = {"padding": padding, "strideH": node.stride, "strideW": node.stride}
        window |= {"filterHeight": node.window, "filterWidth": node.window}
        window |= {"fusedActivationFunction": ACTIVATIONS[node.activation]}
        for field, value in (window | fields).items():
            if hasattr(table, field):
                setattr(table, field, value)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes.index(code), operands, [output]
        operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, options), table
        self.graph.operators.append(operator)

    def data(self, description: str) -> bytes:
        model = schema.ModelT()
        model.version, model.description = FILE_VERSION, description
        model.operatorCodes = [_code(name) for name in self.codes]
        model.subgraphs, model.buffers = [self.graph], self.buffers
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())


def _code(name: str) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
    return code


def write(network: Network, path: Path) -> None:
    """Writes the file."""
    file = _File()
    values = [file.tensor(f"v{index}", node.shape) for index, node in enumerate(network.nodes)]
    for index, node in enumerate(network.nodes):
        if node.kind == "input":
            continue
        operands = [values[source] for source in node.inputs]
        if node.stride > 1 and node.padding > 0:
            operands = [_padded(file, network, node, operands[0])]
        for name, constant in _constants(node).items():
            operands.append(file.tensor(f"v{index}.{name}", constant.shape, constant))
        file.operator(node, operands, values[index])
    file.graph.inputs, file.graph.outputs = [values[index] for index in network.inputs()], [values[-1]]
    path.write_bytes(file.data(network.name))


def _padded(file: _File, network: Network, node: Node, operand: int) -> int:
    """The operand with zeros around it: with strides TFLite's own padding would be uneven."""
    batch, height, width, channels = network.nodes[node.inputs[0]].shape
    name, both = f"v{node.inputs[0]}.padded", 2 * node.padding
    amounts = np.array([[0, 0], [node.padding] * 2, [node.padding] * 2, [0, 0]], np.int32)
    padded = file.tensor(name, (batch, height + both, width + both, channels))
    pad = Node("pad", node.inputs, ())
    file.operator(pad, [operand, file.tensor(f"{name}.amounts", amounts.shape, amounts)], padded)
    return padded


def _constants(node: Node) -> dict[str, np.ndarray]:
    if node.kind == "mean":
        return {"axes": IMAGE_AXES}
    if node.weights is None:
        return {}
    weights = node.weights.transpose(3, 1, 2, 0) if node.kind == "depthwise" else node.weights
    return {"weights": weights, "bias": node.bias}
