"""`mlflow://` against MLflow itself."""

import uuid
from pathlib import Path

import pytest
from mlflow import MlflowClient
from servers import Salver

ONE = {"model.onnx": b"one" * 1000, "MLmodel": b"flavors: {}\n", "monitoring/reference.parquet": b"P"}
TWO = ONE | {"model.onnx": b"two" * 100_000}


class Registry:
    """An MLflow server, seen by those who publish."""

    def __init__(self, child, tmp_path, **login):
        self.address = child.url.removeprefix("http://").removesuffix("/health")
        self.tmp_path = tmp_path
        self.client = MlflowClient(f"http://{self.address}")
        self.name = f"wine-{uuid.uuid4().hex[:8]}"
        self.client.create_registered_model(self.name)

    def folder(self, contents):
        folder = self.tmp_path / uuid.uuid4().hex
        for path, data in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return str(folder)

    def publish(self, contents):
        """A version as MLflow 3 lays it out."""
        experiment = self.client.create_experiment(uuid.uuid4().hex)
        model = self.client.create_logged_model(experiment, name="model")
        self.client.log_model_artifacts(model.model_id, self.folder(contents))
        self.client.finalize_logged_model(model.model_id, "READY")
        source = f"models:/{model.model_id}"
        return self.client.create_model_version(self.name, source, model_id=model.model_id).version

    def publish_run(self, contents):
        """A version as MLflow 2 did: a folder among a run's artifacts."""
        experiment = self.client.create_experiment(uuid.uuid4().hex)
        run = self.client.create_run(experiment).info
        self.client.log_artifacts(run.run_id, self.folder(contents), "model")
        source = f"{run.artifact_uri}/model"
        return self.client.create_model_version(self.name, source, run.run_id).version

    def uri(self, at):
        return f"mlflow://{self.address}/{self.name}{at}"


@pytest.fixture
def registry(started, tmp_path):
    return Registry(started["mlflow"], tmp_path)


LOGIN = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "hush-hush-hush"}


@pytest.fixture
def guarded(started, tmp_path, monkeypatch):
    """A server that wants a login and keeps its files in S3."""
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    return Registry(started["mlflow_s3"], tmp_path)


def test_a_moved_alias_is_another_model(registry, salver):
    one, two = registry.publish(ONE), registry.publish(TWO)
    registry.client.set_registered_model_alias(registry.name, "champion", one)
    first = salver.pull(registry.uri("@champion"))
    assert (first.version, first.fetched, first.files()) == (int(one), True, ONE)
    assert not salver.pull(registry.uri("@champion")).fetched
    registry.client.set_registered_model_alias(registry.name, "champion", two)
    second = salver.pull(registry.uri("@champion"))
    assert (second.version, second.fetched, second.files()) == (int(two), True, TWO)
    registry.client.set_registered_model_alias(registry.name, "champion", one)
    back = salver.pull(registry.uri("@champion"))
    assert (back.version, back.tree) == (int(one), first.tree)


def test_versions_stages_and_the_latest(registry, salver):
    one, two = registry.publish(ONE), registry.publish_run(TWO)
    assert salver.pull(registry.uri(f"/{one}")).files() == ONE
    assert salver.pull(registry.uri("/latest")).version == int(two)
    registry.client.transition_model_version_stage(registry.name, two, "Production")
    assert salver.pull(registry.uri("/Production")).files() == TWO


def test_tags_and_provenance_come_along(registry, salver):
    version = registry.publish_run(ONE)
    registry.client.set_model_version_tag(registry.name, version, "validation_status", "approved")
    told = salver.pull(registry.uri(f"/{version}")).told
    assert told["tags"]["validation_status"] == "approved"
    assert told["provenance"]["mlflow.run_id"]


def test_what_is_not_there(registry, salver):
    salver.refused("pull", registry.uri("@nobody"), says="alias nobody not found")
    salver.refused("pull", registry.uri("/17"), says="answers 404")
    salver.refused("pull", registry.uri("/latest"), says="has no version")
    salver.refused("pull", registry.uri("/Production"), says="has no version in stage")


def test_a_login_and_files_in_s3(guarded, tmp_path, salver):
    version = guarded.publish(TWO)
    inside = Salver(tmp_path, **LOGIN)
    assert inside.pull(guarded.uri(f"/{version}")).files() == TWO
    salver.refused("pull", guarded.uri(f"/{version}"), says="answers 401")
    wrong = Salver(tmp_path, **LOGIN | {"MLFLOW_TRACKING_PASSWORD": "wrong-wrong"})
    done = wrong.run("pull", guarded.uri(f"/{version}"))
    assert done.returncode == 1 and "wrong-wrong" not in done.stderr, done.stderr


def test_signed_addresses_are_followed_where_that_is_allowed(guarded, started, tmp_path):
    version = guarded.publish(ONE)
    log = Path(started["s3"].log.name)
    for allowed in ("false", "true"):
        inside = Salver(tmp_path / allowed, SALVER_ALLOW_PRIVATE_ADDRESSES=allowed, **LOGIN)
        before = log.stat().st_size
        assert inside.pull(guarded.uri(f"/{version}")).files() == ONE
        followed = b"X-Amz-Signature=" in log.read_bytes()[before:]
        assert followed == (allowed == "true")


def test_a_server_that_is_gone(salver):
    salver.refused("pull", "mlflow://127.0.0.1:1/wine@champion", says="refused", code=69)
