"""Writes single-operator .tflite files with variables, and what TFLite's reference kernels compute run after run, as `suite` says.

    .cache/python/bin/python tests/conformance/dump_tflite_recurrent_tests.py [.cache/conformance/tflite_recurrent]

A case holds two sequences of runs; the variables are reset between them. Its random numbers are seeded by its name.
"""

import dataclasses
import os
import sys
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # read when LiteRT is loaded

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from suite import Case, Tensor, write_suite
from tflite_file import FILE_IDENTIFIER, FILE_VERSION, TENSOR_TYPES

STEPS, SEQUENCES = 3, 2
INTEGER_CASES, FLOAT_CASES = 240, 40  # of each operator
TOLERANCE = 1e-5  # of floats, as for other operators
GATES = "ifco"  # input, forget, cell, output: the order of the operator's inputs
LSTM, LSTM_OPTIONS = "UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions"
OPERATOR_VERSION = 3
RELU, TANH = schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.TANH
FLOAT_ACTIVATIONS = (schema.ActivationFunctionType.NONE, RELU, schema.ActivationFunctionType.RELU6, TANH)


@dataclasses.dataclass
class Operand:
    """A tensor of the file: a constant where it has a value, a variable where it says so, else the graph's input."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    value: np.ndarray | None = None
    scale: float | None = None
    zero_point: int = 0
    variable: bool = False


@dataclasses.dataclass
class Network:
    """One operator with its tensors."""

    code: str
    options: str
    fields: dict
    inputs: list[Operand | None]
    output: Operand
    intermediates: list[Operand] = dataclasses.field(default_factory=list)


def tensor_table(operand: Operand, buffers: list) -> object:
    """The tensor's table; a constant's elements become a buffer."""
    table = schema.TensorT()
    table.name, table.shape, table.type, table.buffer = operand.name, list(operand.shape), TENSOR_TYPES[operand.dtype], 0
    table.isVariable = operand.variable
    if operand.value is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(operand.value.tobytes(), np.uint8)
        table.buffer = len(buffers)
        buffers.append(buffer)
    if operand.scale is not None:
        quantization = schema.QuantizationParametersT()
        quantization.scale = np.array([operand.scale], np.float32)
        quantization.zeroPoint = np.array([operand.zero_point], np.int64)
        table.quantization = quantization
    return table


def file_of(network: Network) -> bytes:
    """The file's bytes."""
    model, graph, buffers, indices = schema.ModelT(), schema.SubGraphT(), [schema.BufferT()], {}
    graph.name, graph.tensors = "main", []
    operands = [operand for operand in network.inputs if operand is not None]
    for operand in [*operands, network.output, *network.intermediates]:
        indices[operand.name] = len(graph.tensors)
        graph.tensors.append(tensor_table(operand, buffers))
    node, code, options = schema.OperatorT(), schema.OperatorCodeT(), getattr(schema, network.options + "T")()
    for field, value in network.fields.items():
        if not hasattr(options, field):
            raise SystemExit(f"{network.options} has no field {field}")
        setattr(options, field, value)
    node.inputs = [-1 if operand is None else indices[operand.name] for operand in network.inputs]
    node.outputs = graph.outputs = [indices[network.output.name]]
    node.intermediates = [indices[operand.name] for operand in network.intermediates]
    node.builtinOptionsType, node.builtinOptions = getattr(schema.BuiltinOptions, network.options), options
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, network.code)
    code.version = OPERATOR_VERSION
    graph.inputs = [indices[operand.name] for operand in operands if operand.value is None and not operand.variable]
    graph.operators, model.subgraphs, model.buffers = [node], [graph], buffers
    model.version, model.description, model.operatorCodes = FILE_VERSION, network.code, [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class Random:
    """What cases are drawn from."""

    def __init__(self, name: str) -> None:
        self.generator = np.random.default_rng(zlib.crc32(name.encode()))

    def extent(self, most: int) -> int:
        """From 1 to `most`."""
        return int(self.generator.integers(1, most + 1))

    def chance(self, probability: float) -> bool:
        """True as often as that."""
        return bool(self.generator.random() < probability)

    def scale(self, low: float, high: float) -> float:
        """A single-precision number, spread evenly over the orders of magnitude."""
        return float(np.float32(np.exp(self.generator.uniform(np.log(low), np.log(high)))))

    def zero_point(self) -> int:
        """Of 8-bit integers."""
        return int(self.generator.integers(-128, 128))

    def integers(self, dtype: str, shape: tuple[int, ...], most: int) -> np.ndarray:
        """From -most to most."""
        return self.generator.integers(-most, most + 1, shape).astype(dtype)

    def reals(self, shape: tuple[int, ...], spread: float) -> np.ndarray:
        """Of either sign."""
        return (spread * self.generator.standard_normal(shape)).astype(np.float32)


def product(*scales: float) -> float:
    """In single precision, as converters compute the scale of a bias."""
    return float(np.prod(np.array(scales, np.float32), dtype=np.float32))


def integer_svdf(random: Random) -> Network:
    """Features to 16-bit state, state to 8-bit units."""
    batch, features, units, rank, times = (random.extent(most) for most in (2, 9, 6, 3, 8))
    x, y, w = random.scale(0.004, 0.05), random.scale(0.01, 0.1), random.scale(0.002, 0.02)
    v, state = random.scale(1e-5, 1e-4), random.scale(2e-4, 5e-3)
    filters, bias = units * rank, random.integers("int32", (units,), 20000)
    operands = [
        Operand("x", "int8", (batch, features), None, x, random.zero_point()),
        Operand("w", "int8", (filters, features), random.integers("int8", (filters, features), 127), w),
        Operand("v", "int16", (filters, times), random.integers("int16", (filters, times), 3000), v),
        Operand("bias", "int32", (units,), bias, product(state, v)) if random.chance(0.7) else None,
        Operand("state", "int16", (batch, filters * times), None, state, variable=True),
    ]
    output = Operand("y", "int8", (batch, units), None, y, random.zero_point())
    return Network("SVDF", "SVDFOptions", {"rank": rank, "fusedActivationFunction": RELU}, operands, output)


def float_svdf(random: Random) -> Network:
    """The same in float, with other activations."""
    batch, features, units, rank, times = (random.extent(most) for most in (2, 9, 6, 3, 8))
    filters, activation = units * rank, random.generator.choice(FLOAT_ACTIVATIONS)
    operands = [
        Operand("x", "float32", (batch, features)),
        Operand("w", "float32", (filters, features), random.reals((filters, features), 0.5)),
        Operand("v", "float32", (filters, times), random.reals((filters, times), 0.5)),
        Operand("bias", "float32", (units,), random.reals((units,), 1.0)) if random.chance(0.7) else None,
        Operand("state", "float32", (batch, filters * times), variable=True),
    ]
    fields = {"rank": rank, "fusedActivationFunction": int(activation)}
    return Network("SVDF", "SVDFOptions", fields, operands, Operand("y", "float32", (batch, units)))


@dataclasses.dataclass
class Lstm:
    """Which parts a layer has, and its extents."""

    times: int
    batch: int
    features: int
    cells: int
    outputs: int
    coupled: bool  # without an input gate
    peepholes: bool
    projected: bool
    normalized: bool
    time_major: bool

    @classmethod
    def draw(cls, random: Random, normalized: bool, integer: bool) -> "Lstm":
        """Any combination that the kernels compute: their integer form takes peepholes for as many cells as outputs only."""
        times, batch, features, cells, outputs = (random.extent(most) for most in (4, 2, 9, 9, 6))
        coupled, peepholes, projected, time_major = (random.chance(p) for p in (0.3, 0.3, 0.4, 0.4))
        if not projected or integer and peepholes:
            outputs = cells
        return cls(times, batch, features, cells, outputs, coupled, peepholes, projected, normalized, time_major)

    def gates(self) -> str:
        """The gates that there are."""
        return GATES[1:] if self.coupled else GATES

    def sequence(self, last: int) -> tuple[int, ...]:
        """The shape of a sequence."""
        return (self.times, self.batch, last) if self.time_major else (self.batch, self.times, last)

    def fields(self, random: Random, activation: int) -> dict:
        """The options."""
        return {
            "fusedActivationFunction": activation,
            "cellClip": random.scale(0.2, 3.0) if random.chance(0.3) else 0.0,
            "projClip": random.scale(0.1, 1.0) if self.projected and random.chance(0.3) else 0.0,
            "timeMajor": self.time_major,
        }


def integer_lstm(random: Random) -> Network:
    """8-bit sequences, 16-bit cells."""
    lstm = Lstm.draw(random, normalized=False, integer=True)
    x, h, cell = random.scale(0.004, 0.05), random.scale(0.002, 0.01), 2.0 ** int(random.generator.integers(-15, -8))
    x_zero, h_zero = random.zero_point(), random.zero_point()
    hidden, hidden_zero = (random.scale(0.002, 0.01), random.zero_point()) if lstm.projected else (h, h_zero)

    def weights(name: str, rows: int, columns: int) -> Operand:
        value = random.integers("int8", (rows, columns), 127)
        return Operand(name, "int8", value.shape, value, random.scale(0.002, 0.02))

    def bias(name: str, rows: int, scale: float, most: int) -> Operand:
        return Operand(name, "int32", (rows,), random.integers("int32", (rows,), most), scale)

    def peephole(gate: str) -> Operand | None:
        if not lstm.peepholes or gate not in lstm.gates():
            return None
        value = random.integers("int16", (lstm.cells,), 32767)
        return Operand(f"p_{gate}", "int16", value.shape, value, random.scale(5e-6, 5e-5))

    w = {gate: weights(f"w_{gate}", lstm.cells, lstm.features) for gate in lstm.gates()}
    r = {gate: weights(f"r_{gate}", lstm.cells, lstm.outputs) for gate in lstm.gates()}
    b = {gate: bias(f"b_{gate}", lstm.cells, product(w[gate].scale, x), 15000) for gate in lstm.gates()}
    projection = weights("projection", lstm.outputs, lstm.cells) if lstm.projected else None
    biased = lstm.projected and random.chance(0.7)
    projection_bias = bias("projection_bias", lstm.outputs, product(projection.scale, hidden), 3000) if biased else None
    operands = [Operand("x", "int8", lstm.sequence(lstm.features), None, x, x_zero)]
    operands += [w.get(gate) for gate in GATES] + [r.get(gate) for gate in GATES] + [peephole(gate) for gate in "ifo"]
    operands += [b.get(gate) for gate in GATES] + [projection, projection_bias]
    operands += [
        Operand("h", "int8", (lstm.batch, lstm.outputs), None, h, h_zero, variable=True),
        Operand("c", "int16", (lstm.batch, lstm.cells), None, cell, variable=True),
    ]
    intermediates = [Operand(f"g_{gate}", "int16", (), None, 2.0**-12) for gate in GATES]
    intermediates.append(Operand("hidden", "int8", (), None, hidden, hidden_zero))
    output = Operand("y", "int8", lstm.sequence(lstm.outputs), None, h, h_zero)
    fields = lstm.fields(random, TANH)
    return Network(LSTM, LSTM_OPTIONS, fields, operands, output, intermediates)


def float_lstm(random: Random) -> Network:
    """The same in float, also with layer normalization and other activations."""
    lstm = Lstm.draw(random, normalized=random.chance(0.3), integer=False)

    def reals(name: str, present: bool, *shape: int) -> Operand | None:
        return Operand(name, "float32", shape, random.reals(shape, 0.6)) if present else None

    def of_gates(name: str, present: bool, gates: str, *shape: int) -> list[Operand | None]:
        return [reals(f"{name}_{gate}", present and gate in lstm.gates(), *shape) for gate in gates]

    operands = [Operand("x", "float32", lstm.sequence(lstm.features))]
    operands += of_gates("w", True, GATES, lstm.cells, lstm.features)
    operands += of_gates("r", True, GATES, lstm.cells, lstm.outputs)
    operands += of_gates("p", lstm.peepholes, "ifo", lstm.cells) + of_gates("b", True, GATES, lstm.cells)
    biased = lstm.projected and random.chance(0.7)
    operands += [reals("projection", lstm.projected, lstm.outputs, lstm.cells)]
    operands += [reals("projection_bias", biased, lstm.outputs)]
    operands += [
        Operand("h", "float32", (lstm.batch, lstm.outputs), variable=True),
        Operand("c", "float32", (lstm.batch, lstm.cells), variable=True),
    ]
    operands += of_gates("n", True, GATES, lstm.cells) if lstm.normalized else []
    # Without an activation the kernel takes what the cell gate gave for the cells: nablac refuses such a layer.
    activation = TANH if random.chance(0.6) else int(random.generator.choice(FLOAT_ACTIVATIONS[1:]))
    output = Operand("y", "float32", lstm.sequence(lstm.outputs))
    return Network(LSTM, LSTM_OPTIONS, lstm.fields(random, activation), operands, output)


def inputs_of(network: Network, random: Random) -> list[np.ndarray]:
    """One input for each run."""
    [x] = [operand for operand in network.inputs if operand and operand.value is None and not operand.variable]
    draw = (lambda: random.integers("int8", x.shape, 127)) if x.dtype == "int8" else (lambda: random.reals(x.shape, 1.0))
    return [draw() for _ in range(STEPS * SEQUENCES)]


def run(data: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What TFLite's reference kernels compute; the variables are reset before each sequence."""
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    [source], [sink] = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for step, value in enumerate(inputs):
        if step % STEPS == 0:
            interpreter.reset_all_variables()
        interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(sink["index"]).copy())
    return outputs


def case_of(name: str, network: Network, random: Random) -> Case:
    """The file, and the values of all its runs along an axis in front."""
    data, inputs = file_of(network), inputs_of(network, random)
    x, y = np.stack(inputs), np.stack(run(data, inputs))

    def tensor(name: str, value: np.ndarray) -> Tensor:
        return Tensor(name, value.dtype.name, list(value.shape[1:]), value)

    return Case(
        name, data, [network.code], None, [tensor("x", x)], [tensor("y", y)], TOLERANCE, TOLERANCE, steps=STEPS
    )


def cases() -> Iterator[Case]:
    """All of them."""
    kinds = (
        ("svdf_int8", integer_svdf, INTEGER_CASES),
        ("svdf_float", float_svdf, FLOAT_CASES),
        ("lstm_int8", integer_lstm, INTEGER_CASES),
        ("lstm_float", float_lstm, FLOAT_CASES),
    )
    for kind, draw, count in kinds:
        for number in range(count):
            name = f"{kind}_{number:03}"
            random = Random(name)
            yield case_of(name, draw(random), random)


def main() -> None:
    """Writes the suite to the folder of the command line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/conformance/tflite_recurrent")
    count = write_suite(folder, f"ai-edge-litert {version('ai-edge-litert')}", "model.tflite", cases())
    print(f"{count} tests in {folder}")


if __name__ == "__main__":
    main()
