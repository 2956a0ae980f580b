"""Trains a small convolutional network on scikit-learn's handwritten digits and writes it as ONNX.

    python3 -m venv .cache/digits
    .cache/digits/bin/pip install -r examples/digits/requirements.txt
    .cache/digits/bin/python examples/digits/train.py

writes, into the folder above this one:

    digits.onnx        the network: float32 [1, 1, 8, 8] in 0..1 to ten probabilities
    digits.train.npz   `images` and `labels` it was trained on
    digits.test.npz    `images` and `labels` it has not seen
    digits.in.npz      ten of the test images, under the name of the network's input
    digits.out.npz     what ONNX Runtime makes of them, under the name of the network's output

The network is laid out the way PyTorch exports one: NCHW, batch normalization still a node of its own.
"""

import os

# One thread and a stated instruction set, so that float sums keep their order and a second run writes the same bytes.
os.environ["XLA_FLAGS"] = "--xla_cpu_max_isa=AVX2 --xla_cpu_multi_thread_eigen=false"
os.environ["JAX_PLATFORMS"] = "cpu"

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

FOLDER = Path(__file__).resolve().parent.parent
SEED = 0
CLASSES = 10
CHANNELS = (8, 16)  # of the two convolutions
EPOCHS = 20
BATCH = 64
PEAK_RATE = 5e-3
WEIGHT_DECAY = 1e-3
BATCH_NORM_EPSILON = 1e-5  # PyTorch's default
BATCH_NORM_MOMENTUM = 0.9
LOWEST_ACCURACY = 0.97
VERIFIED_SAMPLES = 10


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test images as [sample, channel, row, column] in 0..1, and their labels."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None, :, :]
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=SEED, stratify=labels
    )
    return train_images, train_labels, test_images, test_labels


def initial_weights(generator: np.random.Generator) -> dict[str, np.ndarray]:
    """He-normal weights; the names are those that the ONNX file gives them."""
    first, second = CHANNELS
    features = second * 4 * 4  # one pooling halves the 8 x 8 image

    def normal(*shape: int) -> np.ndarray:
        fan_in = int(np.prod(shape[1:]))
        return (generator.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)

    return {
        "conv1.weight": normal(first, 1, 3, 3),
        "bn1.weight": np.ones(first, np.float32),
        "bn1.bias": np.zeros(first, np.float32),
        "conv2.weight": normal(second, first, 3, 3),
        "conv2.bias": np.zeros(second, np.float32),
        "fc.weight": normal(CLASSES, features),
        "fc.bias": np.zeros(CLASSES, np.float32),
    }


def convolve(images, weight):
    """3 x 3 convolution over NCHW that keeps the image's size."""
    return jax.lax.conv_general_dilated(images, weight, (1, 1), ((1, 1), (1, 1)))


def per_channel(vector):
    """A vector with one element per channel, shaped to broadcast over NCHW."""
    return vector[None, :, None, None]


def training_scores(weights, images):
    """Unnormalized class scores, and the batch's mean and variance in the normalization layer."""
    hidden = convolve(images, weights["conv1.weight"])
    mean = hidden.mean((0, 2, 3))
    variance = hidden.var((0, 2, 3))
    hidden = (hidden - per_channel(mean)) / jnp.sqrt(per_channel(variance) + BATCH_NORM_EPSILON)
    hidden = hidden * per_channel(weights["bn1.weight"]) + per_channel(weights["bn1.bias"])
    hidden = jax.nn.relu(hidden)
    samples, channels, rows, columns = hidden.shape
    hidden = hidden.reshape(samples, channels, rows // 2, 2, columns // 2, 2).max((3, 5))
    hidden = convolve(hidden, weights["conv2.weight"]) + per_channel(weights["conv2.bias"])
    hidden = jax.nn.relu(hidden).reshape(samples, -1)
    return hidden @ weights["fc.weight"].T + weights["fc.bias"], (mean, variance)


def loss(weights, images, labels):
    """Mean cross-entropy."""
    scores, moments = training_scores(weights, images)
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1).mean(), moments


