"""Rollouts that a registry's tags ask for, what a registry is told of them, and what the audit log has of pulls."""

import hashlib
import json
import shutil

import pytest
from conftest import KEYS
from servers import files
from serving import SAMPLES, wait_for, wine
from test_oci import push
from test_serve import alias, model, ready, registry, serve  # noqa: F401
from test_webhook import secret, send, standard  # noqa: F401

# Half of the requests, until somebody says more.
PLAN = {
    "salver.rollout": "true",
    "salver.rollout.steps": "50,100",
    "salver.rollout.shadow_rows": "0",
    "salver.rollout.step_duration_s_min": "600",
    "salver.rollout.latency": "False",
}
QUICK = ["--rollout-interval-ms", "50"]


def tag(registry, version, tags):  # noqa: F811
    """Tags of a version, or of the registered model where there is none."""
    for key, value in tags.items():
        if version is None:
            registry.client.set_registered_model_tag(registry.name, key, value)
        else:
            registry.client.set_model_version_tag(registry.name, version, key, value)


def publish(registry, *versions):  # noqa: F811
    return [registry.publish({"model.onnx": wine(it)}) for it in versions]


def shares(server):
    server.version()  # a rollout goes on by what is asked
    return {it: line.get("share") for it, line in server.index().items() if line["state"] == "READY"}


def rollout(server):
    return json.loads(server.ask("GET", "/v2/models/wine/rollout")[1])


def audit(folder, event):
    path = folder / "audit.jsonl"
    lines = [json.loads(it) for it in path.read_text().splitlines()] if path.exists() else []
    return [it for it in lines if it.get("event") == event]


def halves(*versions):
    return dict.fromkeys(versions, 0.5)


def test_tags_of_the_model_ask_for_rollouts(registry, serve):  # noqa: F811
    one, two, three = publish(registry, 1, 2, 1)
    tag(registry, None, PLAN | {"salver.rollout.steps": "20,100"})
    tag(registry, two, {"salver.rollout.steps": "50,100"})
    alias(registry, one)
    settings = model(registry.uri("@champion"), "[model.rollout]\nerror_rate_ok = 0.2\n")
    server = serve(settings, *QUICK).ready()
    assert server.version() == one, "the first has nothing to be compared with"
    alias(registry, two)
    wait_for(lambda: shares(server) == halves(one, two), "the version's own tags go over the model's")
    view = rollout(server)
    assert view["declared"] is True, view
    plan = view["plan"]
    assert (plan["shadow_rows"], plan["latency"], plan["error_rate_ok"]) == (0, False, 0.2), plan
    # Another version is wanted: from what serves, by the tags of the model.
    alias(registry, three)
    wait_for(lambda: shares(server) == {one: 0.8, three: 0.2}, "the next is rolled out")


def test_a_version_may_do_without(registry, serve):  # noqa: F811
    one, two = publish(registry, 1, 2)
    tag(registry, None, PLAN)
    tag(registry, two, {"salver.rollout": "false"})
    alias(registry, one)
    server = serve(model(registry.uri("@champion")), *QUICK).ready()
    alias(registry, two)
    server.serves(two)
    assert server.ask("GET", "/v2/models/wine/rollout")[0] == 404


def test_an_alias_that_moves_back_ends_what_a_version_asked_for(registry, serve):  # noqa: F811
    one, two = publish(registry, 1, 2)
    tag(registry, two, PLAN)
    alias(registry, one)
    server = serve(model(registry.uri("@champion")), *QUICK).ready()
    alias(registry, two)
    wait_for(lambda: shares(server) == halves(one, two), "half of the requests are the candidate's")
    alias(registry, one)  # which asks for nothing
    wait_for(lambda: shares(server) == {one: 1.0}, "the old one has everything")
    assert rollout(server)["evidence"][-1]["cause"] == "withdrawn"


