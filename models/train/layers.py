"""Layers of a small convolutional network and their gradients, in NumPy.

Called by `digits`; calls nothing. Images are [rows, channels, height, width]. Everything is
float64: the rounding of two CPUs then differs by so little that the stored weights agree.
"""

import numpy as np

Params = dict[str, np.ndarray]


def convolve(
    images: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A 3x3 convolution that keeps height and width, and the patches its gradient needs.

    `kernel` is [out channels, in channels, 3, 3], as ONNX has it.
    """
    rows, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(rows * height * width, -1)
    flat = patches @ kernel.reshape(len(kernel), -1).T + bias
    return flat.reshape(rows, height, width, -1).transpose(0, 3, 1, 2), patches


def convolve_gradients(
    slope: np.ndarray, patches: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients by images, kernel and bias, given `slope`, the gradient by the output."""
    flat = slope.transpose(0, 2, 3, 1).reshape(-1, len(kernel))
    by_kernel = (flat.T @ patches).reshape(kernel.shape)
    # The gradient by the images is itself a convolution, with the kernel turned round.
    turned = kernel[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    by_images, _ = convolve(slope, turned, np.zeros(len(turned)))
    return by_images, by_kernel, flat.sum(axis=0)


def pool(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of each 2x2 block, and the share of the gradient each pixel gets.

    Equal maxima share: which of them is first must not matter.
    """
    rows, channels, height, width = images.shape
    blocks = images.reshape(rows, channels, height // 2, 2, width // 2, 2)
    highest = blocks.max(axis=(3, 5), keepdims=True)
    is_highest = blocks == highest
    shares = is_highest / is_highest.sum(axis=(3, 5), keepdims=True)
    return highest[:, :, :, 0, :, 0], shares


def pool_gradient(slope: np.ndarray, shares: np.ndarray) -> np.ndarray:
    rows, channels, height, _, width, _ = shares.shape
    spread = slope[:, :, :, None, :, None] * shares
    return spread.reshape(rows, channels, 2 * height, 2 * width)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Along the last axis; the largest score is subtracted so that nothing overflows."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


class Adam:
    """Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1."""

    def __init__(self, params: Params, rate: float) -> None:
        self.params, self.rate, self.steps = params, rate, 0
        self.mean = {name: np.zeros_like(values) for name, values in params.items()}
        self.square = {name: np.zeros_like(values) for name, values in params.items()}

    def step(self, gradients: Params) -> None:
        """Changes the parameters in place."""
        self.steps += 1
        for name, gradient in gradients.items():
            self.mean[name] += 0.1 * (gradient - self.mean[name])
            self.square[name] += 0.001 * (gradient**2 - self.square[name])
            mean = self.mean[name] / (1 - 0.9**self.steps)
            square = self.square[name] / (1 - 0.999**self.steps)
            self.params[name] -= self.rate * mean / (np.sqrt(square) + 1e-8)
