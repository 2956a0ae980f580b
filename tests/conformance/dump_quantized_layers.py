"""Cuts the reference networks in ONNX's QDQ form into their layers, and writes what ONNX Runtime gives for each.

    .cache/python/bin/python tests/conformance/dump_quantized_layers.py MODELS [.cache/conformance/layers]

MODELS is the folder of reference networks. A layer is what stands between two quantized tensors: from the DequantizeLinear
nodes that read computed integers to the QuantizeLinear node that writes the next ones. For layer N of a network there are

    FOLDER/NETWORK/N.onnx      the layer as a model by itself
    FOLDER/NETWORK/N.in.npz    the integers that ONNX Runtime computes for its inputs, one array of samples each
    FOLDER/NETWORK/N.out.npz   those for its output

so that each layer can be fed the reference's own input. Graph optimizations are off: they would fuse the pattern away.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

NETWORKS = ("ad", "kws", "resnet8", "vww")


def computed_inputs(graph: onnx.GraphProto, output: str) -> list[str]:
    """The quantized tensors that the layer behind `output` reads, in the order in which they are found."""
    constants = {tensor.name for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    found: list[str] = []
    pending = [producers[output].input[0]]
    while pending:
        name = pending.pop()
        node = producers.get(name)
        if node is None or name in constants:
            continue
        if node.op_type == "DequantizeLinear":
            source = node.input[0]
            if source not in constants and source not in found:
                found.append(source)
        else:
            pending.extend(input for input in reversed(node.input) if input)
    return found


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1  # the order of float sums
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def traces(model: onnx.ModelProto, names: list[str], samples: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All tensors called `names`, one sample behind the other."""
    inputs = {value.name for value in model.graph.input}
    computed = [name for name in names if name not in inputs]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in computed)
    run = session(exposed)
    count = len(next(iter(samples.values())))
    results = [run.run(None, {name: array[i : i + 1] for name, array in samples.items()}) for i in range(count)]
    found = {name: np.stack([result[k] for result in results]) for k, name in enumerate(computed)}
    return found | {name: array[:, np.newaxis] for name, array in samples.items()}


def dump(path: Path, folder: Path) -> int:
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    layers = [(computed_inputs(model.graph, node.output[0]), node.output[0]) for node in model.graph.node if node.op_type == "QuantizeLinear"]
    layers = [(inputs, output) for inputs, output in layers if inputs]
    names = sorted({name for inputs, output in layers for name in [*inputs, output]})
    arrays = traces(model, names, dict(np.load(f"{path}.in.npz")))
    folder.mkdir(parents=True)
    extractor = onnx.utils.Extractor(model)
    for number, (inputs, output) in enumerate(layers):
        onnx.save(extractor.extract_model(inputs, [output]), folder / f"{number}.onnx")
        np.savez(folder / f"{number}.in.npz", **{name: arrays[name] for name in inputs})
        np.savez(folder / f"{number}.out.npz", **{output: arrays[output]})
    return len(layers)


def main() -> None:
    models = Path(sys.argv[1])
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else ".cache/conformance/layers")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for network in NETWORKS:
        count = dump(models / network / "int8_qdq.onnx", partial / network)
        print(f"{network}: {count} quantized layers")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


if __name__ == "__main__":
    main()
