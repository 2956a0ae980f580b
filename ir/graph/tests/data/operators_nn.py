"""Writes operators_nn.json: single operators, their inputs, and what the frameworks' own runtimes compute.

    pip install numpy onnx onnxruntime ai-edge-litert
    python operators_nn.py

ONNX operators run in ONNX Runtime (CPU, optimizations off), TFLite operators in LiteRT's reference kernels. Neither shares
code with this project. Versions used: onnx 1.23.2, onnxruntime 1.31.1, ai-edge-litert 2.3.0.
"""

import json
import pathlib

import flatbuffers
import numpy as np
import onnx
import onnxruntime
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnx import TensorProto, helper

CASES = []
RANDOM = np.random.default_rng(7)
TYPES = {"float32": "f32", "int64": "i64", "int32": "i32", "uint8": "u8", "int8": "i8", "bool": "bool"}
OPSET = 22


def values(*shape):
    """Numbers of two decimals in -2 .. 2."""
    return np.round(RANDOM.uniform(-2, 2, shape), 2).astype(np.float32)


def positive(*shape):
    return np.round(RANDOM.uniform(0.5, 2, shape), 2).astype(np.float32)


def tensor(array, constant=False):
    if array is None:
        return None
    array = np.asarray(array)
    data = [float(str(x)) if array.dtype == np.float32 else x.item() for x in array.reshape(-1)]
    return {"type": TYPES[str(array.dtype)], "shape": list(array.shape), "data": data, "constant": constant}


def add(name, framework, operator, version, inputs, constants, attributes, outputs):
    CASES.append({
        "name": name,
        "framework": framework,
        "operator": operator,
        "version": version,
        "inputs": [tensor(x, i in constants) for i, x in enumerate(inputs)],
        "attributes": attributes,
        "outputs": [tensor(y) for y in outputs],
    })


def onnx_case(name, operator, inputs, attributes={}, opset=OPSET, constants=(), outputs=1):
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    given = {n: np.asarray(x) for n, x in zip(names, inputs) if x is not None}
    results = [f"y{i}" for i in range(outputs)]
    element = lambda a: helper.np_dtype_to_tensor_dtype(a.dtype)
    fixed = [onnx.numpy_helper.from_array(given[names[i]], names[i]) for i in constants]
    graph = helper.make_graph(
        [helper.make_node(operator, names, results, **attributes)],
        "case",
        [helper.make_tensor_value_info(n, element(a), a.shape) for n, a in given.items() if n not in [names[i] for i in constants]],
        [helper.make_value_info(y, onnx.TypeProto()) for y in results],
        fixed,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10 if opset > 20 else 8)
    model = onnx.shape_inference.infer_shapes(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {i.name: given[i.name] for i in session.get_inputs()}
    add(name, "onnx", operator, opset, inputs, constants, attributes, session.run(None, feed))


TFLITE_TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}


