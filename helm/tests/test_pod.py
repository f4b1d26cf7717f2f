"""What the pod promises: probes, shutdown, security, configuration, models."""

import tomllib

import helm_python
import pytest
from rendering import SCENARIOS, chart, deployment, objects, pod, scenario, server

scenarios = pytest.mark.parametrize("path", SCENARIOS, ids=lambda it: it.name)


def config(values=None):
    return tomllib.loads(objects(values)["ConfigMap", "demo-salver"]["data"]["salver.toml"])


@scenarios
def test_only_liveness_can_kill(path):
    """Both probes that restart a container ask a path that does not depend on models."""
    container = server(scenario(path))
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/v2/health/live", "port": "metrics"}
        assert container[probe]["failureThreshold"] * container[probe]["periodSeconds"] >= 60


def test_readiness_over_http_or_grpc():
    assert server()["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": "http"}
    probe = server({"probes": {"grpc": True}})["readinessProbe"]
    assert probe["grpc"] == {"port": 8001} and "httpGet" not in probe


@scenarios
def test_rollout_waits_for_loading(path):
    values = scenario(path)
    spec = deployment(values)["spec"]
    loading = values.get("modelLoadTimeoutSeconds", 600) + spec["minReadySeconds"]
    assert spec["progressDeadlineSeconds"] > loading


