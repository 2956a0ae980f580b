"""The networks that the suite writes."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from suite import macs
from suite.networks import onnx_file, tflite_file
from suite.networks.architectures import ARCHITECTURES
from suite.networks.description import Network


def every_kind() -> Network:
    """One node of each kind, with strides, even and odd extents and both activations."""
    network = Network("every_kind")
    last = network.conv(network.input(1, 15, 10, 3), 8, 3, 2, "relu6")
    last = network.add(last, network.depthwise(last, 3, 1, None), "relu")
    last = network.max_pool(network.depthwise(last, 3, 2), 3, 2)
    network.dense(network.mean(network.conv(last, 5, 1, 1, None)), 4)
    return network


class Networks(unittest.TestCase):
    def test_both_formats_compute_the_same(self):
        network = every_kind()
        image = np.random.default_rng(1).normal(size=(1, 15, 10, 3)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            as_onnx, as_tflite = Path(folder) / "n.onnx", Path(folder) / "n.tflite"
            onnx_file.write(network, as_onnx)
            tflite_file.write(network, as_tflite)
            (one,) = onnxruntime.InferenceSession(as_onnx).run(None, {"v0": image.transpose(0, 3, 1, 2)})
            interpreter = Interpreter(str(as_tflite))
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
            interpreter.invoke()
            other = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        self.assertGreater(np.ptp(one), 0.1)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)

    def test_products_are_those_of_the_architectures(self):
        published = {"matmul512": 512**3, "mobilenetv2": 300.8e6, "resnet18": 1814.1e6}
        with tempfile.TemporaryDirectory() as folder:
            for name, expected in published.items():
                path = Path(folder) / f"{name}.onnx"
                onnx_file.write(ARCHITECTURES[name](), path)
                self.assertAlmostEqual(macs.count(onnx.load(path)) / expected, 1, places=3, msg=name)


if __name__ == "__main__":
    unittest.main()