def tflite_case(name, operator, inputs, options_name="", attributes={}, constants=(), version=1):
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, positions = [], [], []

    def add_tensor(array, label, shape):
        t = schema.TensorT()
        t.name, t.shape, t.type = label, list(shape), TFLITE_TYPES[str(array.dtype)]
        t.buffer = 0
        graph.tensors.append(t)
        return t

    for i, x in enumerate(inputs):
        if x is None:
            positions.append(-1)
            continue
        x = inputs[i] = np.asarray(x)
        t = add_tensor(x, f"x{i}", x.shape)
        positions.append(len(graph.tensors) - 1)
        if i in constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(x.tobytes(), np.uint8)
            model.buffers.append(buffer)
            t.buffer = len(model.buffers) - 1
        else:
            graph.inputs.append(positions[-1])
    add_tensor(np.zeros(1, np.float32), "y", [])
    graph.outputs = [len(graph.tensors) - 1]
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, positions, graph.outputs
    if options_name:
        op.builtinOptionsType = getattr(schema.BuiltinOptions, options_name)
        op.builtinOptions = getattr(schema, options_name + "T")()
        for key, value in attributes.items():
            camel = key.split("_")[0] + "".join(w.capitalize() for w in key.split("_")[1:])
            assert hasattr(op.builtinOptions, camel), camel
            setattr(op.builtinOptions, camel, value)
    graph.operators = [op]
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, operator)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    model.operatorCodes, model.subgraphs = [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    interpreter = Interpreter(
        model_content=bytes(builder.Output()), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[int(detail["name"][1:])])
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    add(name, "tflite", operator, version, inputs, constants, attributes, [y])


def convolutions():
    conv = lambda name, x, w, bias=True, **attributes: onnx_case(
        name, "Conv", [values(*x), values(*w)] + ([values(w[0])] if bias else []), attributes)
    conv("plain", (1, 2, 4, 3), (3, 2, 2, 2))
    conv("without bias, point-wise", (2, 3, 2, 2), (2, 3, 1, 1), bias=False)
    conv("asymmetric padding and strides", (1, 2, 5, 4), (2, 2, 3, 2), pads=[1, 0, 2, 1], strides=[2, 1])
    conv("padding that no window reaches", (1, 1, 6, 6), (1, 1, 2, 2), pads=[0, 0, 1, 1], strides=[2, 2])
    conv("dilations", (1, 1, 6, 5), (2, 1, 2, 3), dilations=[3, 2], pads=[0, 1, 0, 1])
    conv("groups", (1, 4, 3, 3), (6, 2, 2, 2), group=2)
    conv("depthwise", (1, 3, 4, 4), (3, 1, 3, 3), group=3, pads=[1, 1, 1, 1])
    conv("depthwise with multiplier", (1, 2, 3, 3), (4, 1, 2, 2), group=2)
    conv("same, more behind", (1, 1, 5, 4), (1, 1, 2, 4), auto_pad="SAME_UPPER", strides=[2, 1])
    conv("same, more before", (1, 1, 5, 4), (1, 1, 2, 4), auto_pad="SAME_LOWER", strides=[2, 1])
    conv("valid", (1, 1, 5, 4), (1, 1, 3, 3), auto_pad="VALID")
    conv("one dimension", (2, 2, 6), (3, 2, 3), pads=[2, 1], strides=[2])
    conv("three dimensions", (1, 1, 3, 3, 4), (2, 1, 2, 2, 2), pads=[0, 1, 0, 0, 0, 1], strides=[1, 2, 1])
    conv("first operator set", (1, 1, 3, 3), (1, 1, 2, 2), kernel_shape=[2, 2])

    same = dict(padding=0, stride_h=1, stride_w=1, fused_activation_function=0, dilation_h_factor=1, dilation_w_factor=1)

    def conv_2d(name, x, w, bias=True, **options):
        inputs = [values(*x), values(*w), values(w[0]) if bias else None]
        constants = (1, 2) if bias else (1,)
        tflite_case(name, "CONV_2D", inputs, "Conv2DOptions", {**same, **options}, constants)

    conv_2d("same", (1, 5, 4, 2), (3, 3, 2, 2), stride_h=2)
    conv_2d("valid, relu", (1, 5, 4, 2), (3, 3, 2, 2), padding=1, fused_activation_function=1)
    conv_2d("relu6, strides over the edge", (2, 5, 5, 1), (2, 3, 3, 1), stride_h=2, stride_w=3, fused_activation_function=3)
    conv_2d("relu between -1 and 1, dilations", (1, 6, 6, 1), (1, 2, 2, 1), dilation_h_factor=2, dilation_w_factor=3, fused_activation_function=2)
    conv_2d("groups", (1, 3, 3, 4), (4, 2, 2, 2))

    def depthwise(name, x, w, multiplier, **options):
        options = {**same, "depth_multiplier": multiplier, **options}
        inputs = [values(*x), values(*w), values(w[3])]
        tflite_case(name, "DEPTHWISE_CONV_2D", inputs, "DepthwiseConv2DOptions", options, (1, 2))

    depthwise("same", (1, 4, 5, 3), (1, 3, 3, 3), 1, stride_h=2, stride_w=2)
    depthwise("multiplier", (1, 4, 3, 2), (1, 2, 2, 6), 3, padding=1, fused_activation_function=1)
    depthwise("one input channel", (1, 4, 3, 1), (1, 3, 2, 4), 4)


def pools():
    def pool(operator, name, shape, outputs=1, **attributes):
        onnx_case(name, operator, [values(*shape)], attributes, outputs=outputs)

    for operator in ["MaxPool", "AveragePool"]:
        pool(operator, "plain", (2, 2, 3, 4), kernel_shape=[2, 3])
        pool(operator, "asymmetric padding and strides", (1, 2, 5, 5), kernel_shape=[3, 2], strides=[2, 1], pads=[2, 0, 1, 1])
        pool(operator, "ceil", (1, 1, 6, 5), kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1)
        pool(operator, "ceil, a window that would start in the padding", (1, 1, 2, 4), kernel_shape=[1, 2], strides=[2, 2], pads=[0, 0, 0, 1], ceil_mode=1)
        pool(operator, "ceil and padding", (1, 1, 5, 6), kernel_shape=[3, 3], strides=[3, 2], pads=[1, 0, 1, 1], ceil_mode=1)
        pool(operator, "dilations", (1, 1, 6, 5), kernel_shape=[2, 2], dilations=[3, 2], pads=[1, 0, 0, 1])
        pool(operator, "same, more behind", (1, 1, 5, 4), kernel_shape=[2, 4], strides=[2, 1], auto_pad="SAME_UPPER")
        pool(operator, "same, more before", (1, 1, 5, 4), kernel_shape=[2, 4], strides=[2, 1], auto_pad="SAME_LOWER")
        pool(operator, "valid", (1, 1, 5, 4), kernel_shape=[2, 3], strides=[2, 1], auto_pad="VALID")
        pool(operator, "one dimension", (1, 2, 7), kernel_shape=[3], strides=[3], pads=[1, 1])
        pool(operator, "three dimensions", (1, 1, 3, 3, 3), kernel_shape=[2, 2, 2], pads=[0, 1, 0, 0, 0, 1])
    pool("AveragePool", "padding counts", (1, 1, 4, 4), kernel_shape=[3, 2], pads=[1, 1, 1, 0], count_include_pad=1)
    pool("AveragePool", "padding counts, what is beyond it does not", (1, 1, 5, 6), kernel_shape=[3, 3], strides=[3, 2],
         pads=[1, 1, 1, 0], count_include_pad=1, ceil_mode=1)
    pool("MaxPool", "positions", (2, 2, 4, 5), 2, kernel_shape=[2, 3], strides=[2, 1], pads=[1, 0, 0, 1])
    pool("MaxPool", "positions in columns", (2, 2, 4, 5), 2, kernel_shape=[2, 2], dilations=[2, 1], storage_order=1)
    onnx_case("bytes", "MaxPool", [RANDOM.integers(0, 255, (1, 1, 3, 3)).astype(np.uint8)], {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]})
    for operator in ["GlobalMaxPool", "GlobalAveragePool"]:
        pool(operator, "an image", (2, 3, 3, 2))
        pool(operator, "a series", (1, 2, 5))

    same = dict(padding=0, stride_h=1, stride_w=1, filter_height=2, filter_width=2, fused_activation_function=0)
    for operator in ["MAX_POOL_2D", "AVERAGE_POOL_2D"]:
        lite = lambda name, shape, **options: tflite_case(name, operator, [values(*shape)], "Pool2DOptions", {**same, **options})
        lite("same", (1, 5, 4, 2), stride_h=2, filter_height=3)
        lite("same, strides over the edge", (1, 5, 5, 1), stride_h=3, stride_w=2, filter_height=3, filter_width=3)
        lite("valid, relu", (2, 4, 5, 2), padding=1, stride_w=2, filter_width=3, fused_activation_function=1)


