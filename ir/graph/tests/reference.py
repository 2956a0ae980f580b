"""Writes ir/graph/tests/cases: small models, and what onnxruntime and TFLite's kernels compute for them.

    .cache/python/bin/python ir/graph/tests/reference.py

The interpreter is the one that `./test` installs. A case's random numbers are seeded by its name: adding one leaves the
others as they are. ONNX models are in the text form of `onnx.parser`; the last input of a model whose name starts with
`k` is bound as a constant, as a shape or axes are in exported networks.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/conformance"))

from reference_models import CONTROL_FLOW, ELEMENTWISE, SHAPE, TFLITE_ELEMENTWISE, TFLITE_SHAPE  # noqa: E402
from tflite_file import Input, Operator, Parameter, Weight, build  # noqa: E402

TYPES = {"float32": "f32", "float64": "f64", "bool": "bool"} | {
    f"{sign}int{bits}": f"{letter}{bits}" for sign, letter in (("", "i"), ("u", "u")) for bits in (8, 16, 32, 64)
}


def number(x):
    """A JSON number that reads back as the same value; infinities and NaN as words."""
    if isinstance(x, np.floating):
        return float(str(x)) if np.isfinite(x) else str(float(x)).replace("nan", "NaN")
    return x.item()


def array_json(array: np.ndarray) -> dict:
    """An array by type, shape and elements."""
    array = np.asarray(array)
    return {"type": TYPES[array.dtype.name], "shape": list(array.shape), "values": [number(x) for x in array.ravel()]}


def attribute_json(attribute: onnx.AttributeProto, opset: int) -> dict:
    """An attribute under the name of its kind."""
    value = onnx.helper.get_attribute_value(attribute)
    kinds = onnx.AttributeProto
    match attribute.type:
        case kinds.FLOAT:
            return {"float": number(np.float32(value))}
        case kinds.INT:
            return {"int": value}
        case kinds.STRING:
            return {"text": value.decode()}
        case kinds.INTS:
            return {"ints": list(value)}
        case kinds.FLOATS:
            return {"floats": [number(np.float32(x)) for x in value]}
        case kinds.TENSOR:
            return {"tensor": array_json(onnx.numpy_helper.to_array(value))}
        case kinds.GRAPH:
            return {"graph": graph_json(value, opset)}
    raise SystemExit(f"attribute {attribute.name} is of kind {attribute.type}")


def value_json(info: onnx.ValueInfoProto) -> dict:
    """A graph input by name, type and shape."""
    tensor = info.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return {"name": info.name, "type": TYPES[dtype.name], "shape": [d.dim_value for d in tensor.shape.dim]}


def graph_json(graph: onnx.GraphProto, opset: int) -> dict:
    """A graph as the node list that importers produce."""
    nodes = [
        {
            "name": f"{node.op_type}_{position}",
            "framework": "onnx",
            "operator": node.op_type,
            "version": opset,
            "inputs": list(node.input),
            "outputs": list(node.output),
            "attributes": {a.name: attribute_json(a, opset) for a in node.attribute},
        }
        for position, node in enumerate(graph.node)
    ]
    return {
        "inputs": [value_json(info) for info in graph.input],
        "outputs": [info.name for info in graph.output],
        "constants": {t.name: array_json(onnx.numpy_helper.to_array(t)) for t in graph.initializer},
        "nodes": nodes,
    }


def drawn(info: onnx.ValueInfoProto, generator: np.random.Generator) -> np.ndarray:
    """Random elements with few digits."""
    tensor = info.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    shape = [d.dim_value for d in tensor.shape.dim]
    if dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(bool)
    if np.issubdtype(dtype, np.integer):
        low = 1 if np.issubdtype(dtype, np.unsignedinteger) else -9
        return np.asarray(generator.integers(low, 10, shape)).astype(dtype)
    return np.asarray(np.round(generator.normal(0, 3, shape) * 8) / 8).astype(dtype)


def onnx_case(name: str, text: str, given: dict, opset: int) -> dict:
    """One ONNX model with inputs (`given`, else drawn) and onnxruntime's outputs."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}]> {name} {text}')
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    values = {info.name: np.asarray(given.get(info.name, drawn(info, generator))) for info in model.graph.input}
    for info in list(model.graph.input):
        values[info.name] = values[info.name].astype(
            onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        )
        if info.name.startswith("k"):
            model.graph.initializer.append(onnx.numpy_helper.from_array(values.pop(info.name), info.name))
            model.graph.input.remove(info)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, values)
    return {
        "name": name,
        "model": graph_json(model.graph, opset),
        "inputs": [array_json(values[info.name]) for info in model.graph.input],
        "outputs": [array_json(output) for output in outputs],
    }


def snake_case(name: str) -> str:
    """`stridesW` as the schema's own spelling, `strides_w`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def tflite_case(operator: Operator) -> dict:
    """One TFLite operator with the outputs of TFLite's kernels."""
    name = f"tflite_{operator.name}"
    built = build(operator, np.random.default_rng(zlib.crc32(name.encode())))
    inputs, constants, names = [], {}, []
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    for position, operand in enumerate(operator.inputs):
        if isinstance(operand, Input | Weight):
            value = operand.draw(generator, operand.shape)
        else:
            value = operand.value
        names.append(f"{'input' if isinstance(operand, Input) else 'constant'}{position}")
        if isinstance(operand, Parameter | Weight):
            constants[names[-1]] = array_json(value)
        else:
            assert np.array_equal(value, built.inputs[names[-1]])
            inputs.append({"name": names[-1], "type": TYPES[value.dtype.name], "shape": list(value.shape)})

    def attribute(value):
        if isinstance(value, list):
            return {"ints": value}
        return {"float": value} if isinstance(value, float) else {"int": int(value)}

    node = {
        "name": operator.name,
        "framework": "tflite",
        "operator": operator.code,
        "version": 1,
        "inputs": names,
        "outputs": list(built.outputs),
        "attributes": {snake_case(key): attribute(value) for key, value in operator.fields.items()},
    }
    return {
        "name": name,
        "model": {"inputs": inputs, "outputs": list(built.outputs), "constants": constants, "nodes": [node]},
        "inputs": [array_json(built.inputs[row["name"]]) for row in inputs],
        "outputs": [array_json(output) for output in built.outputs.values()],
    }


def main() -> None:
    files = {
        "elementwise": (ELEMENTWISE, TFLITE_ELEMENTWISE),
        "shape": (SHAPE, TFLITE_SHAPE),
        "control_flow": (CONTROL_FLOW, []),
    }
    for file, (models, operators) in files.items():
        cases = [onnx_case(*case) for case in models] + [tflite_case(operator) for operator in operators]
        rows = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        path = Path(__file__).parent / f"cases/{file}.json"
        path.write_text(f"[\n{rows}\n]\n")
        print(f"{len(cases)} cases in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
