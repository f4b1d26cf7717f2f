"""Every scenario of helm/ci, as a cluster would see it: schemas, names, and references."""

import re

import helm_python
import kubernetes_validate
import pytest
import yaml
from rendering import CHART, KUBERNETES, SCENARIOS, manifests, objects, scenario, validate

# Object names here become DNS names; Services have the strictest rule (RFC 1035).
NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")

scenarios = pytest.mark.parametrize("path", SCENARIOS, ids=lambda it: it.name)


def oldest(values):
    """Image volumes are in the schemas from 1.31 on."""
    return "1.31" if "image" in values.get("models", {}).get("source", {}) else "1.30"


def test_there_are_scenarios():
    assert len(SCENARIOS) >= 4


@scenarios
@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_objects_fit_the_schemas(path, kubernetes):
    values = scenario(path)
    if kubernetes < oldest(values):
        with pytest.raises(kubernetes_validate.ValidationError, match="'image' was unexpected"):
            for it in objects(values).values():
                validate(it, kubernetes)
        return
    for it in objects(values).values():
        validate(it, kubernetes)


@scenarios
def test_lint_is_clean(path):
    report = helm_python.lint(CHART, scenario(path), strict=True, namespace="models")
    assert report["errors"] == []
    # Severity 1 is information: an icon is recommended, and there is none.
    assert [it for it in report["messages"] if it["severity"] > 1] == []


@scenarios
@pytest.mark.parametrize("release", ["demo", "salver", "a" * 53])
def test_names_and_labels_are_valid(path, release):
    for (kind, name), it in objects(scenario(path), name=release).items():
        assert NAME.fullmatch(name), (kind, name)
        assert it["metadata"]["namespace"] == "models"
        labels = dict(it["metadata"]["labels"])
        if kind == "Deployment":
            labels |= it["spec"]["template"]["metadata"]["labels"]
        for key, value in labels.items():
            assert LABEL.fullmatch(value), (kind, key, value)


@scenarios
def test_references_resolve(path):
    found = objects(scenario(path))
    [deployment] = [it for (kind, _), it in found.items() if kind == "Deployment"]
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    spec = template["spec"]
    [container] = spec["containers"]
    ports = {it["name"]: it["containerPort"] for it in container["ports"]}

    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    for (kind, name), it in found.items():
        if kind == "Service":
            assert it["spec"]["selector"].items() <= labels, name
            for port in it["spec"]["ports"]:
                # A headless Service does no translation: its number must be the container's.
                assert port["port"] == ports[port["targetPort"]], name
        if kind == "PodDisruptionBudget":
            assert it["spec"]["selector"]["matchLabels"].items() <= labels

    volumes = {it["name"]: it for it in spec["volumes"]}
    assert len(volumes) == len(spec["volumes"])
    for each in [container, *spec.get("initContainers", [])]:
        mounts = each.get("volumeMounts", [])
        assert {it["name"] for it in mounts} <= volumes.keys()
        paths = [it["mountPath"] for it in mounts]
        assert len(set(paths)) == len(paths)
    assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in found

    account = spec["serviceAccountName"]
    assert account == "default" or ("ServiceAccount", account) in found


@scenarios
def test_notes_render(path):
    notes = manifests(scenario(path))["salver/templates/NOTES.txt"]
    assert "rollout status" in notes
    assert "<no value>" not in notes and "%!" not in notes


def test_notes_tell_of_an_empty_repository():
    def notes(source):
        return manifests({"models": {"source": source}})["salver/templates/NOTES.txt"]

    assert "nothing to serve" in notes({})
    assert "nothing fills the repository" in notes({"emptyDir": {}})
    assert "nothing" not in notes({"pvc": {"claimName": "models"}})


def test_an_unknown_kind_is_an_error():
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        validate({"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler"}, "1.37")


def test_an_unknown_field_is_an_error():
    service = next(it for (kind, _), it in objects().items() if kind == "Service")
    service["spec"]["appProtocol"] = "kubernetes.io/h2c"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(service, "1.37")


def test_services():
    found = objects()
    clients = found["Service", "demo-salver"]["spec"]
    headless = found["Service", "demo-salver-headless"]["spec"]
    metrics = found["Service", "demo-salver-metrics"]["spec"]
    protocols = {it["name"]: it["appProtocol"] for it in clients["ports"]}
    assert protocols == {"http": "http", "grpc": "kubernetes.io/h2c"}
    assert clients["type"] == "ClusterIP" and "clusterIP" not in clients
    assert headless["clusterIP"] == "None" and headless["ports"] == clients["ports"]
    assert "publishNotReadyAddresses" not in headless  # a loading pod gets no calls
    assert [it["port"] for it in metrics["ports"]] == [8002]


def test_selectors_leave_room_for_another_track():
    found = objects()
    track = found["Deployment", "demo-salver"]["spec"]["selector"]["matchLabels"]["salver/track"]
    assert track == "stable"
    for (kind, _), it in found.items():
        if kind == "Service":
            assert "salver/track" not in it["spec"]["selector"]


def test_budget_only_with_several_pods():
    def kinds(replicas):
        return {kind for kind, _ in objects({"replicas": replicas})}

    assert "PodDisruptionBudget" not in kinds(0) | kinds(1)
    assert "PodDisruptionBudget" in kinds(2)


def test_service_monitor():
    values = {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
    assert not any(kind == "ServiceMonitor" for kind, _ in objects())
    found = objects(values)
    monitor = found["ServiceMonitor", "demo-salver"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"].keys() == {"jobLabel", "selector", "endpoints"}
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint == {
        "port": "metrics", "path": "/metrics", "interval": "15s", "scrapeTimeout": "10s",
    }
    # It selects the metrics Service and no other.
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    selected = [
        name for (kind, name), it in found.items()
        if kind == "Service" and wanted <= it["metadata"]["labels"].items()
    ]
    assert selected == ["demo-salver-metrics"]


def test_names_follow_the_release():
    assert ("Deployment", "salver") in objects(name="salver")
    assert ("Deployment", "demo-salver") in objects()
    assert ("Deployment", "demo-other") in objects({"nameOverride": "other"})
    assert ("Deployment", "other") in objects({"fullnameOverride": "other"})


def test_templates_ask_the_cluster_nothing():
    """An offline render and an install must agree, so neither lookup nor API versions."""
    for template in (CHART / "templates").iterdir():
        text = template.read_text()
        assert "lookup" not in text and ".Capabilities" not in text, template.name


def test_chart_metadata():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    # The engine enforces this only against a cluster. 1.29 has the sleep hook switched off.
    assert chart["kubeVersion"] == ">=1.30.0-0"