def matrices():
    def gemm(name, a, b, *c, **attributes):
        onnx_case(name, "Gemm", [values(*x) for x in (a, b, *c)], attributes)

    gemm("a bias per column", (2, 3), (3, 4), (4,))
    gemm("a bias per row, transposed", (3, 2), (4, 3), (2, 1), transA=1, transB=1)
    gemm("without summand", (2, 3), (3, 2))
    gemm("scaled", (2, 3), (4, 3), (1, 4), transB=1, alpha=0.5, beta=2.0)
    gemm("scaled without summand", (2, 3), (3, 2), alpha=0.25)
    gemm("a scaled scalar", (2, 3), (3, 2), (), beta=0.5)

    def mat_mul(name, a, b):
        onnx_case(name, "MatMul", [values(*a), values(*b)])

    mat_mul("two matrices", (2, 3), (3, 4))
    mat_mul("stacks", (2, 2, 3), (2, 3, 2))
    mat_mul("broadcast", (2, 1, 2, 3), (3, 3, 2))
    mat_mul("stack by matrix", (2, 2, 3), (3, 2))
    mat_mul("vector by vector", (3,), (3,))
    mat_mul("vector by matrix", (3,), (3, 2))
    mat_mul("matrix by vector", (2, 3), (3,))
    mat_mul("stack by vector", (2, 2, 3), (3,))
    mat_mul("vector by stack", (3,), (2, 3, 2))
    mat_mul("inner extent of one", (2, 1), (1, 3))
    for adj_x, adj_y in [(False, False), (True, False), (False, True), (True, True)]:
        a, b = values(2, 3, 2) if adj_x else values(2, 2, 3), values(2, 4, 3) if adj_y else values(2, 3, 4)
        tflite_case(f"adjoint {adj_x} {adj_y}", "BATCH_MATMUL", [a, b], "BatchMatMulOptions", dict(adj_x=adj_x, adj_y=adj_y))

    def dense(name, x, w, bias=True, **options):
        options = {"fused_activation_function": 0, "weights_format": 0, "keep_num_dims": False, **options}
        inputs = [values(*x), values(*w), values(w[0]) if bias else None]
        tflite_case(name, "FULLY_CONNECTED", inputs, "FullyConnectedOptions", options, (1, 2) if bias else (1,))

    dense("plain", (2, 3), (4, 3))
    dense("without bias, relu", (2, 3), (4, 3), bias=False, fused_activation_function=1)
    dense("an image", (2, 2, 1, 3), (2, 6))
    dense("rows of an image", (2, 2, 3), (2, 3))
    dense("dimensions kept", (2, 2, 3), (2, 3), keep_num_dims=True)


