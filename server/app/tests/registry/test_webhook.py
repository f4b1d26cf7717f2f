"""Messages by which registries say that something has changed: MLflow's own, and those of Standard Webhooks."""

import base64
import hashlib
import hmac
import http.client
import json
import time
import uuid

import pytest
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.webhooks.delivery import _generate_hmac_signature
from serving import wait_for, wine
from test_serve import alias, registry, serve  # noqa: F401

PATH = "/v2/registries/webhook"
SECRET = "a secret of some length"
# Nobody looks at the address by himself during a test.
SETTINGS = '[[model]]\nname = "wine"\nsource = "{}"\npoll_s = 86400\n'


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return ["--webhook-secret-file", path]


def standard(body, at=None, key=SECRET, message=None):
    """A message's headers, as the specification has them."""
    message, at = message or uuid.uuid4().hex, str(int(at or time.time()))
    tag = hmac.new(key.encode(), f"{message}.{at}.{body}".encode(), hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(tag).decode()
    return {"webhook-id": message, "webhook-timestamp": at, "webhook-signature": signature}


def mlflow(body):
    """Likewise, as MLflow's own code signs."""
    message, at = str(uuid.uuid4()), str(int(time.time()))
    signature = _generate_hmac_signature(SECRET, message, at, body)
    return {"X-MLflow-Delivery-Id": message, "X-MLflow-Timestamp": at, "X-MLflow-Signature": signature}


def send(server, body, headers, method="POST"):
    connection = http.client.HTTPConnection(server.metrics, timeout=20)
    try:
        connection.request(method, PATH, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def heard(server):
    lines = server.metric("salver_registry_webhooks_total")
    return {line.split('"')[1]: count for line, count in lines.items()}


def test_mlflow_tells_that_an_alias_was_moved(registry, serve, secret):  # noqa: F811
    one, two = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2)]
    alias(registry, one)
    server = serve(SETTINGS.format(registry.uri("@champion")), *secret).ready()
    assert server.version() == one
    moved = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)
    hook = registry.client.create_webhook("salver", f"http://{server.metrics}{PATH}", [moved], secret=SECRET)
    try:
        # MLflow reads its list of webhooks anew after a second.
        wait_for(lambda: alias(registry, two) or heard(server).get("accepted"), "MLflow has sent a message")
        server.serves(two)
    finally:
        registry.client.delete_webhook(hook.webhook_id)
    assert heard(server).keys() == {"accepted"}
    assert SECRET not in server.text()


@pytest.mark.parametrize("by", ["model", "source", "mlflow"])
def test_a_signed_message_hurries_its_addresses(registry, serve, secret, by):  # noqa: F811
    one, two = [registry.publish({"model.onnx": wine(it)}) for it in (1, 2)]
    alias(registry, one)
    server = serve(SETTINGS.format(registry.uri("@champion")), *secret).ready()
    assert server.version() == one
    alias(registry, two)
    said = {"model": {"model": "wine"}, "source": {"source": registry.uri("@champion")}}
    moved = {"entity": "model_version_alias", "action": "created", "data": {"name": registry.name}}
    body = json.dumps(said.get(by, moved))
    assert send(server, body, (standard if by in said else mlflow)(body)) == (200, "")
    server.serves(two)
    assert len(server.said("a registry says that something has changed")) == 1


def test_what_nobody_has_signed_is_refused(tmp_path, serve, secret):  # noqa: F811
    (tmp_path / "files").mkdir()
    (tmp_path / "files/model.onnx").write_bytes(wine(1))
    settings = SETTINGS.format(f"file:{tmp_path}/files")
    server = serve(settings, *secret).ready()
    body, good = '{"model": "wine"}', standard('{"model": "wine"}', message="m")
    large = " " * 65537
    for status, says, sent in [
        (401, "expected the headers", (body, {})),
        (401, "no signature", (body, standard(body, key="another secret of a length"))),
        (401, "no signature", ('{"model": "beer"}', good)),
        (401, "5 minutes", (body, standard(body, at=time.time() - 400))),
        (401, "5 minutes", (body, standard(body, at=time.time() + 400))),
        (400, "no JSON", ("{", standard("{"))),
        (400, "expected", ("{}", standard("{}"))),
        (413, "65536", (large, standard(large))),
        (200, "", (body, good)),
        (200, "", (body, good)),
    ]:
        got = send(server, *sent)
        assert got[0] == status and says in got[1], (status, says, got)
    assert send(server, None, {}, "GET")[0] == 405
    assert heard(server) == {"refused": 5, "malformed": 2, "accepted": 1, "repeated": 1}
    assert server.ask("POST", PATH, {})[0] == 404, "not where clients are"
    server.stop()
    server = serve(settings).ready()
    assert send(server, body, good)[0] == 405, "without a secret there is no such place"
    assert send(server, None, {}, "GET")[0] == 404
    server.stop()
    (tmp_path / "secret").write_text("short")
    with pytest.raises(AssertionError, match="a secret of 5 bytes, expected 16 at least"):
        serve(settings, *secret)