@jax.jit
def adam_step(weights, first_moment, second_moment, running, step, rate, images, labels):
    """One AdamW step; also moves the running mean and variance of the normalization layer."""
    (value, moments), gradient = jax.value_and_grad(loss, has_aux=True)(weights, images, labels)
    count = images.shape[0] * images.shape[2] * images.shape[3]
    mean, variance = moments
    batch = (mean, variance * count / (count - 1))  # the running variance is the unbiased one, as in PyTorch
    running = jax.tree.map(lambda old, now: BATCH_NORM_MOMENTUM * old + (1 - BATCH_NORM_MOMENTUM) * now, running, batch)
    first_moment = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first_moment, gradient)
    second_moment = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second_moment, gradient)

    def moved(weight, m, v):
        direction = (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.999**step)) + 1e-8)
        return weight - rate * (direction + WEIGHT_DECAY * weight)

    return jax.tree.map(moved, weights, first_moment, second_moment), first_moment, second_moment, running, value


def train(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The trained weights together with the normalization layer's running mean and variance."""
    generator = np.random.default_rng(SEED)
    weights = initial_weights(generator)
    first_moment = jax.tree.map(np.zeros_like, weights)
    second_moment = jax.tree.map(np.zeros_like, weights)
    running = (np.zeros(CHANNELS[0], np.float32), np.ones(CHANNELS[0], np.float32))
    batches = len(images) // BATCH
    step = 0
    for epoch in range(EPOCHS):
        rate = PEAK_RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = generator.permutation(len(images))
        total = 0.0
        for batch in range(batches):
            step += 1
            chosen = order[batch * BATCH : (batch + 1) * BATCH]
            weights, first_moment, second_moment, running, value = adam_step(
                weights, first_moment, second_moment, running,
                np.float32(step), np.float32(rate), images[chosen], labels[chosen],
            )  # fmt: skip
            total += float(value)
        if (epoch + 1) % 5 == 0:
            print(f"epoch {epoch + 1:3}  loss {total / batches:.4f}", flush=True)
    trained = {name: np.asarray(value) for name, value in weights.items()}
    trained["bn1.running_mean"], trained["bn1.running_var"] = (np.asarray(value) for value in running)
    return trained


def onnx_model(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The network as an ONNX file of opset 17 with a fixed batch of one."""
    nodes = [
        helper.make_node("Conv", ["images", "conv1.weight"], ["conv1"], "conv1",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1),
        helper.make_node("BatchNormalization",
                         ["conv1", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"],
                         ["bn1"], "bn1", epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM),
        helper.make_node("Relu", ["bn1"], ["relu1"], "relu1"),
        helper.make_node("MaxPool", ["relu1"], ["pool1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool1", "conv2.weight", "conv2.bias"], ["conv2"], "conv2",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1], dilations=[1, 1], group=1),
        helper.make_node("Relu", ["conv2"], ["relu2"], "relu2"),
        helper.make_node("Flatten", ["relu2"], ["flat"], "flatten", axis=1),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["scores"], "fc", transB=1),
        helper.make_node("Softmax", ["scores"], ["probabilities"], "softmax", axis=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in sorted(weights.items())],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="examples/digits/train.py"
    )
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def probabilities(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """ONNX Runtime's outputs, sample by sample, without its graph rewrites and on one thread."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], {"images": image[None]})[0] for image in images])


def main() -> None:
    train_images, train_labels, test_images, test_labels = load()
    weights = train(train_images, train_labels)
    model = onnx_model(weights)
    outputs = probabilities(model, test_images)
    accuracy = float((outputs.argmax(1) == test_labels).mean())
    parameters = sum(value.size for value in weights.values())
    print(f"{parameters} parameters, {accuracy:.2%} of {len(test_labels)} test images right")
    if accuracy < LOWEST_ACCURACY:
        raise SystemExit(f"the test accuracy is below {LOWEST_ACCURACY:.0%}: nothing was written")

    onnx.save(model, FOLDER / "digits.onnx")
    np.savez_compressed(FOLDER / "digits.train.npz", images=train_images, labels=train_labels)
    np.savez_compressed(FOLDER / "digits.test.npz", images=test_images, labels=test_labels)
    np.savez_compressed(FOLDER / "digits.in.npz", images=test_images[:VERIFIED_SAMPLES])
    np.savez_compressed(FOLDER / "digits.out.npz", probabilities=outputs[:VERIFIED_SAMPLES])


if __name__ == "__main__":
    main()
