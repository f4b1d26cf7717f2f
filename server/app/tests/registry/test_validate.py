"""`salver validate`: would a model serve? Its exit code tells pipelines."""

import json

from serving import run, wine


def test_validate_says_whether_a_model_would_serve(tmp_path):
    good, bad, none = (tmp_path / it for it in ("good", "bad", "none"))
    for folder, name, data in [(good, "model.onnx", wine(1)), (bad, "model.onnx", b"no"), (none, "x", b"")]:
        folder.mkdir()
        (folder / name).write_bytes(data)
    done = run(tmp_path, "validate", f"file:{good}", "--output", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["good"], told["batched"]) == (0, True, True), done
    assert told["digest"].startswith("sha256:") and any("features" in it for it in told["inputs"])
    assert "would serve" in run(tmp_path, "validate", f"file:{good}").stdout
    for folder, says in [(bad, "would not serve"), (none, "no file that an engine reads")]:
        done = run(tmp_path, "validate", f"file:{folder}")
        assert done.returncode == 1 and says in done.stdout, done
    assert json.loads(run(tmp_path, "validate", f"file:{bad}", "--output", "json").stdout)["good"] is False
    config = tmp_path / "model.toml"
    config.write_text("max_batch_sizes = 3")
    for words, code, says in [
        (["nonsense"], 2, "nonsense"),
        ([f"file:{good}", "--config", config], 2, "unknown key"),
        (["mlflow://127.0.0.1:1/wine@champion"], 69, "refused"),
        ([f"file:{tmp_path}/nowhere"], 1, "nowhere"),
    ]:
        done = run(tmp_path, "validate", *words)
        assert done.returncode == code and says in done.stderr, done
        done = run(tmp_path, "validate", *words, "--output", "json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["good"]) == (code, False) and says in told["reason"], done
