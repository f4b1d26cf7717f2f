"""Four values of every data type, at its limits, and how each encoding writes them."""

import struct
from dataclasses import dataclass

import ml_dtypes
import numpy as np

SHAPE = [2, 2]


@dataclass
class Kind:
    """A data type. `contents` is its field in gRPC's typed contents; two types have none."""

    name: str
    numpy: type
    values: list
    contents: str | None

    def array(self):
        values = self.values
        if self.name == "BYTES":
            values = [it.encode() for it in values]
        return np.array(values, self.numpy).reshape(SHAPE)

    def raw(self):
        if self.name == "BYTES":
            return b"".join(bytes_element(it.encode()) for it in self.values)
        return self.array().tobytes()

    def typed(self):
        if self.name == "BYTES":
            return [it.encode() for it in self.values]
        return self.values


def bytes_element(data):
    return struct.pack("<I", len(data)) + data


KINDS = [
    Kind("BOOL", np.bool_, [True, False, False, True], "bool_contents"),
    Kind("UINT8", np.uint8, [0, 255, 1, 128], "uint_contents"),
    Kind("UINT16", np.uint16, [0, 65535, 1, 32768], "uint_contents"),
    Kind("UINT32", np.uint32, [0, 2**32 - 1, 1, 2**31], "uint_contents"),
    Kind("UINT64", np.uint64, [0, 2**64 - 1, 2**53 + 1, 2**63], "uint64_contents"),
    Kind("INT8", np.int8, [-128, 127, 0, -1], "int_contents"),
    Kind("INT16", np.int16, [-32768, 32767, 0, -1], "int_contents"),
    Kind("INT32", np.int32, [-(2**31), 2**31 - 1, 0, -1], "int_contents"),
    Kind("INT64", np.int64, [-(2**63), 2**63 - 1, 2**53 + 1, -1], "int64_contents"),
    Kind("FP16", np.float16, [0.5, -65504.0, 0.0999755859375, 0.0], None),
    Kind("BF16", ml_dtypes.bfloat16, [0.5, -3.0, 2.0**100, 0.0], None),
    Kind("FP32", np.float32, [0.5, -(2.0**127), 2.0**-149, 0.0], "fp32_contents"),
    Kind("FP64", np.float64, [0.1, -1.7976931348623157e308, 5e-324, 0.0], "fp64_contents"),
    Kind("BYTES", np.object_, ["", 'é\n"\\', "\u0000x", "long " * 200], "bytes_contents"),
]
