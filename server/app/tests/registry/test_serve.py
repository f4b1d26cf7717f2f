"""Models of registries, served: what a registry names is what answers, and its troubles are nobody else's."""

import json
import os
import shutil

import pytest
from servers import files
from serving import SAMPLES, TOLERANCE, Callers, Server, numbers, run, wait_for, wine
from test_mlflow import Registry
from test_oci import push
from stores import KEYS
from test_stores import put

# 100 in `make test-long`.
SWAPS = int(os.environ.get("SWAPS", "10"))
# Requests a second while versions are swapped.
RATE = 500


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(settings, *flags, **environment):
        servers.append(Server(tmp_path, settings, *flags, **environment))
        return servers[-1]

    yield start
    for it in servers:
        if it.process.poll() is None:
            it.stop()


@pytest.fixture
def registry(started, tmp_path):
    return Registry(started["mlflow"], tmp_path)


def model(source, more=""):
    """A table of the settings file. The text of `more` comes behind."""
    return f'[[model]]\nname = "wine"\nsource = "{source}"\npoll_s = 1\n{more}'


def alias(registry, version, name="champion"):
    registry.client.set_registered_model_alias(registry.name, name, version)


def test_an_alias_moves_under_load(registry, serve, capsys):
    versions = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2)]
    server = None
    expected = {}
    for version in versions[::-1]:  # the first of them is served when the load begins
        alias(registry, version)
        server = server or serve(model(registry.uri("@champion"))).ready()
        server.serves(version)
        expected[version] = numbers(server.infer())
    apart = zip(expected[versions[0]], expected[versions[1]], strict=True)
    assert max(abs(a - b) for a, b in apart) > 100 * TOLERANCE, "an answer tells its version"
    with Callers(server, RATE, expected) as callers:
        for swap in range(2):
            alias(registry, versions[(swap + 1) % 2])
            server.serves(versions[(swap + 1) % 2])
        before = server.rss()
        for swap in range(SWAPS):
            alias(registry, versions[(swap + 1) % 2])
            server.serves(versions[(swap + 1) % 2])
    after = server.rss()
    with capsys.disabled():
        print(
            f"\n{SWAPS + 2} moves, {sum(callers.heard)} answers at {callers.rate():.0f}/s, failed {len(callers.failed)}, "
            f"mixed {len(callers.mixed)}, RSS {before >> 20} MiB before, {after >> 20} MiB after"
        )
    assert not callers.failed, callers.failed[0]
    assert not callers.mixed, callers.mixed[0]
    assert after <= before * 1.1
    promoted = server.metric("salver_version_switches_total")
    assert sum(promoted.values()) >= SWAPS + 2, promoted
    assert len(server.index()) == 2, "what is served, and what was before"


@pytest.mark.parametrize("kind", ["s3", "oci", "file"])
def test_every_registry_can_be_served(kind, request, tmp_path, serve):
    environment = {}
    if kind == "s3":
        put(request.getfixturevalue("s3"), "served", {"model.onnx": wine(1)})
        source = "s3://models/served"
        environment = KEYS | {"AWS_ENDPOINT_URL": request.getfixturevalue("started")["s3"].url}
    elif kind == "oci":
        oci = request.getfixturevalue("oci")
        path = {"org.cncf.model.filepath": "model.onnx"}
        layer = ("application/vnd.cncf.model.weight.v1.raw", wine(1), path)
        push(oci, "served", "v1", "application/vnd.cncf.model.config.v1+json", [layer])
        source = f"oci://{oci}/served:v1?tls=false"
    else:
        shutil.copytree(SAMPLES / "wine/1", tmp_path / "files")
        source = f"file:{tmp_path}/files"
    server = serve("", "--model", f"wine={source}", **environment).ready()
    line = server.index()["1"]
    assert server.version() == "1", "counted where the registry has no numbers"
    assert (line["state"], line["source"], line["share"]) == ("READY", source, 1.0)
    assert line["digest"].startswith("sha256:") and line["reason"] == ""