def normalizations():
    def batch(name, *shape, opset=15, **attributes):
        c = shape[1]
        onnx_case(name, "BatchNormalization", [values(*shape), values(c), values(c), values(c), positive(c)], attributes, opset)

    batch("an image", 2, 3, 2, 2)
    batch("a large epsilon", 1, 2, 3, epsilon=0.5)
    batch("before training mode", 1, 2, 3, opset=9)
    batch("no space", 3, 2)

    def layer(name, *shape, axis=-1, bias=True, outputs=1, **attributes):
        own = shape[axis:] if axis else shape
        inputs = [values(*shape), values(*own)] + ([values(*own)] if bias else [])
        onnx_case(name, "LayerNormalization", inputs, {"axis": axis, **attributes}, 17, outputs=outputs)

    layer("the last dimension", 2, 3, 4)
    layer("two dimensions without bias", 2, 3, 4, axis=1, bias=False, epsilon=0.01)
    layer("everything", 2, 3, axis=0)
    layer("mean and deviation", 2, 3, 4, axis=-2, outputs=3)


def softmaxes():
    def softmax(name, *shape, opset=OPSET, **attributes):
        onnx_case(name, "Softmax", [values(*shape) * 3], attributes, opset)

    softmax("the last dimension", 2, 3)
    softmax("channels", 1, 3, 2, 2, axis=1)
    softmax("negative axis", 2, 3, 2, axis=-2)
    softmax("as a matrix", 2, 3, 2, opset=11)
    softmax("as a matrix, last axis", 2, 3, 2, opset=11, axis=2)
    softmax("as a matrix of one row", 2, 3, opset=11, axis=0)
    onnx_case("large values", "Softmax", [np.array([[1000, 1001, 999], [-1000, -1001, -1002]], np.float32)])
    tflite_case("plain", "SOFTMAX", [values(2, 4)], "SoftmaxOptions", dict(beta=1.0))
    tflite_case("beta", "SOFTMAX", [values(2, 2, 3)], "SoftmaxOptions", dict(beta=0.5))


