"""`hf://` against Olah, which serves git repositories by the interface of the Hugging Face hub."""

import subprocess

import pytest
from servers import Salver, olah, plain
from serving import wine
from test_serve import model, serve  # noqa: F401

README = b"---\nlicense: mit\n---\nA model.\n"


class Repository:
    """A git repository that the hub serves."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *words):
        who = ["-c", "user.name=someone", "-c", "user.email=someone@example.com"]
        command = ["git", *who, "-C", self.folder, *words]
        done = subprocess.run(list(map(str, command)), env=plain(), check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, contents):
        """All there is from now on; the commit's name."""
        for path, data in contents.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(data)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a version")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="session")
def hub(tmp_path_factory):
    """The hub's folder and address."""
    folder = tmp_path_factory.mktemp("hub")
    child = olah(folder)
    yield folder / "mirrors/models/org", child.ready().url.rstrip("/")
    child.stop()


@pytest.fixture
def salver_hf(tmp_path, hub):
    """The command line, for that hub."""
    return Salver(tmp_path, HF_ENDPOINT=hub[1])


def test_a_repository_its_folders_and_revisions(hub, salver_hf):
    repository = Repository(hub[0] / "wine")
    first = repository.commit({"model.onnx": b"1" * 5000, "onnx/model.onnx": b"small", "README.md": README})
    pulled = salver_hf.pull("hf://org/wine")
    assert pulled.files() == {"model.onnx": b"1" * 5000, "onnx/model.onnx": b"small", "README.md": README}
    assert pulled.told["identity"] == f"commit {first}"
    assert not salver_hf.pull("hf://org/wine").fetched
    assert salver_hf.pull("hf://org/wine/onnx").files() == {"model.onnx": b"small"}
    repository.git("tag", "v1")
    second = repository.commit({"model.onnx": b"2"})
    assert salver_hf.pull("hf://org/wine").files()["model.onnx"] == b"2"
    assert salver_hf.pull("hf://org/wine@v1").tree == pulled.tree
    assert salver_hf.pull(f"hf://org/wine@{second}/onnx").files() == {"model.onnx": b"small"}


def test_names_that_are_odd(hub, salver_hf):
    odd = {"a b.txt": b"blank", "ü/100%.txt": b"letters", "c#d?e.txt": b"marks", "q+r&s.txt": b"more"}
    repository = Repository(hub[0] / "odd")
    repository.commit(odd)
    assert salver_hf.pull("hf://org/odd").files() == odd


def test_what_is_not_there(hub, salver_hf):
    repository = Repository(hub[0] / "empty")
    repository.commit({"README.md": README})
    salver_hf.refused("pull", "hf://org/empty/onnx", says="no files")
    salver_hf.refused("pull", "hf://org/nobody", says="there is no such repository, or HF_TOKEN does not open it")


def test_a_commit_is_a_version(hub, serve):  # noqa: F811
    repository = Repository(hub[0] / "served")
    repository.commit({"model.onnx": wine(1)})
    server = serve(model("hf://org/served"), HF_ENDPOINT=hub[1]).ready()
    assert server.version() == "1", "counted: commits have no numbers"
    repository.commit({"model.onnx": wine(2)})
    server.serves("2")
    assert server.index()["2"]["state"] == "READY"