def test_a_start_without_the_registry(tmp_path, serve):
    (tmp_path / "web").mkdir()
    shutil.copy(SAMPLES / "wine/1/model.onnx", tmp_path / "web")
    shutil.copytree(SAMPLES / "digits", tmp_path / "models/digits")
    with files(tmp_path / "web") as web:
        source = f"wine={web}/model.onnx"
        server = serve("", "--model", source).ready()
        before = server.infer()
        server.stop()
    # One that was never here keeps nobody else from answering.
    more = ["--model", f"never={web}/other.onnx", "--model-repository", tmp_path / "models"]
    server = serve("", "--model", source, *more).ready()
    assert server.infer() == before, "from the cache, verified"
    assert server.said("the registry does not help; taking what the cache has")
    assert server.ask("GET", "/v2/models/digits/ready")[0] == 200
    assert server.ask("GET", "/v2/models/never/ready")[0] == 400
    (never,) = server.index("never").values()
    assert never["source"] == f"{web}/other.onnx" and "refused" in never["reason"], never
    assert "refused" in server.index()["1"]["reason"]
    assert set(server.metric("salver_registry_failing").values()) == {1.0}
    # Said once each, and not asked again before a minute is over.
    assert len(server.said("the address cannot be followed")) == 2
    assert server.metric('salver_registry_looks_total{model="wine",result="unavailable"') != {}
    assert sum(server.metric("salver_registry_looks_total").values()) == 2.0


def test_a_registry_dies_and_serving_goes_on(tmp_path, serve):
    (tmp_path / "web").mkdir()
    shutil.copy(SAMPLES / "wine/1/model.onnx", tmp_path / "web")
    with files(tmp_path / "web") as web:
        server = serve(model(f"{web}/model.onnx")).ready()
        before = server.infer()
        assert server.index()["1"]["reason"] == ""
    wait_for(lambda: server.index()["1"]["reason"], "the index says why it is not followed")
    line = server.index()["1"]
    # Refused, or reset if it was just being asked.
    assert line["state"] == "READY" and "onnection re" in line["reason"], line
    assert server.infer() == before
    assert server.metric("salver_registry_failing") == {'salver_registry_failing{model="wine"}': 1.0}
    # Told again when the reason is another: reset, then refused.
    said = server.said("the address cannot be followed")
    assert 1 <= len(said) <= 2, said
    assert said[0]["model"] == "wine" and "onnection re" in said[0]["reason"]


def test_what_cannot_be_served_changes_nothing(registry, serve):
    good, broken, foreign, better = [
        registry.publish(it)
        for it in (
            {"model.onnx": wine(1)},
            {"model.onnx": b"<html>not found</html>"},
            {"model.pkl": b"a pyfunc"},
            {"model.onnx": wine(2)},
        )
    ]
    alias(registry, good)
    server = serve(model(registry.uri("@champion"))).ready()
    before = server.infer()
    alias(registry, broken)
    (line,) = wait_for(lambda: server.said("model version cannot be loaded"), "the next is tried")
    assert line["version"] == broken
    assert server.infer() == before
    wait_for(lambda: server.index()[broken]["state"] == "UNAVAILABLE", "it is shown")
    assert server.index()[broken]["reason"]
    alias(registry, foreign)
    wait_for(lambda: "no file that an engine reads" in server.index()[good]["reason"], "it says so")
    assert server.infer() == before and foreign not in server.index()
    alias(registry, better)
    server.serves(better)
    assert server.index()[better]["reason"] == ""
    alias(registry, good)
    server.serves(good)
    assert server.infer() == before, "moved back"


def test_tags_and_provenance_are_served(registry, serve):
    version = registry.publish_run({"model.onnx": wine(1)})
    registry.client.set_model_version_tag(registry.name, version, "validation_status", "approved")
    alias(registry, version)
    server = serve(model(registry.uri("@champion"))).ready()
    told = json.loads(server.ask("GET", "/v2/models/wine")[1])["parameters"]
    assert told["registry.tag.validation_status"] == "approved"
    assert told["registry.mlflow.run_id"] and told["salver.digest"].startswith("sha256:")


def test_a_folder_and_a_registry_side_by_side(tmp_path, serve):
    shutil.copytree(SAMPLES / "wine", tmp_path / "models/wine")
    shutil.copytree(SAMPLES / "digits", tmp_path / "models/digits")
    shutil.copytree(SAMPLES / "wine/1", tmp_path / "other")
    flags = ["--model-repository", tmp_path / "models", "--model", f"more=file:{tmp_path}/other"]
    server = serve("", *flags, "--model", f"wine=file:{tmp_path}/other").ready()
    assert server.index("digits").keys() == {"1"} and server.index("more").keys() == {"1"}
    assert server.index("wine").keys() == {"1", "2"}, "of two of one name the folder's is served"
    more = numbers(server.infer("/v2/models/more/infer"))
    assert more == numbers(server.infer("/v2/models/wine/versions/1/infer"))


