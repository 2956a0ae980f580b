"""Writes a model of an old operator set, with all that quantization meets: residuals, concatenations, splits, constants among the data, groups, transposed convolutions, shared weights, and attributes that later became inputs."""

import sys, numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
random = np.random.default_rng(0)
weights = {'w1': (4, 3, 3, 3), 'b1': (4,), 'w2': (4, 4, 1, 1), 'factor': (1, 4, 1, 1), 'rest': (1, 2, 6, 6), 'wd': (4, 1, 3, 3),
           'wt': (4, 2, 2, 2), 'bt': (4,), 'v': (5, 7)}
constants = [numpy_helper.from_array(random.standard_normal(s).astype(np.float32) * 0.5, n) for n, s in weights.items()]
node = helper.make_node
nodes = [
    node('Conv', ['x', 'w1', 'b1'], ['c1']), node('Relu', ['c1'], ['r1']),
    node('Conv', ['r1', 'w2'], ['c2']), node('Conv', ['c2', 'w2'], ['c3']),
    node('Add', ['c3', 'r1'], ['sum']), node('Mul', ['sum', 'factor'], ['scaled']), node('Sigmoid', ['scaled'], ['s']),
    node('Conv', ['s', 'wd'], ['d'], group=4, pads=[1, 1, 1, 1]), node('LeakyRelu', ['d'], ['l'], alpha=0.1),
    node('Concat', ['l', 'rest'], ['joined'], axis=1), node('Split', ['joined'], ['left', 'right'], axis=1, split=[4, 2]),
    node('ConvTranspose', ['left', 'wt', 'bt'], ['t'], group=2, strides=[2, 2]),
    node('ReduceMean', ['t'], ['m'], axes=[2, 3], keepdims=1), node('Squeeze', ['m'], ['q'], axes=[2, 3]),
    node('ReduceMean', ['right'], ['n'], axes=[1, 2, 3], keepdims=0), node('Unsqueeze', ['n'], ['u'], axes=[1]),
    node('Concat', ['q', 'u'], ['f'], axis=1), node('Gemm', ['f', 'v'], ['g'], alpha=0.5),
    node('Softmax', ['g'], ['y'], axis=1), node('Identity', ['s'], ['z']),
]
graph = helper.make_graph(nodes, 'many', [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 3, 8, 8])],
    [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, 7]), helper.make_tensor_value_info('z', TensorProto.FLOAT, [1, 4, 6, 6])],
    constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 11)], ir_version=6)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, sys.argv[1])
