"""Benchmark model: a six-layer text encoder like BERT, with random weights.

Token and position embeddings, post-normalised layers, exact GELU, and the mean of the tokens
that the mask keeps. Left out: the segment embedding, which adds a constant when there is one
segment. Both the batch N and the sequence S are free.

Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019.
"""

import numpy as np
import onnx
from onnx import TensorProto

from .common import ROWS, SEED
from .graph import FLOAT, INT64, Graph

LAYERS = 6
WIDTH = 384
HEADS = 12
HEAD_WIDTH = WIDTH // HEADS
INNER = 1536
VOCABULARY = 30522
POSITIONS_MAX = 512

# Added to the score of a masked token: e^-10000 is zero in float32, and no row becomes NaN.
MASKED = -10000.0


def build() -> onnx.ModelProto:
    net = Encoder()
    flow = net.embed()
    bias = net.mask_bias()
    for layer in range(LAYERS):
        name = f"layer_{layer}"
        attended = net.attention(f"{name}_attention", flow, bias)
        flow = net.normalise(f"{name}_attention_norm", net.node("Add", attended, flow))
        flow = net.normalise(f"{name}_norm", net.node("Add", net.feed_forward(name, flow), flow))
    net.mean_pool(flow)
    axes = [ROWS, "S"]
    inputs = [("input_ids", INT64, axes), ("attention_mask", INT64, axes)]
    outputs = [("embedding", FLOAT, [ROWS, WIDTH])]
    return net.model(
        inputs, outputs, 1, "Six-layer text encoder with random weights, for benchmarks."
    )


def example() -> dict[str, np.ndarray]:
    """One row of 128 tokens, the last 28 of them padding."""
    positions = np.arange(128, dtype=np.int64)
    mask = (positions < 100).astype(np.int64)
    ids = (positions * 1009 + 101) % VOCABULARY * mask
    return {"input_ids": ids.reshape(1, -1), "attention_mask": mask.reshape(1, -1)}


class Encoder(Graph):
    """A graph that draws its own weights."""

    def __init__(self) -> None:
        super().__init__("encoder")
        self.random = np.random.default_rng(SEED)
        self.constants: dict[str, str] = {}

    def normal(self, name: str, shape: tuple[int, ...], scale: float) -> str:
        return self.weight(name, self.random.normal(scale=scale, size=shape))

    def scalar(self, value: float) -> str:
        """One constant per value, shared by all layers."""
        name = f"scalar_{value:.6g}"
        return self.constants.get(name) or self.constants.setdefault(
            name, self.weight(name, np.array(value))
        )

    def shape(self, name: str, *values: int) -> str:
        return self.constants.get(name) or self.constants.setdefault(name, self.ints(name, *values))

    def dense(self, name: str, flow: str, inputs: int, outputs: int) -> str:
        weight = self.normal(f"{name}_weight", (inputs, outputs), np.sqrt(1 / inputs))
        bias = self.normal(f"{name}_bias", (outputs,), 0.02)
        return self.node("Add", self.node("MatMul", flow, weight), bias)

    def normalise(self, name: str, flow: str) -> str:
        scale = self.weight(f"{name}_scale", np.ones(WIDTH))
        shift = self.weight(f"{name}_shift", np.zeros(WIDTH))
        return self.node("LayerNormalization", flow, scale, shift, axis=-1, epsilon=1e-12)

    def embed(self) -> str:
        """[N,S] token numbers to [N,S,384]."""
        tokens = self.normal("token_embedding", (VOCABULARY, WIDTH), 1.0)
        positions = self.normal("position_embedding", (POSITIONS_MAX, WIDTH), 0.5)
        looked_up = self.node("Gather", tokens, "input_ids", axis=0)
        length = self.node("Shape", "input_ids", start=1, end=2)
        used = self.node("Slice", positions, self.shape("zero", 0), length, self.shape("axis_0", 0))
        return self.normalise("embedding_norm", self.node("Add", looked_up, used))

    def mask_bias(self) -> str:
        """[N,1,1,S]: 0 for a token that counts, `MASKED` for one that does not."""
        mask = self.node("Cast", "attention_mask", out="mask", to=TensorProto.FLOAT)
        padding = self.node("Sub", self.scalar(1.0), mask)
        bias = self.node("Mul", padding, self.scalar(MASKED))
        return self.node("Unsqueeze", bias, self.shape("axes_1_2", 1, 2))

    def attention(self, name: str, flow: str, bias: str) -> str:
        query, key, value = (self.heads(f"{name}_{it}", flow) for it in ("query", "key", "value"))
        query = self.node("Transpose", query, perm=[0, 2, 1, 3])
        key = self.node("Transpose", key, perm=[0, 2, 3, 1])
        value = self.node("Transpose", value, perm=[0, 2, 1, 3])
        scores = self.node("MatMul", query, key)
        scores = self.node("Div", scores, self.scalar(float(np.sqrt(HEAD_WIDTH))))
        shares = self.node("Softmax", self.node("Add", scores, bias), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        joined = self.node("Reshape", mixed, self.shape("joined", 0, 0, WIDTH))
        return self.dense(f"{name}_output", joined, WIDTH, WIDTH)

    def heads(self, name: str, flow: str) -> str:
        """[N,S,384] to [N,S,12,32]; a zero in the shape keeps that axis."""
        split = self.shape("heads", 0, 0, HEADS, HEAD_WIDTH)
        return self.node("Reshape", self.dense(name, flow, WIDTH, WIDTH), split)

    def feed_forward(self, name: str, flow: str) -> str:
        inner = self.gelu(self.dense(f"{name}_inner", flow, WIDTH, INNER))
        return self.dense(f"{name}_outer", inner, INNER, WIDTH)

    def gelu(self, flow: str) -> str:
        """x (1 + erf(x / sqrt 2)) / 2: opset 17 has no operator for it."""
        erf = self.node("Erf", self.node("Div", flow, self.scalar(float(np.sqrt(2)))))
        gate = self.node("Add", erf, self.scalar(1.0))
        return self.node("Mul", self.node("Mul", flow, gate), self.scalar(0.5))

    def mean_pool(self, flow: str) -> None:
        """Mean over the tokens that count. A row that masks them all gives zeros."""
        mask = self.node("Unsqueeze", "mask", self.shape("axis_2", 2))
        axis = self.shape("axis_1", 1)
        total = self.node("ReduceSum", self.node("Mul", flow, mask), axis, keepdims=0)
        count = self.node("ReduceSum", mask, axis, keepdims=0)
        self.node("Div", total, self.node("Max", count, self.scalar(1.0)), out="embedding")
