"""The networks that are too large to keep as files: their architectures, with random weights."""

from collections.abc import Callable

from .description import Network


def mobilenet_v2() -> Network:
    """MobileNetV2 with width 1 for images of 224×224."""
    network = Network("mobilenetv2")
    last = network.conv(network.input(1, 224, 224, 3), 32, 3, 2, "relu6")
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, channels, repeats, stride in stages:
        for repeat in range(repeats):
            last = _inverted_residual(network, last, expansion, channels, 1 if repeat else stride)
    last = network.conv(last, 1280, 1, 1, "relu6")
    network.dense(network.mean(last), 1000)
    return network


def _inverted_residual(network: Network, source: int, expansion: int, channels: int, stride: int) -> int:
    depth = network.nodes[source].shape[3]
    last = source if expansion == 1 else network.conv(source, depth * expansion, 1, 1, "relu6")
    last = network.depthwise(last, 3, stride, "relu6")
    last = network.conv(last, channels, 1, 1, None)
    return network.add(source, last) if stride == 1 and depth == channels else last


def resnet18() -> Network:
    """ResNet-18 for images of 224×224."""
    network = Network("resnet18")
    last = network.max_pool(network.conv(network.input(1, 224, 224, 3), 64, 7, 2), 3, 2)
    for channels, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        last = _basic_block(network, last, channels, stride)
        last = _basic_block(network, last, channels, 1)
    network.dense(network.mean(last), 1000)
    return network


def _basic_block(network: Network, source: int, channels: int, stride: int) -> int:
    last = network.conv(source, channels, 3, stride)
    last = network.conv(last, channels, 3, 1, None)
    shortcut = source if stride == 1 else network.conv(source, channels, 1, stride, None)
    return network.add(last, shortcut, "relu")


def matmul512() -> Network:
    """The product of two matrices of 512×512 that both change from run to run."""
    network = Network("matmul512")
    network.matmul(network.input(512, 512), network.input(512, 512))
    return network


ARCHITECTURES: dict[str, Callable[[], Network]] = {
    "matmul512": matmul512,
    "mobilenetv2": mobilenet_v2,
    "resnet18": resnet18,
}
