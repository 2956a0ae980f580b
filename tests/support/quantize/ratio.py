"""Runs both files on the samples with ONNX Runtime and prints the signal-to-noise ratio of the outputs in dB, and the operators of the quantized one."""

import sys, numpy, onnx, onnxruntime
float_path, path, data = sys.argv[1:]
model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
def run(path):
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    data_ = numpy.load(data)
    names = [i.name for i in session.get_inputs()]
    count = len(data_[names[0]])
    return numpy.stack([session.run(None, {n: data_[n][i:i + 1] for n in names})[0] for i in range(count)])
expected, got = run(float_path), run(path)
print(10 * numpy.log10(numpy.square(expected).sum() / numpy.square(expected - got).sum()))
print(*[node.op_type for node in model.graph.node])
