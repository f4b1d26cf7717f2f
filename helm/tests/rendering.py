"""Renders the chart with Helm's own engine and checks objects against Kubernetes' schemas.

Used by every test here; calls the engine and the schema package, never the network.
Invariant: an object that no schema knows is an error, unless its kind is in `UNKNOWN_KINDS`.
"""

import functools
from pathlib import Path

import helm_python
import kubernetes_validate
import yaml
from kubernetes_validate import utils

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "salver"
SCENARIOS = sorted((ROOT / "helm" / "ci").glob("*-values.yaml"))

# The oldest release that the chart accepts, the first with image volumes, a middle one, the newest.
KUBERNETES = ["1.30", "1.31", "1.34", "1.37"]

# Kinds of other projects: their schema is not at hand, so a test asserts their content.
UNKNOWN_KINDS = {("monitoring.coreos.com/v1", "ServiceMonitor")}

# The package reads two megabytes of definitions again for each object.
utils.schema_contents = functools.cache(utils.schema_contents)


class UniqueKeys(yaml.SafeLoader):
    """YAML without its silent "last key wins": a template that writes a key twice is a bug."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"{sorted(twice)} written twice{node.start_mark}")
        return super().construct_mapping(node, deep)


@functools.cache
def chart():
    return helm_python.Chart.load(CHART)


def scenario(path):
    return yaml.load(path.read_text(), UniqueKeys) or {}


def manifests(values=None, name="demo", namespace="models"):
    """Template name to text, NOTES.txt included."""
    return chart().render(values or {}, name=name, namespace=namespace)


def objects(values=None, name="demo", namespace="models"):
    """All rendered objects, by (kind, name)."""
    found = {}
    for path, text in manifests(values, name, namespace).items():
        if path.endswith("NOTES.txt"):
            continue
        for it in yaml.load_all(text, UniqueKeys):
            if it is not None:
                key = (it["kind"], it["metadata"]["name"])
                assert key not in found, f"{key} rendered twice"
                found[key] = it
    return found


def deployment(values=None, name="demo"):
    [found] = [it for (kind, _), it in objects(values, name).items() if kind == "Deployment"]
    return found


def pod(values=None, name="demo"):
    return deployment(values, name)["spec"]["template"]["spec"]


def server(values=None, name="demo"):
    [container] = pod(values, name)["containers"]
    return container


def validate(it, kubernetes):
    """Strict: unknown fields are errors. Unknown kinds too, which the package only warns about."""
    try:
        kubernetes_validate.validate(it, kubernetes, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        if (it["apiVersion"], it["kind"]) not in UNKNOWN_KINDS:
            raise
