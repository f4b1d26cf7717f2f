"""The schema refuses what the chart does not know, and the documents list what it knows."""

import json
import re

import helm_python
import pytest
from rendering import CHART, SCENARIOS, chart, objects, scenario

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# An item that would leave its volume.
PARENT = {"key": "k", "path": "../x"}
# Levels that Kubernetes, or Helm, owns.
OPEN = {"/properties/global", "/$defs/kubernetes", "/$defs/kubernetesNamed"}


def levels(schema, at=""):
    """Every sub-schema with its place."""
    yield at, schema
    for key, it in schema.items():
        if key in ("properties", "$defs"):
            for name, inner in it.items():
                yield from levels(inner, f"{at}/{key}/{name}")
        elif isinstance(it, dict):
            yield from levels(it, f"{at}/{key}")


def leaves(values, at=""):
    """Values with their dotted path; an empty object is a leaf."""
    for key, it in values.items():
        path = f"{at}.{key}" if at else key
        if isinstance(it, dict) and it:
            yield from leaves(it, path)
        else:
            yield path, it


def test_the_schema_is_in_the_packaged_chart(tmp_path):
    archive = helm_python.package(CHART, destination=tmp_path)
    with helm_python.Chart.load(archive) as packaged:
        assert packaged.schema == SCHEMA
        with pytest.raises(helm_python.HelmValuesError):
            packaged.render({"typo": 1}, name="demo")


def test_every_level_is_closed():
    for at, it in levels(SCHEMA):
        if it.get("type") != "object":
            continue
        if at in OPEN:
            assert it["additionalProperties"] is True, at
        elif "properties" in it:
            assert it["additionalProperties"] is False, at
        else:  # a map: its values have a type
            assert "type" in it["additionalProperties"], at


@pytest.mark.parametrize(
    "place",
    ["", "image", "server", "ports", "models", "models.source", "models.source.pvc", "rollout",
     "models.source.image", "models.source.configMap", "models.source.emptyDir", "probes",
     "podDisruptionBudget", "resources", "serviceAccount", "service", "serviceMonitor", "tmp",
     "affinity"],
)
def test_unknown_keys_are_refused(place):
    values = {"typo": 1}
    for key in reversed(place.split(".")) if place else []:
        values = {key: values}
    with pytest.raises(helm_python.HelmValuesError, match="'typo' not allowed"):
        objects(values)


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": "two"},
        {"replicas": 1.5},
        {"replicas": -1},
        {"image": {"tag": 1.0}},
        {"image": {"digest": "sha256:abc"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"image": None},
        {"imagePullSecrets": ["registry"]},
        {"server": {"logFormat": "xml"}},
        {"server": {"drainTimeoutSeconds": "30s"}},
        {"ports": {"http": 80}},
        {"ports": {"http": 65536}},
        {"models": {"source": {"pvc": {}}}},
        {"models": {"source": {"pvc": {"claimName": "a"}, "emptyDir": {}}}},
        {"models": {"source": {"configMap": {"name": "a"}}}},
        {"models": {"source": {"configMap": {"name": "a", "items": [PARENT]}}}},
        {"models": {"subPath": "/absolute"}},
        {"modelLoadTimeoutSeconds": 0},
        {"terminationGracePeriodSeconds": "40"},
        {"rollout": {"maxSurge": "some"}},
        {"probes": {"grpc": "yes"}},
        {"serviceMonitor": {"interval": 15}},
        {"commonLabels": {"app.kubernetes.io/name": "other"}},
        {"podLabels": {"salver/track": "canary"}},
        {"podAnnotations": {"a": True}},
        {"tmp": {"sizeLimit": "64 MB"}},
        {"extraEnv": [{"value": "x"}]},
        {"extraEnv": [{"name": "SALVER_HTTP_PORT", "value": "80"}]},
        {"extraEnv": [{"name": "SALVER_DRAIN_TIMEOUT", "value": "900"}]},
        {"extraVolumes": [{"name": "models", "emptyDir": {}}]},
        {"extraVolumeMounts": [{"name": "x"}]},
        {"fullnameOverride": "Upper"},
        {"fullnameOverride": "a" * 55},
    ],
    ids=json.dumps,
)
def test_wrong_values_are_refused(values):
    with pytest.raises(helm_python.HelmValuesError):
        objects(values)


def test_global_values_of_a_parent_chart_pass():
    assert objects({"global": {"anything": {"at": ["all"]}}}) == objects()


def test_equal_ports_are_refused():
    with pytest.raises(helm_python.HelmRenderError, match="must differ"):
        objects({"ports": {"http": 8001}})


@pytest.mark.parametrize("zero", [0, "0%"])
def test_a_rollout_that_cannot_move_is_refused(zero):
    with pytest.raises(helm_python.HelmRenderError, match="cannot both be 0"):
        objects({"rollout": {"maxSurge": zero}})


def test_schema_and_defaults_have_the_same_keys():
    def compare(schema, values, at):
        keys = schema["properties"].keys() - ({"global"} if at == "" else set())
        assert keys == values.keys(), at
        for key, it in values.items():
            inner = schema["properties"][key]
            if isinstance(it, dict) and it and "properties" in inner:
                compare(inner, it, f"{at}.{key}")

    compare(SCHEMA, chart().values, "")


def test_every_default_has_a_comment():
    previous = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        if re.match(r"\s*\w+:", line):
            assert previous.lstrip().startswith("#"), line
        previous = line


def test_the_readme_lists_every_default():
    table = re.findall(r"^\| `([\w.]+)` \| `(.*?)` \|", (CHART / "README.md").read_text(), re.M)
    listed = [(path, json.loads(default)) for path, default in table]
    assert sorted(listed, key=str) == sorted(leaves(chart().values), key=str)


def test_the_scenarios_change_every_default():
    """A value that no scenario sets is a value that no test renders."""
    defaults = dict(leaves(chart().values))
    given = [dict(leaves(chart().merge_values(scenario(it)))) for it in SCENARIOS]
    same = {path for path, it in defaults.items() if all(g.get(path, "-") == it for g in given)}
    # What makes the pod safe stays as it is in every scenario.
    assert {it for it in same if not re.match("(podS|s)ecurityContext", it)} == set()
