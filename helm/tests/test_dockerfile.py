"""What can be known of the image without building it."""

import json
import os
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import yaml
from rendering import CHART, ROOT, pod

DOCKERFILE = ROOT / "Dockerfile"
WORKSPACE = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]


def instructions():
    """(name, arguments) in order; comments dropped, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.M)
    text = re.sub(r"\\\n\s*", "", text)
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def arguments(name):
    return [it for instruction, it in instructions() if instruction == name]


def hadolint(path, cwd):
    """Findings. No configuration is read, and inline "ignore" comments have no effect."""
    command = [Path(sysconfig.get_path("scripts")) / "hadolint", "--disable-ignore-pragma"]
    environment = {"HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd), "PATH": os.environ["PATH"]}
    found = subprocess.run(
        [*command, "--no-fail", "--format", "json", path],
        cwd=cwd, env=environment, capture_output=True, text=True, check=True,
    )
    assert found.stderr == ""
    return json.loads(found.stdout)


def test_hadolint_finds_nothing(tmp_path):
    assert hadolint(DOCKERFILE, tmp_path) == []


def test_hadolint_finds_something(tmp_path):
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:12\n# hadolint ignore=DL3008\nRUN apt-get install -y curl\n")
    assert "DL3008" in {it["code"] for it in hadolint(bad, tmp_path)}


def test_one_version_everywhere():
    version = WORKSPACE["package"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version
    assert f"VERSION={version}" in arguments("ARG")
    for document in (DOCKERFILE, CHART / "README.md"):
        assert set(re.findall(r"salver:(\d[\w.-]*)", document.read_text())) == {version}


def test_the_compiler_is_the_workspaces():
    rust = WORKSPACE["package"]["rust-version"]
    assert f"RUST_IMAGE=docker.io/library/rust:{rust}-bookworm" in arguments("ARG")


def test_bases_can_be_pinned():
    """Each stage starts from a build argument that has a tag and takes a digest."""
    defaults = dict(it.split("=", 1) for it in arguments("ARG") if "=" in it)
    for base in arguments("FROM"):
        name = re.search(r"\$\{(\w+_IMAGE)\}", base)[1]
        assert re.search(r":[\w.-]+$", defaults[name]), base


def test_user_is_the_pods():
    context = pod()["securityContext"]
    assert arguments("USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]


def test_runtime_instructions():
    binary = "/opt/salver/salver"
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(arguments("ENTRYPOINT")[0]) == [binary]
    assert json.loads(arguments("CMD")[0])[0] == "serve"
    [health] = arguments("HEALTHCHECK")
    assert json.loads(health.split("CMD", 1)[1]) == [binary, "client", "health"]
    assert json.loads(arguments("RUN")[-1]) == [binary, "version"]
    # The environment outranks salver.toml, so the image must not set any of the server's.
    assert not any("SALVER_" in it for it in arguments("ENV"))


def test_build_is_locked_and_hashed():
    text = DOCKERFILE.read_text()
    assert "cargo build --release --locked -p server-app" in text
    assert "--require-hashes" in text
    assert not re.search(r"\b(curl|wget)\b", text)


def test_context_has_every_workspace_member_and_little_else():
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    rules = [it for it in lines if it and not it.startswith("#")]
    assert rules[0] == "*"
    allowed = {it[1:] for it in rules if it.startswith("!")}
    members = {it.split("/")[0] for it in WORKSPACE["members"]}
    assert allowed == members | {"Cargo.toml", "Cargo.lock"}
