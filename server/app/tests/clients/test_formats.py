"""Formats with an engine of their own: LiteRT's and PJRT's, served beside the others, and their absence."""

import json

import numpy as np
import pytest
from recorded import array, cases
from server import FIXTURES, ROOT, SAMPLES, salver, wait_for

LITERT, PJRT, CANDLE = (ROOT / f"backends/{it}/fixtures" for it in ("litert", "pjrt", "candle"))
ONNX = SAMPLES / "digits/1/model.onnx"

# The sample model `digits` for each engine: its platform, its files, and by how much a probability may be apart from
# the recorded one (CONFIGURATION.md, Engines). Measured: a tenth of that at most.
HLO = {
    "model.stablehlo": PJRT / "digits.stablehlo",
    "digits.stablehlo": PJRT / "digits.stablehlo",
    "digits.32.stablehlo": PJRT / "digits.32.stablehlo",
    "model.stablehlo.toml": PJRT / "digits.stablehlo.toml",
}
WEIGHTS = {it: CANDLE / "digits" / it for it in ("model.safetensors", "config.json")}
EACH = {
    "onnxruntime": ("onnxruntime_onnx", {"model.onnx": ONNX}, 1e-5),
    "tract": ("tract_onnx", {"model.onnx": ONNX}, 1e-5),
    "openvino": ("openvino_onnx", {"model.onnx": ONNX}, 1e-5),
    "litert": ("tensorflow_lite", {"model.tflite": LITERT / "digits.tflite"}, 1e-5),
    "pjrt": ("pjrt_stablehlo", HLO, 1e-5),
    "candle": ("candle_safetensors", WEIGHTS, 1e-5),
}