def test_a_version_that_does_without_waits_for_none_before_it(registry, serve):  # noqa: F811
    one, two, three = publish(registry, 1, 2, 1)
    tag(registry, two, PLAN)
    tag(registry, three, {"salver.rollout": "false"})
    alias(registry, one)
    server = serve(model(registry.uri("@champion")), *QUICK).ready()
    alias(registry, two)
    wait_for(lambda: shares(server) == halves(one, two), "half of the requests are the candidate's")
    assert server.command("rollout", "promote", "wine").returncode == 0
    wait_for(lambda: rollout(server)["state"]["name"] == "promoted", "it has taken over")
    alias(registry, three)
    server.serves(three)
    assert server.ask("GET", "/v2/models/wine/rollout")[0] == 404


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"salver.rollout": "yes"}, 'tag salver.rollout is "yes": expected "true" or "false"'),
        ({"salver.rollout.stepz": "50,100"}, "unknown field `stepz`"),
        ({"salver.rollout.steps": "50,5,100"}, "steps: 5 % after 50 %"),
        ({"salver.rollout.alpha": "little"}, 'string "little", expected f64'),
    ],
)
def test_a_plan_that_cannot_be_followed_changes_nothing(registry, serve, secret, tmp_path, tags, says):  # noqa: F811
    one, two = publish(registry, 1, 2)
    tag(registry, None, PLAN)
    alias(registry, one)
    kept = ["--state", tmp_path / "state"]
    server = serve(model(registry.uri("@champion")), *QUICK, *kept, *secret).ready()
    before = server.infer()
    tag(registry, two, tags)
    alias(registry, two)
    wait_for(lambda: says in server.index()[one]["reason"], "the index says why")
    assert f"version {two} is not taken" in server.index()[one]["reason"]
    assert server.infer() == before and two not in server.index()
    (said,) = server.said("the address cannot be followed")
    assert says in said["reason"]
    assert server.metric("salver_registry_failing") == {'salver_registry_failing{model="wine"}': 1.0}
    pulls = audit(tmp_path / "state", "pull")
    assert [it["result"] for it in pulls] == ["pulled", "refused"] and says in pulls[1]["reason"], pulls
    # A restart that finds it so serves what served.
    server.stop()
    server = serve(model(registry.uri("@champion")), *QUICK, *kept, *secret)
    wait_for(lambda: ready(server) == {one}, "the version before")
    assert server.infer() == before
    # Mended, it is followed: after a minute by itself, or as soon as the server is told.
    wait_for(lambda: server.said("the address cannot be followed"), "it is said")
    for key in tags:
        registry.client.delete_model_version_tag(registry.name, two, key)

    body = json.dumps({"model": "wine"})
    assert send(server, body, standard(body))[0] == 200
    wait_for(lambda: shares(server) == halves(one, two), "it is rolled out by the tags of the model")
    assert server.index()[one]["reason"] == ""


