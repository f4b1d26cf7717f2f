"""A handwritten digit from 8x8 pixels: a small convolutional network, trained in NumPy.

Two 3x3 convolutions, a 2x2 maximum, one dense layer. The pixels stay as they are in the data
set, 0 to 16; the scaling is part of the graph, so that a client need not know of it.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from sklearn.datasets import load_digits

from .common import ROWS, SEED, Built, Inputs, first_rows, rounded, split
from .graph import FLOAT, Graph
from .layers import Adam, Params, convolve, convolve_gradients, pool, pool_gradient, softmax

DOC = "Handwritten digits from 8x8 pixels of 0 to 16: a small convolutional network."

INK_MAX = 16.0
EPOCHS = 12
BATCH_ROWS = 32


def build() -> Iterator[Built]:
    pixels, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = split(pixels, labels)
    train, test = (rows.reshape(-1, 1, 8, 8) for rows in (train, test))
    params = {name: rounded(values) for name, values in learn(train, train_labels).items()}
    guesses = forward(params, test)["scores"].argmax(axis=1)
    yield Built(
        name="digits",
        version=1,
        model=graph(params),
        requests=requests(test),
        accuracy=float(np.mean(guesses == test_labels)),
    )


def requests(test: np.ndarray) -> list[Inputs]:
    one, three, many = first_rows(test, (1, 3, 30))
    # A blank image and a black one close the batch: no digit, but still an answer.
    extremes = np.stack([np.zeros_like(one[0]), np.full_like(one[0], INK_MAX)])
    return [{"image": rows} for rows in (one, three, np.concatenate([many, extremes]))]


def learn(images: np.ndarray, labels: np.ndarray) -> Params:
    random = np.random.default_rng(SEED)
    params = start(random)
    adam = Adam(params, rate=0.002)
    for epoch in range(EPOCHS):
        if epoch == EPOCHS - 3:
            adam.rate /= 10  # settle
        order = random.permutation(len(images))
        for first in range(0, len(order), BATCH_ROWS):
            batch = order[first : first + BATCH_ROWS]
            adam.step(gradients(params, images[batch], labels[batch]))
    return params


def start(random: np.random.Generator) -> Params:
    def he(*shape: int) -> np.ndarray:
        inputs = np.prod(shape[1:])
        return random.normal(scale=np.sqrt(2 / inputs), size=shape)

    return {
        "kernel_1": he(8, 1, 3, 3),
        "bias_1": np.zeros(8),
        "kernel_2": he(16, 8, 3, 3),
        "bias_2": np.zeros(16),
        "dense": he(10, 256),
        "bias_3": np.zeros(10),
    }


def forward(params: Params, images: np.ndarray) -> Params:
    """The scores before softmax, and all that the gradients need on the way back."""
    first, patches_1 = convolve(images / INK_MAX, params["kernel_1"], params["bias_1"])
    second, patches_2 = convolve(np.maximum(first, 0), params["kernel_2"], params["bias_2"])
    pooled, shares = pool(np.maximum(second, 0))
    flat = pooled.reshape(len(images), -1)
    return {
        "first": first,
        "second": second,
        "patches_1": patches_1,
        "patches_2": patches_2,
        "shares": shares,
        "pooled": pooled,
        "flat": flat,
        "scores": flat @ params["dense"].T + params["bias_3"],
    }


def gradients(params: Params, images: np.ndarray, labels: np.ndarray) -> Params:
    """Of the mean cross entropy over the batch."""
    seen = forward(params, images)
    slope = softmax(seen["scores"])
    slope[np.arange(len(labels)), labels] -= 1
    slope /= len(labels)
    by_dense, by_bias_3 = slope.T @ seen["flat"], slope.sum(axis=0)
    slope = pool_gradient((slope @ params["dense"]).reshape(seen["pooled"].shape), seen["shares"])
    slope = slope * (seen["second"] > 0)
    slope, by_kernel_2, by_bias_2 = convolve_gradients(slope, seen["patches_2"], params["kernel_2"])
    slope = slope * (seen["first"] > 0)
    _, by_kernel_1, by_bias_1 = convolve_gradients(slope, seen["patches_1"], params["kernel_1"])
    return {
        "kernel_1": by_kernel_1,
        "bias_1": by_bias_1,
        "kernel_2": by_kernel_2,
        "bias_2": by_bias_2,
        "dense": by_dense,
        "bias_3": by_bias_3,
    }


def graph(params: Params) -> onnx.ModelProto:
    net = Graph("digits")
    for name, values in params.items():
        net.weight(name, values)
    flow = net.node("Div", "image", net.weight("ink_max", np.array(INK_MAX)))
    flow = net.node("Conv", flow, "kernel_1", "bias_1", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    flow = net.node("Relu", flow)
    flow = net.node("Conv", flow, "kernel_2", "bias_2", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    flow = net.node("Relu", flow)
    flow = net.node("MaxPool", flow, kernel_shape=[2, 2], strides=[2, 2])
    flow = net.node("Flatten", flow, axis=1)
    flow = net.node("Gemm", flow, "dense", "bias_3", transB=1)
    net.node("Softmax", flow, out="probabilities", axis=1)
    inputs = [("image", FLOAT, [ROWS, 1, 8, 8])]
    outputs = [("probabilities", FLOAT, [ROWS, 10])]
    return net.model(inputs, outputs, 1, DOC)