def place(repository, model, files, version=1):
    """A version with files of these names: copies, or bytes."""
    aside = repository.path / model / f".{version}"
    aside.mkdir(parents=True)
    for name, content in files.items():
        (aside / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    aside.rename(repository.path / model / str(version))


def apart(server, model, version=1):
    """By how much the farthest probability of all recorded requests is off."""
    farthest = 0
    for case in cases("digits", 1):
        path = f"/v2/models/{model}/versions/{version}/infer"
        (got,) = server.ask("POST", path, case.request).json()["outputs"]
        (expect,) = case.response["outputs"]
        assert {it: got[it] for it in ("name", "datatype", "shape")} == {
            it: expect[it] for it in ("name", "datatype", "shape")
        }
        farthest = max(farthest, np.abs(array(got) - array(expect)).max())
    return farthest


@pytest.fixture
def three(repository):
    """The sample model `digits` in both formats, and in INT8."""
    place(repository, "lite", {"model.tflite": LITERT / "digits.tflite"})
    place(repository, "lite_int8", {"model.tflite": LITERT / "digits_int8.tflite"})
    names = ("digits.stablehlo", "digits.32.stablehlo")
    programs = {it: PJRT / it for it in names} | {"model.stablehlo": PJRT / names[0]}
    place(repository, "hlo", programs | {"model.stablehlo.toml": PJRT / "digits.stablehlo.toml"})
    return repository


def test_the_same_answers_in_each_format(start, repository):
    for engine, (_, files, _) in EACH.items():
        place(repository, engine, files)
        repository.settings(engine, f'engine = "{engine}"\n')
    server = start(repository).settled()
    for engine, (platform, _, tolerance) in EACH.items():
        assert server.state(engine, "1") == "READY", server.index()[engine, "1"]
        metadata = server.ask("GET", f"/v2/models/{engine}").json()
        assert metadata["platform"] == platform
        provider = metadata.get("parameters", {}).get("provider")
        assert provider == ("cpu" if engine == "onnxruntime" else None)
        off = apart(server, engine)
        print(f"{engine} is off by {off:.1e}")
        assert off <= tolerance, engine


def broken(files):
    """Each file cut in its middle."""
    return {name: path.read_bytes()[: path.stat().st_size // 2] for name, path in files.items()}


# What each engine cannot load, and what is said of it.
BAD = {engine: (engine, broken(files), "") for engine, (_, files, _) in EACH.items()} | {
    "onnxruntime, an operator": ("onnxruntime", {"model.onnx": FIXTURES / "lacking/frob.onnx"}, "com.acme:Frob"),
    "tract, an operator": ("tract", {"model.onnx": FIXTURES / "lacking/hard_swish_fp64.onnx"}, "F64"),
    "openvino, an operator": ("openvino", {"model.onnx": FIXTURES / "lacking/frob.onnx"}, "Frob"),
    "litert, an operator": ("litert", {"model.tflite": LITERT / "frob.tflite"}, "AcmeFrob"),
    "litert, an Edge TPU's": ("litert", {"model.tflite": LITERT / "edgetpu.tflite"}, 'device = "edgetpu"'),
    "candle, another format": ("candle", {"model.onnx": ONNX}, "reads model.safetensors, which is not in"),
}


@pytest.mark.parametrize(("engine", "files", "says"), BAD.values(), ids=BAD)
def test_a_bad_version_leaves_the_good_one_serving(start, repository, engine, files, says):
    """Also where no warm-up would find it out."""
    _, good, tolerance = EACH[engine]
    place(repository, "digits", good)
    repository.settings("digits", f'engine = "{engine}"\n[warmup]\nbatch_sizes = []\n')
    server = start(repository).settled()
    assert server.state("digits", "1") == "READY"
    place(repository, "digits", files, 2)
    wait_for(lambda: server.state("digits", "2") == "UNAVAILABLE", "version 2 fails")
    assert says in server.index()["digits", "2"]["reason"]
    assert server.state("digits", "1") == "READY"
    answer = server.ask("POST", "/v2/models/digits/infer", cases("digits", 1)[0].request).json()
    assert answer["model_version"] == "1"
    assert apart(server, "digits") <= tolerance
    assert server.ask("POST", "/v2/models/digits/versions/2/infer", cases("digits", 1)[0].request).status == 503
    result = server.scrape("salver_model_loads_total", model="digits", version="2", result="failure")
    assert [it.value for it in result] == [1], "nothing that would be tried again"


def test_what_one_engine_lacks_the_next_is_asked_for(start, repository):
    place(repository, "conv", {"model.onnx": FIXTURES / "lacking/conv_fp64.onnx"})
    place(repository, "frob", {"model.onnx": FIXTURES / "lacking/frob.onnx"})
    place(repository, "torch", {"model.pt": b"weights"})
    server = start(repository).settled()
    assert server.state("conv", "1") == "READY", server.index()["conv", "1"]
    assert server.ask("GET", "/v2/models/conv").json()["platform"] == "tract_onnx"
    reason = server.index()["frob", "1"]["reason"]
    for says in ("onnxruntime cannot serve", "tract cannot serve", "model.onnx is also read by engine openvino"):
        assert says in reason
    reason = server.index()["torch", "1"]["reason"]
    assert "no file that an engine reads (" in reason
    assert "model.onnx" in reason


def test_instances_are_spread_over_a_plugins_devices(start, three):
    (three.path / "hlo/model.toml").write_text("[instances]\ncount = 4\n")
    server = start(three, pjrt_options="cpu_device_count=3").settled()
    for _ in range(8):
        for case in cases("digits", 1):
            answer = server.ask("POST", "/v2/models/hlo/infer", case.request).json()
            case.check_json(answer | {"model_name": "digits"})
    assert server.ask("GET", "/v2/models/hlo").json()["parameters"]["device"] == "cpu:0,cpu:1,cpu:2"
    busy = "salver_instance_busy_seconds_total"
    for n in range(4):
        assert server.scrape(busy, model="hlo", instance=str(n), device=f"cpu:{n % 3}"), n


def test_a_device_that_is_not_there_is_refused_with_those_that_are(start, three):
    (three.path / "hlo/model.toml").write_text('device = "cpu:3"\n')
    (three.path / "lite/model.toml").write_text('[litert]\ndelegate = "/nowhere/libdelegate.so"\n')
    server = start(three, pjrt_options="cpu_device_count=2").settled()
    lines = server.index()
    assert lines["hlo", "1"]["state"] == lines["lite", "1"]["state"] == "UNAVAILABLE"
    assert "device cpu:3: its plugin has cpu:0, cpu:1" in lines["hlo", "1"]["reason"]
    assert "delegate /nowhere/libdelegate.so: " in lines["lite", "1"]["reason"]


def test_the_metadata_say_what_quantised_numbers_stand_for(start, three):
    server = start(three).settled()
    answer = server.ask("GET", "/v2/models/lite_int8").json()
    image = {"name": "image", "datatype": "INT8", "shape": [-1, 1, 8, 8]}
    scale = pytest.approx(16 / 255)
    assert answer["inputs"] == [image | {"parameters": {"scale": scale, "zero_point": -128}}]
    assert answer["outputs"][0]["parameters"] == {"scale": 1 / 256, "zero_point": -128}
    assert "parameters" not in server.ask("GET", "/v2/models/lite").json()["inputs"][0]


def test_a_model_says_that_its_engine_is_missing(start, three, alone):
    server = start(three, binary=alone).settled()
    for model, engine in (("lite", "litert"), ("hlo", "pjrt")):
        line = server.index()[model, "1"]
        assert line["state"] == "UNAVAILABLE"
        assert f"engine {engine} is not available" in line["reason"]
        assert ".lib" not in line["reason"], "where libraries lie is for the log"


def test_devices(alone, tmp_path):
    seen = json.loads(salver("devices", "--output", "json").stdout)
    assert seen["processor"]["cores"] >= 1
    engines = {it["engine"]: it for it in seen["engines"]}
    assert all(it["available"] and it["version"] for it in engines.values())
    assert engines["litert"]["reads"] == "model.tflite"
    assert any(it.startswith("device cpu") and ", id 0" in it for it in engines["pjrt"]["devices"])
    assert any(it.startswith("device edgetpu: ") for it in engines["litert"]["devices"])
    (gpu,) = [it for it in engines["onnxruntime"]["devices"] if it.startswith("device cuda")]
    assert gpu.startswith("device cuda: this ONNX Runtime was built without CUDA; needed are")
    assert "onnxruntime-gpu" in gpu
    (tpu,) = [it for it in engines["pjrt"]["devices"] if it.startswith("device tpu")]
    assert "libtpu.so of PyPI's libtpu" in tpu
    assert engines["openvino"]["devices"] == ['for models that name it: engine = "openvino"']
    text = salver("devices", binary=alone).stdout
    for engine in ("onnxruntime", "openvino", "litert", "pjrt"):
        assert f"engine {engine} not available: no " in text
        assert f"fix: `make {engine}`" in text
    broken = tmp_path / "libLiteRt.so"
    broken.write_text("no library")
    text = salver("devices", "--litert-library", broken).stdout
    assert f"engine litert not available: library {broken}" in text


@pytest.mark.parametrize("flag", ["--litert-library", "--pjrt-plugin"])
def test_a_library_that_was_named_and_is_not_there(flag, tmp_path):
    done = salver("devices", flag, tmp_path / "libnothing.so")
    assert done.returncode == 1
    assert f"{flag[2:].replace('-', '_')}: there is no file" in done.stderr
