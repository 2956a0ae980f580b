"""Prints the share of outputs in which ONNX Runtime and a file of outputs agree, and the largest difference in steps of 1/256."""

import sys, numpy, onnxruntime
path, inputs, outputs = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
expected = numpy.concatenate([session.run(None, {'images': image[None]})[0] for image in numpy.load(inputs)['images']])
got = numpy.load(outputs)['probabilities']
print((expected == got).mean(), 256 * numpy.abs(expected - got).max())