def reductions():
    for operator, lite in [("ReduceMean", "MEAN"), ("ReduceSum", "SUM"), ("ReduceMax", "REDUCE_MAX"), ("ReduceMin", "REDUCE_MIN")]:
        def reduce(name, over=None, opset=18, **attributes):
            inputs = [values(2, 3, 2)] + ([np.array(over, np.int64)] if over is not None else [])
            onnx_case(name, operator, inputs, attributes, opset, constants=range(1, len(inputs)))

        reduce("one dimension", [1])
        reduce("two dimensions", [-1, 0], keepdims=0)
        reduce("all dimensions")
        reduce("all dimensions, empty axes", [], keepdims=0)
        reduce("no dimension", [], noop_with_empty_axes=1)
        reduce("axes as an attribute", None, 11, axes=[0, 2])
        onnx_case("integers", operator, [RANDOM.integers(-9, 9, (2, 3)).astype(np.int32), np.array([1])], {"keepdims": 0}, 18, (1,))
        tflite_case("an image", lite, [values(1, 3, 2, 2), np.array([1, 2], np.int32)], "ReducerOptions", dict(keep_dims=False), (1,))
        tflite_case("kept", lite, [values(2, 3, 2), np.array([-1], np.int32)], "ReducerOptions", dict(keep_dims=True), (1,))
    truths = np.array([[True, False], [False, False], [True, True]])
    for operator in ["ReduceMax", "ReduceMin"]:
        onnx_case("truths", operator, [truths, np.array([1])], {}, 20, (1,))


def transposed_convolutions():
    def transposed(name, x, w, bias=None, **attributes):
        inputs = [values(*x), values(*w)] + ([values(bias)] if bias else [])
        onnx_case(name, "ConvTranspose", inputs, attributes)

    transposed("plain", (1, 2, 2, 3), (2, 3, 2, 2), bias=3)
    transposed("strides over untouched points", (1, 1, 3, 2), (1, 2, 2, 1), strides=[3, 2])
    transposed("asymmetric padding, dilations", (1, 2, 4, 3), (2, 1, 2, 3), pads=[1, 0, 2, 1], dilations=[2, 1], strides=[1, 2])
    transposed("output padding", (1, 1, 3, 3), (1, 1, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 0], bias=1)
    transposed("groups", (1, 4, 2, 2), (4, 3, 2, 2), bias=6, group=2)
    transposed("depthwise", (1, 3, 3, 2), (3, 1, 2, 2), group=3, strides=[2, 1])
    transposed("one group's channel", (1, 2, 3), (2, 2, 2), group=2)
    transposed("output shape", (1, 1, 3, 3), (1, 1, 3, 3), strides=[3, 2], output_shape=[8, 8])
    transposed("output shape, same", (1, 1, 3, 3), (1, 1, 3, 4), strides=[2, 2], output_shape=[6, 7], auto_pad="SAME_UPPER")
    transposed("same, more behind", (1, 1, 3, 3), (1, 1, 3, 2), strides=[2, 1], auto_pad="SAME_UPPER")
    transposed("same, more before", (1, 1, 3, 3), (1, 1, 3, 2), strides=[2, 1], auto_pad="SAME_LOWER")
    transposed("one dimension", (2, 2, 4), (2, 1, 3), strides=[2], pads=[1, 0])
    transposed("three dimensions", (1, 1, 2, 2, 2), (1, 1, 2, 2, 1), strides=[1, 2, 2])

    def lite(name, x, w, out, bias=False, **options):
        options = {"padding": 0, "stride_h": 1, "stride_w": 1, "fused_activation_function": 0, **options}
        inputs = [np.array(out, np.int32), values(*w), values(*x)] + ([values(w[0])] if bias else [])
        constants = (0, 1, 3) if bias else (0, 1)
        tflite_case(name, "TRANSPOSE_CONV", inputs, "TransposeConvOptions", options, constants, 3 if bias else 1)

    lite("same", (1, 3, 2, 2), (3, 3, 3, 2), (1, 6, 4, 3), stride_h=2, stride_w=2)
    lite("same, an odd extent", (1, 3, 2, 1), (1, 3, 2, 1), (1, 5, 4, 1), stride_h=2, stride_w=2)
    lite("valid, bias", (1, 2, 3, 2), (2, 3, 2, 2), (1, 5, 4, 2), True, padding=1, stride_h=2)
    lite("points beyond all windows", (1, 2, 2, 1), (1, 1, 2, 1), (1, 4, 4, 1), padding=1, stride_h=3, stride_w=2)


if __name__ == "__main__":
    for chapter in [convolutions, pools, matrices, normalizations, softmaxes, reductions, transposed_convolutions]:
        chapter()
    text = "[\n" + ",\n".join(json.dumps(case) for case in CASES) + "\n]\n"
    pathlib.Path(__file__).with_suffix(".json").write_text(text)
    print(len(CASES), "cases,", len(text), "bytes")