def test_rollout_keeps_the_old_pods():
    strategy = deployment()["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("given", [1, 605])
def test_deadline_shorter_than_loading_is_refused(given):
    with pytest.raises(helm_python.HelmRenderError, match="must be more than .* = 605"):
        deployment({"progressDeadlineSeconds": given})
    assert deployment({"progressDeadlineSeconds": 606})["spec"]["progressDeadlineSeconds"] == 606


@pytest.mark.parametrize(
    ("hook", "drain", "grace"), [(5, 30, 40), (0, 0, 5), (0, 30, 35), (20, 600, 625)]
)
def test_grace_period_is_the_sum(hook, drain, grace):
    values = {"preStopSleepSeconds": hook, "server": {"drainTimeoutSeconds": drain}}
    assert pod(values)["terminationGracePeriodSeconds"] == grace
    assert config(values)["drain_timeout_s"] == drain

    enough = values | {"terminationGracePeriodSeconds": grace}
    assert pod(enough)["terminationGracePeriodSeconds"] == grace
    more = values | {"terminationGracePeriodSeconds": grace + 60}
    assert pod(more)["terminationGracePeriodSeconds"] == grace + 60
    less = values | {"terminationGracePeriodSeconds": grace - 1}
    with pytest.raises(helm_python.HelmRenderError, match=f"is less than .* = {grace}"):
        pod(less)


def test_hook_sleeps_without_a_shell():
    assert server()["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in server({"preStopSleepSeconds": 0})


@scenarios
def test_security(path):
    spec = pod(scenario(path))
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = spec["containers"]
    for it in [container, *spec.get("initContainers", [])]:
        assert it["securityContext"]["allowPrivilegeEscalation"] is False
        assert it["securityContext"]["readOnlyRootFilesystem"] is True
        assert it["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_runs_as_the_user_of_the_image():
    context = pod()["securityContext"]
    assert [context[it] for it in ("runAsUser", "runAsGroup", "fsGroup")] == [65532] * 3
    # null takes a field out, for clusters that choose the user themselves.
    context = pod({"podSecurityContext": {"runAsUser": None}})["securityContext"]
    assert "runAsUser" not in context and context["runAsNonRoot"] is True


def test_service_account():
    account = objects()["ServiceAccount", "demo-salver"]
    assert account["automountServiceAccountToken"] is False
    assert pod({"serviceAccount": {"create": False}})["serviceAccountName"] == "default"
    named = {"serviceAccount": {"create": False, "name": "mine"}}
    assert pod(named)["serviceAccountName"] == "mine"


def test_configuration_file():
    assert config() == {
        "model_repository": "/models",
        "host": "0.0.0.0",
        "http_port": 8000,
        "grpc_port": 8001,
        "metrics_port": 8002,
        "drain_timeout_s": 30,
        "log_format": "text",
    }
    # 30.0 equals 30 in Python, not in TOML.
    assert not any(isinstance(it, float) for it in config().values())
    assert server()["args"] == ["serve", "--config", "/etc/salver/salver.toml"]
    mounts = {it["name"]: it for it in server()["volumeMounts"]}
    assert mounts["config"]["mountPath"] == "/etc/salver"
    assert mounts["models"]["mountPath"] == config()["model_repository"]


def test_extra_configuration_is_appended():
    extra = 'some_limit = 3\n[section]\nhost = "x"\n'
    found = config({"server": {"extraConfig": extra}})
    assert found["some_limit"] == 3 and found["section"] == {"host": "x"}
    assert found["host"] == "0.0.0.0"


@pytest.mark.parametrize("key", ["http_port", "host", "drain_timeout_s", "model_repository"])
def test_extra_configuration_cannot_repeat_a_key(key):
    with pytest.raises(helm_python.HelmRenderError, match=f"extraConfig: {key} is written"):
        config({"server": {"extraConfig": f"a = 1\n  {key} = 5\n[section]\n"}})


def test_new_configuration_means_new_pods():
    def checksum(values):
        return deployment(values)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert len(checksum({})) == 64
    assert checksum({}) == checksum({"replicas": 2})
    assert checksum({}) != checksum({"server": {"logFormat": "json"}})


def test_ports_follow_the_values():
    values = {"ports": {"http": 9000, "grpc": 9001, "metrics": 9002}, "probes": {"grpc": True}}
    ports = {it["name"]: it["containerPort"] for it in server(values)["ports"]}
    assert ports == values["ports"]
    assert [config(values)[f"{it}_port"] for it in ports] == list(ports.values())
    assert server(values)["readinessProbe"]["grpc"]["port"] == 9001


@pytest.mark.parametrize(
    ("source", "volume"),
    [
        ({}, {"emptyDir": {}}),
        ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}),
        ({"pvc": {"claimName": "m"}}, {"persistentVolumeClaim": {"claimName": "m"}}),
        ({"image": {"reference": "r/m:1"}}, {"image": {"reference": "r/m:1"}}),
        (
            {"configMap": {"name": "m", "items": [{"key": "k", "path": "m/1/model.onnx"}]}},
            {"configMap": {"name": "m", "items": [{"key": "k", "path": "m/1/model.onnx"}]}},
        ),
    ],
    ids=["none", "emptyDir", "pvc", "image", "configMap"],
)
def test_model_sources(source, volume):
    values = {"models": {"source": source}}
    [found] = [it for it in pod(values)["volumes"] if it["name"] == "models"]
    assert found == {"name": "models"} | volume
    [mount] = [it for it in server(values)["volumeMounts"] if it["name"] == "models"]
    assert mount == {"name": "models", "mountPath": "/models", "readOnly": True}


def test_sub_path():
    values = {"models": {"source": {"pvc": {"claimName": "m"}}, "subPath": "a/b"}}
    [mount] = [it for it in server(values)["volumeMounts"] if it["name"] == "models"]
    assert mount["subPath"] == "a/b"


def test_image_reference():
    digest = "sha256:" + "0" * 64
    assert server()["image"] == "salver:" + chart().metadata["appVersion"]
    assert server({"image": {"tag": "1"}})["image"] == "salver:1"
    assert server({"image": {"tag": "1", "digest": digest}})["image"] == f"salver@{digest}"


def test_spread_constraints_select_the_pods():
    values = scenario(next(it for it in SCENARIOS if it.name == "full-values.yaml"))
    own, given = pod(values)["topologySpreadConstraints"]
    assert own["labelSelector"] == deployment(values)["spec"]["selector"]
    assert own["matchLabelKeys"] == ["pod-template-hash"]
    assert given["labelSelector"] == {"matchLabels": {"team": "ranking"}}
