"""`oci://` against Debian's docker-registry."""

import hashlib
import io
import json
import tarfile
import urllib.request

ONNX = b"weights" * 1000
PACK = "application/vnd.cncf.model"


def ask(method, url, data=None, kind="application/octet-stream"):
    request = urllib.request.Request(url, data=data, method=method)
    if data is not None:
        request.add_header("Content-Type", kind)
    return urllib.request.urlopen(request, timeout=20).headers


def blob(oci, name, data):
    """Pushes bytes; says how a manifest names them."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    place = ask("POST", f"http://{oci}/v2/{name}/blobs/uploads/", b"")["Location"]
    ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data)
    return {"digest": digest, "size": len(data)}


def push(oci, name, tag, config, layers, annotations=None):
    """Pushes an artifact of (type, bytes, annotations)."""
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {"mediaType": config, **blob(oci, name, b"{}")},
        "layers": [
            {"mediaType": media, **blob(oci, name, data), "annotations": words}
            for media, data, words in layers
        ],
        "annotations": annotations or {},
    }
    data = json.dumps(manifest).encode()
    return ask("PUT", f"http://{oci}/v2/{name}/manifests/{tag}", data, kind)["Docker-Content-Digest"]


def tar(contents, mode="w", links=()):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for path, data in contents.items():
            about = tarfile.TarInfo(path)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
        for path, to in links:
            about = tarfile.TarInfo(path)
            about.type, about.linkname = tarfile.SYMTYPE, to
            archive.addfile(about)
    return out.getvalue()


def test_a_model_pack_and_its_tag(oci, salver):
    def weights(data):
        path = {"org.cncf.model.filepath": "1/model.onnx"}
        return (f"{PACK}.weight.v1.raw", data, path)

    config = (f"{PACK}.weight.config.v1.tar", tar({"config.json": b"{}"}), {})
    digest = push(oci, "org/wine", "champion", f"{PACK}.config.v1+json", [weights(ONNX), config])
    uri = f"oci://{oci}/org/wine:champion?tls=false"
    first = salver.pull(uri)
    assert first.files() == {"1/model.onnx": ONNX, "config.json": b"{}"}
    assert first.told["identity"] == digest
    assert not salver.pull(uri).fetched
    push(oci, "org/wine", "champion", f"{PACK}.config.v1+json", [weights(b"new"), config])
    assert salver.pull(uri).files()["1/model.onnx"] == b"new"
    assert salver.pull(f"oci://{oci}/org/wine@{digest}?tls=false").tree == first.tree


def test_a_modelcar(oci, salver):
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    long = "models/" + "d" * 120 + "/w.bin"
    base = tar({"bin/sh": b"x", "models/old": b"o", "models/gone": b"g"}, "w:gz", [("lib", "/usr")])
    top = tar({"models/old": b"n", "models/.wh.gone": b"", long: b"w"}, "w:gz")
    push(oci, "car", "1", "application/vnd.oci.image.config.v1+json", [(kind, base, {}), (kind, top, {})])
    pulled = salver.pull(f"oci://{oci}/car:1?tls=false")
    assert pulled.files() == {"old": b"n", "d" * 120 + "/w.bin": b"w"}


def test_an_archive_that_leads_out(oci, salver):
    config = f"{PACK}.config.v1+json"
    for name, data in {
        "up": tar({"../../up": b"x"}),
        "link": tar({}, links=[("model.onnx", "/etc/passwd")]),
        "root": tar({"/etc/passwd": b"x"}),
    }.items():
        push(oci, name, "1", config, [(f"{PACK}.weight.v1.tar", data, {})])
        salver.refused("pull", f"oci://{oci}/{name}:1?tls=false", says="archive" if name == "link" else "no name")


def test_what_is_not_there(oci, salver):
    salver.refused("pull", f"oci://{oci}/nobody:1?tls=false", says="answers 404")