def test_labels_and_shares_by_alias(registry, serve):
    one, two = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2)]
    alias(registry, one)
    alias(registry, two, "challenger")
    labels = f'labels = {{ canary = "{registry.uri("@challenger")}" }}\nmax_batch_size = 4\n'
    server = serve(model(registry.uri("@champion"), labels)).ready()
    assert server.version() == one, "the source answers, though the other is newer"
    assert server.infer("/v2/models/wine/versions/canary/infer")["model_version"] == two
    server.stop()
    shares = labels + "traffic = { weights = { canary = 1 } }\n"
    server = serve(model(registry.uri("@champion"), shares)).ready()
    assert {it: line.get("share") for it, line in server.index().items()} == {one: None, two: 1.0}
    assert server.version() == two
    alias(registry, two)
    wait_for(lambda: "UNAVAILABLE" in server.index().get(one, {"state": "UNAVAILABLE"})["state"], "nobody wants it")
    assert server.version() == two


def test_a_rollout_outweighs_the_alias(registry, serve):
    versions = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2, 1, 2)]
    alias(registry, versions[0])
    alias(registry, versions[1], "challenger")
    labels = f'labels = {{ canary = "{registry.uri("@challenger")}" }}\n'
    server = serve(model(registry.uri("@champion"), labels)).ready()
    steps = ["--steps", "50,100", "--set", "shadow_rows=0", "--set", "step_duration_s_min=600"]
    done = server.command("rollout", "start", "wine", "--to", versions[1], *steps)
    assert done.returncode == 0, done.stderr

    def shares():
        server.version()  # a rollout goes on by what is asked
        return {it: line.get("share") for it, line in server.index().items() if line["state"] == "READY"}

    def looks():
        return sum(server.metric("salver_registry_looks_total").values())

    wait_for(lambda: shares() == dict.fromkeys(versions[:2], 0.5), "half of the requests are the candidate's")
    for version in versions[2:]:
        alias(registry, version)
        wait_for(lambda version=version: version in server.index(), "the address is followed")
        # Long enough for it to be loaded, if that were wanted: the registry is looked at once a second.
        before = looks()
        wait_for(lambda before=before: looks() >= before + 3, "the registry is looked at again")
        assert shares() == dict.fromkeys(versions[:2], 0.5)
    assert server.command("rollout", "abort", "wine").returncode == 0


ROLLOUT = """
promoted_alias = "champion"
[model.rollout]
steps = "50,100"
shadow_rows = 0
step_requests_min = 100
step_duration_s_min = 0
latency = false
error_rate_ok = 0.2
"""


def test_a_verdict_comes_back_to_the_registry(registry, serve):
    one, two = [registry.publish({"model.onnx": wine(1)}) for _ in range(2)]
    alias(registry, one)
    alias(registry, one, "challenger")
    server = serve(model(registry.uri("@challenger"), ROLLOUT), "--rollout-interval-ms", "50").ready()

    def told(verdict):
        for _ in range(20):
            server.version()  # a rollout goes on by what is asked
        return registry.client.get_model_version(registry.name, two).tags.get("salver.verdict") == verdict

    def champion():
        return registry.client.get_model_version_by_alias(registry.name, "champion").version

    assert server.version() == one
    alias(registry, two, "challenger")
    wait_for(lambda: told("promoted"), "the registry knows that it took over")
    wait_for(lambda: champion() == two, "and by which name it goes")
    assert server.version() == two
    assert server.command("rollout", "abort", "wine").returncode == 0
    wait_for(lambda: told("rolled_back"), "the registry knows that it went back")
    wait_for(lambda: champion() == one, "and what serves instead")
    tags = registry.client.get_model_version(registry.name, two).tags
    assert "the operator said abort" in tags["salver.verdict.reason"]
    assert int(tags["salver.verdict.at"]) > 1_700_000_000_000
    both = {'salver_registry_verdicts_total{result="told"}': 2}
    wait_for(lambda: server.metric("salver_registry_verdicts_total") == both, "both are counted")


def ready(server):
    return {it for it, line in server.index().items() if line["state"] == "READY"}