def test_annotations_ask_for_rollouts(oci, serve):  # noqa: F811
    def pushed(version, annotations=None):
        path = {"org.cncf.model.filepath": "model.onnx"}
        layer = ("application/vnd.cncf.model.weight.v1.raw", wine(version), path)
        push(oci, "asked", "live", "application/vnd.cncf.model.config.v1+json", [layer], annotations)

    pushed(1)
    server = serve(model(f"oci://{oci}/asked:live?tls=false"), *QUICK).ready()
    pushed(2, PLAN)
    wait_for(lambda: shares(server) == halves("1", "2"), "the annotations are a plan")


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_registry_is_told_all_of_it(registry, serve, started, s3, tmp_path, kind):  # noqa: F811
    one, two = publish(registry, 1, 2)
    tag(registry, two, PLAN)
    alias(registry, one)
    prefix = f"verdicts-{registry.name}"
    place = f"file:{tmp_path}/{prefix}" if kind == "file" else f"s3://models/{prefix}"
    settings = model(registry.uri("@champion"), f'verdicts = "{place}"\n')
    server = serve(settings, *QUICK, AWS_ENDPOINT_URL=started["s3"].url, **KEYS).ready()
    alias(registry, two)
    wait_for(lambda: shares(server) == halves(one, two), "half of the requests are the candidate's")

    def counted():
        server.version()
        return rollout(server)["counts"]["stable"]["requests"] > 0

    wait_for(counted, "requests are counted")

    def told(command, verdict):
        tags = registry.client.get_model_version(registry.name, two).tags
        # The evidence comes last.
        evidence = json.loads(tags.get("salver.verdict.evidence", "{}"))
        return tags.get("salver.verdict") == verdict and evidence.get("cause") == {"operator": command} and evidence

    for command, verdict in [("hold", "held"), ("resume", "resumed"), ("abort", "rolled_back")]:
        assert server.command("rollout", command, "wine").returncode == 0
        evidence = wait_for(lambda said=(command, verdict): told(*said), f"the registry knows: {verdict}")
        assert evidence["subject"] == {"model": "wine", "stable": int(one), "canary": int(two)}
        assert evidence["counts"]["stable"]["requests"] > 0 and evidence["words"] and "cut" not in evidence, evidence
    assert {it["guard"] for it in evidence["findings"]} >= {"errors"}, evidence
    # And so does whoever reads the files.
    def kept():
        if kind == "file":
            found = {it.name: it.read_bytes() for it in (tmp_path / prefix / "wine" / two).glob("*.json")}
        else:
            listed = s3.list_objects_v2(Bucket="models", Prefix=f"{prefix}/wine/{two}/").get("Contents", [])
            keys = [it["Key"] for it in listed]
            found = {it.rsplit("/")[-1]: s3.get_object(Bucket="models", Key=it)["Body"].read() for it in keys}
        return len(found) == 3 and found

    found = wait_for(kept, "each verdict is a file")
    assert json.loads(found[f"{evidence['at']}-rolled_back.json"]) == evidence, found
    # The plan is still what people said.
    tags = registry.client.get_model_version(registry.name, two).tags
    assert {key: tags[key] for key in PLAN} == PLAN


def test_pulls_are_written_down(serve, tmp_path):  # noqa: F811
    (tmp_path / "web").mkdir()
    shutil.copy(SAMPLES / "wine/1/model.onnx", tmp_path / "web")
    digest = f"sha256:{hashlib.sha256(wine(1)).hexdigest()}"
    wrong = f"sha256:{hashlib.sha256(wine(2)).hexdigest()}"
    with files(tmp_path / "web") as web:
        good = f'[[model]]\nname = "good"\nsource = "{web}/model.onnx#{digest}"\n'
        bad = f'[[model]]\nname = "bad"\nsource = "{web}/model.onnx#{wrong}"\n'
        server = serve(good + bad, "--state", tmp_path / "state")
        wait_for(lambda: len(audit(tmp_path / "state", "pull")) == 2, "both are written down")
        wait_for(lambda: server.ask("GET", "/v2/models/good/ready")[0] == 200, "the other is nobody's concern")
    lines = {it["model"]: it for it in audit(tmp_path / "state", "pull")}
    assert (lines["good"]["result"], lines["good"]["version"], lines["good"]["fetched"]) == ("pulled", 1, True)
    refused = lines["bad"]
    assert (refused["result"], refused["kind"]) == ("refused", "corrupt"), refused
    assert (refused["expected"], refused["digest"]) == (wrong, digest), refused
    assert "was promised" in refused["reason"] and refused["source"].startswith(web)


def test_another_signature_takes_over_from_nobody(registry, serve, tmp_path):  # noqa: F811
    digits = (SAMPLES / "digits/1/model.onnx").read_bytes()
    one, other = publish(registry, 1)[0], registry.publish({"model.onnx": digits})
    alias(registry, one)
    settings = model(registry.uri("@champion"))
    server = serve(settings).ready()
    before = server.infer()
    alias(registry, other)
    (said,) = wait_for(lambda: server.said("model version cannot be loaded"), "it is tried")
    assert said["refused"] == "changed_signature" and "proof.same_signature" in said["reason"], said
    wait_for(lambda: "its signature is" in server.index()[other]["reason"], "the index says why")
    assert server.infer() == before
    refused = 'salver_model_refusals_total{model="wine",reason="changed_signature"}'
    assert server.metric(refused) == {refused: 1.0}
    server.stop()
    alias(registry, one)
    server = serve(settings + "[model.proof]\nsame_signature = false\n").ready()
    alias(registry, other)
    wait_for(lambda: ready(server) == {other}, "where callers know of it")
