"""Checks a file and prints the percentage of labels that ONNX Runtime gets right with it, without and with its rewrites, and the operators after them."""

import sys, numpy, onnx, onnxruntime
path, data, folder = sys.argv[1:]
onnx.checker.check_model(onnx.load(path), full_check=True)
data = numpy.load(data)
levels = onnxruntime.GraphOptimizationLevel
for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_EXTENDED):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    options.optimized_model_filepath = folder + '/optimized.onnx'
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    got = [session.run(None, {'images': image[None]})[0].argmax() for image in data['images']]
    print(100 * numpy.mean(got == data['labels']))
print(*[node.op_type for node in onnx.load(folder + '/optimized.onnx').graph.node])
