"""Formats with an engine of their own: LiteRT's and PJRT's, served beside the others, and their absence."""

import json
import shutil

import pytest
from recorded import cases
from server import ROOT, salver

LITERT, PJRT = (ROOT / f"backends/{it}/fixtures" for it in ("litert", "pjrt"))


def place(repository, model, files):
    """A version with files of these names."""
    aside = repository.path / model / ".1"
    aside.mkdir(parents=True)
    for name, path in files.items():
        shutil.copyfile(path, aside / name)
    aside.rename(repository.path / model / "1")


@pytest.fixture
def three(repository):
    """The sample model `digits` in both formats, and in INT8."""
    place(repository, "lite", {"model.tflite": LITERT / "digits.tflite"})
    place(repository, "lite_int8", {"model.tflite": LITERT / "digits_int8.tflite"})
    names = ("digits.stablehlo", "digits.32.stablehlo")
    programs = {it: PJRT / it for it in names} | {"model.stablehlo": PJRT / names[0]}
    place(repository, "hlo", programs | {"model.stablehlo.toml": PJRT / "digits.stablehlo.toml"})
    return repository


def test_the_same_answers_in_each_format(start, three):
    server = start(three).settled()
    for model in ("lite", "hlo"):
        assert server.state(model, "1") == "READY"
        for case in cases("digits", 1):
            answer = server.ask("POST", f"/v2/models/{model}/infer", case.request).json()
            assert answer["model_name"] == model
            case.check_json(answer | {"model_name": "digits"})
    platforms = {it: server.ask("GET", f"/v2/models/{it}").json()["platform"] for it in ("lite", "hlo")}
    assert platforms == {"lite": "tensorflow_lite", "hlo": "pjrt_stablehlo"}


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
