"""Benchmark model: ResNet-50 v1.5 with random weights.

The graph an exporter writes for inference: each batch normalisation is folded into the weights
and the bias of its convolution. "v1.5" means that the stride of a stage sits in the 3x3
convolution, not in the 1x1 before it.

Source: He et al., "Deep Residual Learning for Image Recognition", 2016, table 1.
"""

import numpy as np
import onnx

from .common import ROWS, SEED
from .graph import FLOAT, Graph

SIDE = 224
CLASSES = 1000

# Blocks and inner channels of the four stages; a block's output has four times as many.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
EXPANSION = 4

# Share of He's standard deviation given to the last convolution of a block. With 1, the sixteen
# additions double the variance each; with this the activations stay near their first size.
RESIDUAL = 0.25


def build() -> onnx.ModelProto:
    net = Residual()
    flow = net.convolution("image", 3, 64, kernel=7, stride=2)
    flow = net.node("Relu", flow)
    flow = net.node("MaxPool", flow, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (blocks, inner) in enumerate(STAGES):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            flow = net.block(flow, channels, inner, stride)
            channels = inner * EXPANSION
    flow = net.node("GlobalAveragePool", flow)
    flow = net.node("Flatten", flow, axis=1)
    weight = net.normal("dense", (CLASSES, channels), np.sqrt(1 / channels))
    bias = net.normal("dense_bias", (CLASSES,), 0.01)
    net.node("Gemm", flow, weight, bias, out="logits", transB=1)
    inputs = [("image", FLOAT, [ROWS, 3, SIDE, SIDE])]
    outputs = [("logits", FLOAT, [ROWS, CLASSES])]
    return net.model(inputs, outputs, 1, "ResNet-50 v1.5 with random weights, for benchmarks.")


class Residual(Graph):
    """A graph that draws its own weights."""

    def __init__(self) -> None:
        super().__init__("resnet50")
        self.random = np.random.default_rng(SEED)
        self.convolutions = 0

    def normal(self, name: str, shape: tuple[int, ...], scale: float) -> str:
        return self.weight(name, self.random.normal(scale=scale, size=shape))

    def convolution(
        self, flow: str, inputs: int, outputs: int, kernel: int, stride: int = 1, share: float = 1.0
    ) -> str:
        """Padded so that only the stride changes height and width."""
        count, self.convolutions = self.convolutions, self.convolutions + 1
        shape = (outputs, inputs, kernel, kernel)
        scale = share * np.sqrt(2 / (inputs * kernel * kernel))
        weight = self.normal(f"conv_{count}_weight", shape, scale)
        bias = self.normal(f"conv_{count}_bias", (outputs,), 0.01)
        return self.node(
            "Conv",
            flow,
            weight,
            bias,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )

    def block(self, flow: str, channels: int, inner: int, stride: int) -> str:
        """1x1, 3x3, 1x1, added to the input, which is projected where its shape changes."""
        outputs = inner * EXPANSION
        branch = self.node("Relu", self.convolution(flow, channels, inner, kernel=1))
        branch = self.convolution(branch, inner, inner, kernel=3, stride=stride)
        branch = self.node("Relu", branch)
        branch = self.convolution(branch, inner, outputs, kernel=1, share=RESIDUAL)
        if channels != outputs:
            # No ReLU follows it alone, so half of He's variance keeps the size.
            flow = self.convolution(flow, channels, outputs, 1, stride, share=np.sqrt(0.5))
        return self.node("Relu", self.node("Add", branch, flow))
