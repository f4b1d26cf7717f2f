"""The sample models' recorded requests and answers, and what counts as the same answer."""

import functools
import json
from dataclasses import dataclass

import numpy as np
from server import SAMPLES

NUMPY = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}
MODELS = sorted((it.parts[-3], it.parts[-2]) for it in SAMPLES.glob("*/*/recorded.json"))


@dataclass
class Case:
    """One request and its answer; floats are the same within the tolerances."""

    request: dict
    response: dict
    absolute: float
    relative: float

    def inputs(self):
        """Name, type and array of each input."""
        return [(it["name"], it["datatype"], array(it)) for it in self.request["inputs"]]

    def tensors(self, module, **how):
        """The inputs as one of the public clients takes them."""
        made = []
        for name, datatype, data in self.inputs():
            made.append(module.InferInput(name, list(data.shape), datatype))
            made[-1].set_data_from_numpy(data, **how)
        return made

    def output_names(self):
        return [it["name"] for it in self.response["outputs"]]

    def check(self, name, got):
        """Is this array the recorded output of that name?"""
        expect = next(it for it in self.response["outputs"] if it["name"] == name)
        assert list(got.shape) == expect["shape"], f"{name} has shape {got.shape}"
        assert got.dtype == NUMPY[expect["datatype"]], f"{name} has type {got.dtype}"
        if expect["datatype"] == "FP32":
            np.testing.assert_allclose(got, array(expect), rtol=self.relative, atol=self.absolute)
        else:
            text = np.vectorize(lambda it: it.decode() if isinstance(it, bytes) else it)
            np.testing.assert_array_equal(text(got), array(expect))

    def check_json(self, answer):
        """Is this the recorded answer, as JSON?"""
        keys = ("model_name", "model_version")
        assert [answer[it] for it in keys] == [self.response[it] for it in keys], answer
        assert [it["name"] for it in answer["outputs"]] == self.output_names(), answer
        for got, expect in zip(answer["outputs"], self.response["outputs"], strict=True):
            assert got["datatype"] == expect["datatype"], got
            assert not any(isinstance(it, list) for it in got["data"]), "data is flat"
            self.check(got["name"], array(got))


def array(tensor):
    """A tensor of a JSON request or answer as NumPy has it."""
    return np.array(tensor["data"], NUMPY[tensor["datatype"]]).reshape(tensor["shape"])


@functools.cache
def cases(model, version):
    file = json.loads((SAMPLES / model / str(version) / "recorded.json").read_text())
    tolerance = file["tolerance"]["absolute"], file["tolerance"]["relative"]
    return [Case(it["request"], it["response"], *tolerance) for it in file["cases"]]
