"""`salver models promote` and `rollback`: what an operator wants at once, against a real registry."""

import json

from serving import wait_for, wine
from test_serve import alias, model, registry, serve  # noqa: F401


def orders(folder):
    """What the audit log says of them."""
    lines = [json.loads(it) for it in (folder / "audit.jsonl").read_text().splitlines()]
    return [it for it in lines if it.get("event") in ("promote", "rollback", "forget")]


def test_a_version_is_promoted_and_taken_back(registry, serve, tmp_path):  # noqa: F811
    one, two, three = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2, 1)]
    alias(registry, one)
    settings = model(registry.uri("@champion"), 'promoted_alias = "champion"\n')
    kept = ["--state", tmp_path / "state", "--rollout-interval-ms", "50"]
    server = serve(settings, *kept).ready()
    nothing = server.command("models", "rollback", "wine")
    assert nothing.returncode == 1 and "nothing is known" in nothing.stderr, nothing.stderr
    # No alias names it: the registry has it by its number.
    why = ["--reason", "the new one is right", "--by", "anna"]
    done = server.command("models", "promote", "wine", "--to", two, *why, "--output", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"]["name"] == "promoted"
    assert server.version() == two
    champion = registry.client.get_model_version_by_alias
    wait_for(lambda: champion(registry.name, "champion").version == two, "the registry knows")
    server.stop()
    server = serve(settings, *kept).ready()
    assert server.version() == two, "a restart keeps it"
    done = server.command("models", "rollback", "wine", "--reason", "it was not")
    assert done.returncode == 0 and "rolled_back" in done.stdout, done
    assert server.version() == one
    wait_for(lambda: champion(registry.name, "champion").version == one, "the registry knows")
    digest = server.index()[one]["digest"]
    refused = server.command("models", "promote", "wine", "--to", digest)
    assert refused.returncode == 1 and "more than one" not in refused.stderr, refused.stderr
    for words, says in [
        (["--to", "sha256:" + "0" * 64], "no version of the model"),
        (["--to", "newest"], "at least 12 digits"),
        (["--to", "0"], "from 1"),
    ]:
        refused = server.command("models", "promote", "wine", *words)
        assert refused.returncode == 1 and says in refused.stderr, refused.stderr
    told = [(it["event"], it["version"], it["by"], it["reason"], it["result"]) for it in orders(tmp_path / "state")]
    assert told[:2] == [
        ("rollback", None, told[0][2], "", "refused"),
        ("promote", int(two), "anna", "the new one is right", "begun"),
    ]
    assert told[2][:2] == ("rollback", int(one)) and told[2][3:] == ("it was not", "begun")
    metadata = json.loads(server.ask("GET", "/v2/models/wine")[1])
    assert metadata["parameters"]["salver.digest"] == digest


def test_what_an_alias_has_swapped_goes_back(registry, serve):  # noqa: F811
    one, two = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2)]
    alias(registry, one)
    server = serve(model(registry.uri("@champion")), "--rollout-interval-ms", "50").ready()
    alias(registry, two)
    server.serves(two)
    digest = server.index()[one]["digest"]
    assert server.command("models", "rollback", "wine").returncode == 0
    assert server.version() == one and digest in server.command("models", "show", "wine").stdout
    assert server.command("models", "rollback", "wine").returncode == 0, "and again: the rollback is taken back"
    assert server.version() == two
    done = server.command("models", "promote", "wine", "--to", digest[:19])
    assert done.returncode == 0 and server.version() == one, done.stderr


def test_the_version_before_is_kept_warm(registry, serve):  # noqa: F811
    # Of the cache there is room for one version: what nobody leases is swept as soon as another comes.
    one, two = [registry.publish({"model.onnx": wine(it), "notes": bytes([it]) * 700_000}) for it in (1, 2)]
    alias(registry, one)
    settings = model(registry.uri("@champion"), "rollback_window_s = 600\n")
    flags = ["--rollout-interval-ms", "50", "--cache-bytes-max", 1 << 20]
    server = serve(settings, *flags).ready()

    def kept():
        return [it for it, line in server.index().items() if line.get("warm")]

    def begun():
        return sum(server.metric("salver_loads_begun_total").values())

    def shown(what):
        return server.command("models", what, *(["wine"] if what == "show" else [])).stdout

    assert kept() == [] and "kept warm" not in shown("list")
    old = server.infer()
    alias(registry, two)
    server.serves(two)
    wait_for(lambda: kept() == [one], "the old one is kept")
    line = server.index()[one]
    assert line["state"] == "READY" and "share" not in line, line
    assert server.infer(f"/v2/models/wine/versions/{one}/infer")["outputs"] == old["outputs"]
    assert server.metric(f'salver_model_warm{{model="wine",version="{one}"}}') != {}
    assert sum(server.metric("salver_model_warm").values()) == 1.0
    for what in ("list", "show"):
        assert "kept warm for a rollback" in shown(what), shown(what)
    loads = begun()
    alias(registry, one)
    server.serves(one)
    wait_for(lambda: kept() == [two], "and the new one in turn")
    assert server.infer()["outputs"] == old["outputs"]
    assert server.command("models", "rollback", "wine").returncode == 0
    assert server.version() == two
    assert begun() == loads, "nothing was loaded for any of that"


def test_what_was_ordered_is_forgotten(registry, serve, tmp_path):  # noqa: F811
    one, two = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2)]
    alias(registry, one)
    kept = ["--state", tmp_path / "state", "--rollout-interval-ms", "50"]
    settings = model(registry.uri("@champion"))
    server = serve(settings, *kept).ready()
    nothing = server.command("models", "forget", "wine")
    assert nothing.returncode == 1 and "there is no rollout of 'wine'" in nothing.stderr, nothing.stderr
    assert server.command("models", "promote", "wine", "--to", two).returncode == 0
    server.serves(two)
    done = server.command("models", "forget", "wine", "--reason", "the alias is right", "--by", "anna")
    assert done.returncode == 0 and "say again what serves" in done.stdout, done
    server.serves(one)
    gone = server.command("rollout", "status", "wine")
    assert gone.returncode == 1 and "there is no rollout of 'wine'" in gone.stderr, gone.stderr
    # Whoever names another version by the alias is heard again, also after a restart.
    alias(registry, two)
    server.serves(two)
    server.stop()
    server = serve(settings, *kept).ready()
    assert server.version() == two
    last = orders(tmp_path / "state")[-1]
    said = ("forget", "anna", "the alias is right", "begun")
    assert (last["event"], last["by"], last["reason"], last["result"]) == said
    alias(registry, one)
    server.serves(one)
