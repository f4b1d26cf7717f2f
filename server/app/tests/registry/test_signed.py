"""Models of OCI registries that must be signed, against Debian's docker-registry: signatures as cosign's documents have
them, made by openssl."""

import base64
import hashlib
import json
import subprocess

import pytest
from serving import wait_for, wine
from test_oci import ask, blob, push
from test_serve import model, serve  # noqa: F401

PACK = "application/vnd.cncf.model"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Signer:
    """A pair of keys, made by openssl."""

    def __init__(self, folder, *kind):
        folder.mkdir()
        self.folder, self.private, self.public = folder, folder / "key.pem", folder / "key.pub"
        openssl("genpkey", *kind, "-out", self.private)
        openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)
        self.is_edwards = "ED25519" in kind

    def sign(self, data):
        (self.folder / "data").write_bytes(data)
        words = ["-rawin"] if self.is_edwards else ["-rawin", "-digest", "sha256"]
        given = ("-inkey", self.private, "-in", self.folder / "data", "-out", self.folder / "sig")
        openssl("pkeyutl", "-sign", *words, *given)
        return base64.b64encode((self.folder / "sig").read_bytes()).decode()


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


KINDS = {
    "P-256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "P-384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "Ed25519": ("-algorithm", "ED25519"),
}


@pytest.fixture
def signer(tmp_path):
    return Signer(tmp_path / "signer", *KINDS["P-256"])


def weights(oci, name, data=b"weights"):
    """Pushes a model of one file; its digest."""
    layer = (f"{PACK}.weight.v1.raw", data, {"org.cncf.model.filepath": "model.onnx"})
    return push(oci, name, "v1", f"{PACK}.config.v1+json", [layer])


def payload(digest, **more):
    critical = {
        "identity": {"docker-reference": "registry.example/other"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical | more, "optional": None}).encode()


def tag(digest):
    return digest.replace(":", "-")


def sign(oci, name, digest, signed):
    """Puts signatures under the tag that cosign gives them: of (payload, signature)."""
    layers = [(SIMPLE, data, {SIGNATURE: signature}) for data, signature in signed]
    push(oci, name, f"{tag(digest)}.sig", "application/vnd.oci.image.config.v1+json", layers)


def bundle(oci, name, digest, signer, predicate="https://sigstore.dev/cosign/sign/v1"):
    """Puts a bundle beside a manifest as cosign 3 does where a registry lists no referrers."""
    subject = {"digest": {"sha256": digest.removeprefix("sha256:")}}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": predicate,
        "predicate": {},
    }
    body, kind = json.dumps(statement).encode(), "application/vnd.in-toto+json"
    message = f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode() + body
    envelope = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": kind,
        "signatures": [{"sig": signer.sign(message)}],
    }
    material = {"publicKey": {"hint": "none"}}
    content = json.dumps({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}).encode()
    empty = "application/vnd.oci.empty.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {"mediaType": empty, **blob(oci, name, b"{}")},
        "layers": [{"mediaType": BUNDLE, **blob(oci, name, content)}],
    }
    data = json.dumps(manifest).encode()
    ask("PUT", f"http://{oci}/v2/{name}/manifests/bundle", data, MANIFEST)
    entry = {
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size": len(data),
    }
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    ask("PUT", f"http://{oci}/v2/{name}/manifests/{tag(digest)}", index, INDEX)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_that_openssl_makes(kind, oci, salver, tmp_path):
    name, signer = f"signed/{kind.lower()}", Signer(tmp_path / "signer", *KINDS[kind])
    digest = weights(oci, name)
    uri, required = f"oci://{oci}/{name}:v1?tls=false", ("--signer", signer.public)
    salver.refused("pull", uri, *required, says="nor has cosign left one beside it")
    sign(oci, name, digest, [(payload(digest), signer.sign(payload(digest)))])
    assert salver.pull(uri, *required).files() == {"model.onnx": b"weights"}
    assert salver.pull(uri, "--offline", *required).told["identity"] == digest


def test_a_bundle_of_cosign_3(oci, salver, signer):
    digest = weights(oci, "signed/bundle")
    uri, required = f"oci://{oci}/signed/bundle:v1?tls=false", ("--signer", signer.public)
    bundle(oci, "signed/bundle", digest, signer, "https://slsa.dev/provenance/v1")
    salver.refused("pull", uri, *required, says="https://slsa.dev/provenance/v1")
    bundle(oci, "signed/bundle", digest, signer)
    assert salver.pull(uri, *required).fetched


def test_signatures_that_are_none(oci, salver, signer, tmp_path):
    name, stranger = "signed/wrong", Signer(tmp_path / "stranger", *KINDS["P-256"])
    digest, other = weights(oci, name), weights(oci, "signed/other", b"other")
    uri, required = f"oci://{oci}/{name}:v1?tls=false", ("--signer", signer.public)
    good, of_other = payload(digest), payload(other)
    atomic, large = payload(digest, type="atomic container signature"), payload(digest, x="x" * 65536)
    for signed, says in [
        ([(good, stranger.sign(good))], "not signed by a key that is trusted here"),
        ([(of_other, signer.sign(of_other))], f"it is of {other}, not of {digest}"),
        ([(good, signer.sign(of_other))], "not signed by a key that is trusted here"),
        ([(atomic, signer.sign(atomic))], "atomic container signature"),
        ([(large, signer.sign(large))], "at most 65536"),
        ([(payload(digest, n=n), "AA==") for n in range(17)], "more than 16 payloads"),
        ([(good, "AA==")] * 257, "more than 256 signatures"),
        ([(good, "no base64!")], "no base64"),
    ]:
        sign(oci, name, digest, signed)
        salver.refused("pull", uri, *required, says=says)
    assert salver.pull(uri).fetched, "who asks for no signature gets it"
    salver.refused("pull", uri, "--offline", *required, says="no signature (model.sig)")
    sign(oci, name, digest, [(good, stranger.sign(good)), (good, signer.sign(good))])
    assert not salver.pull(uri, *required).fetched, "what is in the cache need not come again"
    salver.refused("pull", uri, "--offline", "--signer", stranger.public, says="not signed by a key")


def test_only_what_is_signed_is_served(oci, signer, serve):  # noqa: F811
    digest = weights(oci, "served/wine", wine(1))
    weights(oci, "unsigned/wine", wine(1))
    sign(oci, "served/wine", digest, [(payload(digest), signer.sign(payload(digest)))])
    flags = ("--signer", signer.public)
    server = serve(model(f"oci://{oci}/served/wine:v1?tls=false"), *flags).ready()
    assert server.version() == "1"
    # A push that nobody has signed yet: the old one serves, and the reason is said. Once it is signed it takes over.
    digest = weights(oci, "served/wine", wine(2))
    reason = lambda it: [line for line in it.text().splitlines() if "nor has cosign left one beside it" in line]  # noqa: E731
    wait_for(lambda: reason(server), "it says why")
    assert server.version() == "1"
    server.stop()
    sign(oci, "served/wine", digest, [(payload(digest), signer.sign(payload(digest)))])
    server = serve(model(f"oci://{oci}/served/wine:v1?tls=false"), *flags).ready()
    server.serves("2")
    server.stop()
    # Nobody signed it there, though the cache has the same bytes from elsewhere.
    refused = serve(model(f"oci://{oci}/unsigned/wine:v1?tls=false"), *flags)
    wait_for(lambda: reason(refused), "it says why")
    assert refused.ask("POST", "/v2/models/wine/infer", {})[0] != 200