def test_a_restart_in_the_middle_of_a_rollout_has_both_versions(registry, serve, tmp_path):
    one, two, three = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2, 1)]
    alias(registry, one)
    kept = ["--state", tmp_path / "state", "--rollout-interval-ms", "50"]
    slow = ROLLOUT.replace("step_duration_s_min = 0", "step_duration_s_min = 600")
    settings = model(registry.uri("@champion"), slow)
    server = serve(settings, *kept).ready()
    assert server.version() == one
    alias(registry, two)

    def shares():
        server.version()  # a rollout goes on by what is asked
        return {it: line.get("share") for it, line in server.index().items() if line["state"] == "READY"}

    half = dict.fromkeys([one, two], 0.5)
    wait_for(lambda: shares() == half, "half of the requests are the candidate's")
    server.stop()
    server = serve(settings, *kept).ready()
    wait_for(lambda: shares() == half, "from the cache, where no alias names the old one")
    recalled = 'salver_registry_recalled_total{model="wine",result="cached"}'
    assert server.metric("salver_registry_recalled_total") == {recalled: 2.0}
    # Rolled back: what the alias names must not come first.
    assert server.command("rollout", "abort", "wine").returncode == 0
    wait_for(lambda: shares() == {one: 1.0}, "the old one has everything")
    server.stop()
    server = serve(settings, *kept).ready()
    assert server.version() == one and ready(server) == {one}
    server.stop()
    # Another machine has the state and no cache: the registry has the version by its number.
    shutil.rmtree(tmp_path / "cache")
    server = serve(settings, *kept)
    wait_for(lambda: ready(server) == {one}, "the old one is fetched")
    assert server.version() == one
    (said,) = server.said("a rollout wants a version that is not in the cache: fetching it")
    assert said["uri"] == registry.uri(f"/{one}")
    # The alias moves on: that is another wish, and what is tried now is that.
    alias(registry, three)
    wait_for(lambda: shares() == dict.fromkeys([one, three], 0.5), "from what serves to what is wanted now")


def test_a_restart_on_a_broken_version_serves_the_one_before(registry, serve):
    good, broken, foreign = [
        registry.publish(it) for it in ({"model.onnx": wine(1)}, {"model.onnx": b"no"}, {"model.pkl": b"no"})
    ]
    alias(registry, good)
    server = serve(model(registry.uri("@champion"))).ready()
    before = server.infer()
    for bad, says in [(broken, "model version cannot be loaded"), (foreign, "the address cannot be followed")]:
        alias(registry, bad)
        wait_for(lambda says=says: server.said(says), "it is tried")
        assert server.infer() == before
        server.stop()
        server = serve(model(registry.uri("@champion")))
        wait_for(lambda: ready(server) == {good}, "the one before")
        assert server.infer() == before


def test_commands_tell_where_models_come_from(tmp_path, serve):
    shutil.copytree(SAMPLES / "wine/1", tmp_path / "files")
    source = f"file:{tmp_path}/files"
    server = serve("", "--model", f"wine={source}").ready()
    listed = server.command("models", "list").stdout
    assert "SOURCE" in listed and source in listed and "sha256:" in listed
    shown = server.command("models", "show", "wine").stdout
    assert "wine 1: READY, 100 % of requests" in shown and f"from: {source}" in shown
    told = json.loads(server.command("models", "show", "wine", "--output", "json").stdout)
    (version,) = told["versions"]
    assert (told["name"], version["version"], version["source"]) == ("wine", "1", source)
    unknown = server.command("models", "show", "beer")
    assert unknown.returncode == 1 and "unknown model 'beer'" in unknown.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--model", "wine"], '"wine" is not NAME=URI'),
        (["--model", "wine=ftp://x/y"], "unknown scheme"),
        (["--model", "wine=s3://key:secret@x/y"], "credentials"),
        (["--model", "a/b=s3://x/y"], "a/b"),
        (["--model", "x=s3://a/b", "--model", "x=s3://a/c"], "x is given twice"),
        ([], "name the folder that holds the models, or a --model of a registry"),
    ],
)
def test_what_names_no_model(tmp_path, flags, says):
    done = run(tmp_path, "serve", *flags)
    assert done.returncode == 78 and says in done.stderr, done.stderr
    assert "secret" not in done.stderr


def test_pins_hold_for_the_server_too(tmp_path, serve):
    shutil.copytree(SAMPLES / "wine/1", tmp_path / "files")
    source, lock = f"file:{tmp_path}/files", ["--lock", tmp_path / "models.lock"]
    assert run(tmp_path, "models", "lock", source, *lock).returncode == 0
    server = serve("", "--model", f"wine={source}", *lock).ready()
    before = server.infer()
    server.stop()
    shutil.copy(SAMPLES / "wine/2/model.onnx", tmp_path / "files")
    server = serve("", "--model", f"wine={source}", *lock).ready()
    assert server.infer() == before, "what is pinned is served, whatever the address names now"
    done = run(tmp_path, "serve", "--model", f"wine=file:{tmp_path}", *lock)
    assert done.returncode == 1 and "is not pinned" in done.stderr, done.stderr
