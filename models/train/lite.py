"""Writes TensorFlow Lite files: the few tables of the format that small graphs need.

The numbers are those of the public schema (tensorflow/compiler/mlir/lite/schema/schema.fbs): the
place of a field in its table, codes of operators, types and options.
"""

from dataclasses import dataclass, field

import flatbuffers
import numpy as np

TYPES = {
    "fp32": 0,
    "fp16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bytes": 5,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "fp64": 10,
    "uint64": 12,
    "uint32": 15,
    "uint16": 16,
    "bf16": 18,
}
OPERATORS = {
    "add": 0,
    "conv_2d": 3,
    "dequantize": 6,
    "fully_connected": 9,
    "max_pool_2d": 17,
    "mul": 18,
    "reshape": 22,
    "softmax": 25,
    "gather": 36,
    "transpose": 39,
    "sub": 41,
    "where": 109,
    "quantize": 114,
}
# The code of every operator that goes by a name of its own.
CUSTOM = 32
RELU = 1
# Options by operator: their code, then each option's place, kind and default.
OPTIONS = {
    "conv_2d": (1, {"padding": (0, "Int8", 0), "stride_w": (1, "Int32", 0), "stride_h": (2, "Int32", 0), "activation": (3, "Int8", 0), "dilation_w": (4, "Int32", 1), "dilation_h": (5, "Int32", 1)}),
    "max_pool_2d": (5, {"padding": (0, "Int8", 0), "stride_w": (1, "Int32", 0), "stride_h": (2, "Int32", 0), "width": (3, "Int32", 0), "height": (4, "Int32", 0), "activation": (5, "Int8", 0)}),
    "fully_connected": (8, {"activation": (0, "Int8", 0)}),
    "softmax": (9, {"beta": (0, "Float32", 0.0)}),
    "add": (11, {"activation": (0, "Int8", 0)}),
    "mul": (21, {"activation": (0, "Int8", 0)}),
    "gather": (23, {"axis": (0, "Int32", 0)}),
    "sub": (28, {"activation": (0, "Int8", 0)}),
}  # fmt: skip


@dataclass
class Tensor:
    """-1 in a shape is a length that varies."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes = b""
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    axis: int = 0


@dataclass
class Lite:
    """A graph in the making. `versions` are of operators beyond the first."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[tuple] = field(default_factory=list)

    def tensor(self, name, dtype, shape, scale=None, zero=0):
        scales, zeros = ((), ()) if scale is None else ((scale,), (zero,))
        self.tensors.append(Tensor(name, dtype, tuple(shape), scales=scales, zeros=zeros))
        return len(self.tensors) - 1

    def weight(self, name, values, scales=(), axis=0):
        dtype = {"float32": "fp32"}.get(values.dtype.name, values.dtype.name)
        scales = tuple(float(it) for it in scales)
        it = Tensor(name, dtype, values.shape, np.ascontiguousarray(values).tobytes(), scales)
        it.zeros, it.axis = (0,) * len(scales), axis
        self.tensors.append(it)
        return len(self.tensors) - 1

    def node(self, operator, inputs, outputs, version=1, **options):
        self.operators.append((operator, version, list(inputs), list(outputs), options))

    def save(self, inputs, outputs):
        """The file, with one signature of these tensors, by their names."""
        out = flatbuffers.Builder(1024)
        codes = sorted({(it[0], it[1]) for it in self.operators})
        buffers = [b""] + [it.data for it in self.tensors if it.data]
        places = iter(range(1, len(buffers)))
        tensors = [_tensor(out, it, next(places) if it.data else 0) for it in self.tensors]
        operators = [_operator(out, codes, it) for it in self.operators]
        name = out.CreateString("main")
        parts = [
            (0, _list(out, tensors)),
            (1, _numbers(out, "Int32", inputs)),
            (2, _numbers(out, "Int32", outputs)),
            (3, _list(out, operators)),
            (4, name),
        ]
        graph = _table(out, 5, parts)
        maps = [_list(out, [self._map(out, it) for it in side]) for side in (inputs, outputs)]
        key = out.CreateString("serving_default")
        signature = _table(out, 5, [(0, maps[0]), (1, maps[1]), (2, key)])
        tables = [
            (1, _list(out, [_code(out, *it) for it in codes])),
            (2, _list(out, [graph])),
            (3, out.CreateString("salver")),
            (4, _list(out, [_buffer(out, it) for it in buffers])),
            (7, _list(out, [signature])),
        ]
        out.StartObject(8)
        out.PrependUint32Slot(0, 3, 0)  # the version of the format
        for place, it in tables:
            out.PrependUOffsetTRelativeSlot(place, it, 0)
        out.Finish(out.EndObject(), b"TFL3")
        return bytes(out.Output())

    def _map(self, out, index):
        name = out.CreateString(self.tensors[index].name)
        out.StartObject(2)
        out.PrependUOffsetTRelativeSlot(0, name, 0)
        out.PrependUint32Slot(1, index, 0)
        return out.EndObject()


