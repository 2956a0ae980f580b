"""Single-operator .tflite files from arrays, and TFLite's reference kernels to run them."""

import dataclasses
import os
from collections.abc import Callable

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # read when LiteRT is loaded

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

TENSOR_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "uint8": schema.TensorType.UINT8,
    "int64": schema.TensorType.INT64,
    "bool": schema.TensorType.BOOL,
    "int16": schema.TensorType.INT16,
    "int8": schema.TensorType.INT8,
    "int4": schema.TensorType.INT4,
}
# Operators that the reference kernels' list lacks: LiteRT's other kernels, still without a delegate.
WITHOUT_REFERENCE_KERNEL = frozenset({"ELU"})
VERSION = 1  # of operators, except for those whose kernels refuse to be that old
FILE_VERSION = 3  # of the schema
FILE_IDENTIFIER = b"TFL3"

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Both signs, and beyond 1 and 6, where activations clamp."""
    return (3 * generator.standard_normal(shape)).astype(np.float32)


@dataclasses.dataclass
class Quantization:
    """How integers stand for reals: scales and zero points, one of each or one per index of an axis."""

    scales: list[float]
    zero_points: list[int]
    axis: int = 0

    def table(self) -> schema.QuantizationParametersT:
        """The schema's table."""
        table = schema.QuantizationParametersT()
        table.scale = np.asarray(self.scales, np.float32)
        table.zeroPoint = np.asarray(self.zero_points, np.int64)
        table.quantizedDimension = self.axis
        return table


@dataclasses.dataclass
class Input:
    """A graph input of this shape with random elements."""

    shape: tuple[int, ...]
    draw: Draw = normal
    quantization: Quantization | None = None


@dataclasses.dataclass
class Weight:
    """A constant of this shape with random elements; `packed` ones are small integers that take four bits each."""

    shape: tuple[int, ...]
    draw: Draw = normal
    quantization: Quantization | None = None
    packed: bool = False


@dataclasses.dataclass
class Parameter:
    """A constant that is given: axes, a shape, paddings."""

    value: np.ndarray
    quantization: Quantization | None = None
    packed: bool = False


@dataclasses.dataclass
class Operator:
    """One operator: its inputs in order (None for one that is left out), its options table and their fields."""

    name: str
    code: str
    inputs: list[Input | Weight | Parameter | None]
    options: str | None = None
    fields: dict = dataclasses.field(default_factory=dict)
    outputs: int = 1
    output_dtype: str = "float32"
    quantization: Quantization | None = None  # of every output
    version: int = VERSION


@dataclasses.dataclass
class Built:
    """A file with the values of its graph inputs and outputs by name."""

    data: bytes
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def options_table(operator: Operator) -> object:
    """The options with the fields set; a field the schema does not have is an error."""
    table = getattr(schema, operator.options + "T")()
    for name, value in operator.fields.items():
        if not hasattr(table, name):
            raise SystemExit(f"{operator.name}: {operator.options} has no field {name}")
        setattr(table, name, value)
    return table


class File:
    """A model with one subgraph under construction; buffer 0 is the empty one that variables name."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.inputs, self.graph.outputs = [], [], []
        self.buffers = [schema.BufferT()]

    def tensor(
        self,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        constant: bytes | None = None,
        quantization: Quantization | None = None,
    ) -> int:
        """Adds a tensor and gives its index."""
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = name, TENSOR_TYPES[dtype], list(shape), 0
        tensor.quantization = quantization.table() if quantization else None
        if constant is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(constant, np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def finish(self, operator: Operator, operands: list[int]) -> bytes:
        """The file's bytes, with the operator reading `operands` and writing the graph's outputs."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, operator.code)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # where older readers look; 127 says: look above
        code.version = operator.version
        node = schema.OperatorT()
        node.opcodeIndex, node.inputs, node.outputs = 0, operands, self.graph.outputs
        if operator.options:
            node.builtinOptionsType = getattr(schema.BuiltinOptions, operator.options)
            node.builtinOptions = options_table(operator)
        self.graph.operators = [node]
        model = schema.ModelT()
        model.version, model.description = FILE_VERSION, operator.name
        model.operatorCodes, model.subgraphs, model.buffers = [code], [self.graph], self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
        return bytes(builder.Output())


def nibbles(values: np.ndarray) -> bytes:
    """Two numbers per byte, the first one in the lower half."""
    halves = values.astype(np.uint8).ravel() & 15
    halves = np.append(halves, np.zeros(halves.size % 2, np.uint8))
    return (halves[::2] | halves[1::2] << 4).astype(np.uint8).tobytes()


def write(operator: Operator, values: list[np.ndarray | None], shapes: list[tuple[int, ...]]) -> tuple[bytes, dict]:
    """The file with these output shapes, and its graph inputs by name."""
    file = File()
    operands, inputs = [], {}
    for position, (operand, value) in enumerate(zip(operator.inputs, values, strict=True)):
        if operand is None:
            operands.append(-1)
            continue
        is_input = isinstance(operand, Input)
        name = f"{'input' if is_input else 'constant'}{position}"
        packed = not is_input and operand.packed
        constant = None if is_input else (nibbles(value) if packed else value.tobytes())
        dtype = "int4" if packed else value.dtype.name
        operands.append(file.tensor(name, dtype, value.shape, constant, operand.quantization))
        if is_input:
            inputs[name] = value
            file.graph.inputs.append(operands[-1])
    for position, shape in enumerate(shapes):
        output = file.tensor(f"output{position}", operator.output_dtype, shape, None, operator.quantization)
        file.graph.outputs.append(output)
    return file.finish(operator, operands), inputs


def run(code: str, data: bytes, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What TFLite's reference kernels compute."""
    optimized = code in WITHOUT_REFERENCE_KERNEL
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if optimized else OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


def build(operator: Operator, generator: np.random.Generator) -> Built:
    """The file with its values. It is written twice: the kernels say which shapes the outputs have."""
    values = []
    for operand in operator.inputs:
        if isinstance(operand, Input | Weight):
            values.append(operand.draw(generator, operand.shape))
        else:
            values.append(operand.value if operand else None)
    draft, inputs = write(operator, values, [()] * operator.outputs)
    found = run(operator.code, draft, inputs)
    data, inputs = write(operator, values, [found[f"output{index}"].shape for index in range(operator.outputs)])
    return Built(data, inputs, run(operator.code, data, inputs))
