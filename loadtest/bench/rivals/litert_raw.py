"""LiteRT through its own Python package: what `raw-litert` is held against.

    python litert_raw.py MODEL ROWS SECONDS

prints one line of JSON with the microseconds of a run: `interpreter` takes a NumPy array and gives one, as a
run of ours takes and gives a request's memory; `invoke` is the interpreter's run alone, `compiled` that of a
compiled model, whose buffers the package fills by way of Python's lists.
"""

import json
import statistics
import sys
import time

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.interpreter import Interpreter

# Runs before the clock starts.
WARM_UP = 20


def timed(seconds, run):
    """Microseconds of each run."""
    for _ in range(WARM_UP):
        run()
    times, began = [], time.perf_counter()
    while True:
        before = time.perf_counter()
        if before - began >= seconds:
            return statistics.median(times) * 1e6
        run()
        times.append(time.perf_counter() - before)


def main(model, rows, seconds):
    rows, seconds = int(rows), float(seconds)
    interpreter = Interpreter(model, num_threads=1)
    told = interpreter.get_input_details()[0]
    shape = [rows, *told["shape"][1:]]
    interpreter.resize_tensor_input(told["index"], shape)
    interpreter.allocate_tensors()
    given = np.full(shape, 1 if told["dtype"] == np.int8 else 0.5, told["dtype"])
    index = interpreter.get_output_details()[0]["index"]

    def through():
        interpreter.set_tensor(told["index"], given)
        interpreter.invoke()
        return interpreter.get_tensor(index)

    results = {"interpreter": timed(seconds, through), "invoke": timed(seconds, interpreter.invoke)}
    expect = through()

    compiled = CompiledModel.from_file(model)
    compiled.resize_input_tensor(0, shape, strict=False)
    inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    inputs[0].write(given)
    results["compiled"] = timed(seconds, lambda: compiled.run_by_index(0, inputs, outputs))
    got = outputs[0].read(expect.size, expect.dtype.type).reshape(expect.shape)
    assert np.allclose(got, expect, atol=1e-4), "both ways compute the same"
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