def _table(out, fields, offsets):
    out.StartObject(fields)
    for place, offset in offsets:
        out.PrependUOffsetTRelativeSlot(place, offset, 0)
    return out.EndObject()


def _list(out, offsets):
    out.StartVector(4, len(offsets), 4)
    for it in reversed(offsets):
        out.PrependUOffsetTRelative(it)
    return out.EndVector()


def _numbers(out, kind, values):
    size = {"Int32": 4, "Int64": 8, "Float32": 4}[kind]
    out.StartVector(size, len(values), size)
    for it in reversed(values):
        getattr(out, f"Prepend{kind}")(it)
    return out.EndVector()


def _buffer(out, data):
    if not data:
        return _table(out, 1, [])
    out.StartVector(1, len(data), 16)
    out.head = out.Head() - len(data)
    out.Bytes[out.Head() : out.Head() + len(data)] = data
    return _table(out, 1, [(0, out.EndVector())])


def _code(out, operator, version):
    """An operator that the format does not know goes by its name."""
    code = OPERATORS.get(operator, CUSTOM)
    name = out.CreateString(operator) if code == CUSTOM else 0
    out.StartObject(4)
    out.PrependInt8Slot(0, code, 0)
    out.PrependUOffsetTRelativeSlot(1, name, 0)
    out.PrependInt32Slot(2, version, 1)
    out.PrependInt32Slot(3, code, 0)
    return out.EndObject()


def _tensor(out, it, buffer):
    name = out.CreateString(it.name)
    shape = _numbers(out, "Int32", [max(length, 1) for length in it.shape])
    varies = _numbers(out, "Int32", it.shape) if min(it.shape, default=0) < 0 else None
    quantized = None
    if it.scales:
        scales = _numbers(out, "Float32", it.scales)
        zeros = _numbers(out, "Int64", it.zeros)
        out.StartObject(7)
        out.PrependUOffsetTRelativeSlot(2, scales, 0)
        out.PrependUOffsetTRelativeSlot(3, zeros, 0)
        out.PrependInt32Slot(6, it.axis, 0)
        quantized = out.EndObject()
    out.StartObject(9)
    out.PrependUOffsetTRelativeSlot(0, shape, 0)
    out.PrependInt8Slot(1, TYPES[it.dtype], 0)
    out.PrependUint32Slot(2, buffer, 0)
    out.PrependUOffsetTRelativeSlot(3, name, 0)
    if quantized is not None:
        out.PrependUOffsetTRelativeSlot(4, quantized, 0)
    if varies is not None:
        out.PrependUOffsetTRelativeSlot(7, varies, 0)
    out.PrependBoolSlot(8, True, False)
    return out.EndObject()


def _operator(out, codes, node):
    operator, version, inputs, outputs, given = node
    takes, gives = _numbers(out, "Int32", inputs), _numbers(out, "Int32", outputs)
    code, options = OPTIONS.get(operator, (0, {}))
    out.StartObject(max(len(options), 1))
    for name, (place, kind, default) in options.items():
        getattr(out, f"Prepend{kind}Slot")(place, given.pop(name, default), default)
    options = out.EndObject()
    assert not given, f"{operator} has no {given}"
    out.StartObject(9)
    out.PrependUint32Slot(0, codes.index((operator, version)), 0)
    out.PrependUOffsetTRelativeSlot(1, takes, 0)
    out.PrependUOffsetTRelativeSlot(2, gives, 0)
    if code:
        out.PrependUint8Slot(3, code, 0)
        out.PrependUOffsetTRelativeSlot(4, options, 0)
    return out.EndObject()
