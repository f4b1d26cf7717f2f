"""The registries, each started once and only if a test asks for it."""

import signal

import boto3
import pytest
import stores
from servers import Salver, docker_registry, mlflow, moto
from stores import KEYS, lower

# MLflow sends webhooks to public addresses over TLS alone, unless it is told so.
WEBHOOKS = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "c2FsdmVyLXRlc3RzLXNhbHZlci10ZXN0cy1zYWx2ZXI=",
}


def pytest_configure():
    # Whoever ends the tests ends them like Ctrl-C does: the fixtures get to stop their servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Where the servers keep what they keep."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def started(home):
    """All of them, started side by side: they take their time."""
    children = {"s3": moto(home)}
    s3 = children["s3"].url
    auth = home / "auth.ini"
    auth.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"admin_password = hush-hush-hush\ndatabase_uri = sqlite:///{home}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    try:
        children["s3"].ready()
        boto3.client("s3", endpoint_url=s3, **lower(KEYS)).create_bucket(Bucket="models")
        children["mlflow"] = mlflow(home / "plain", home / "artifacts", **WEBHOOKS)
        children["mlflow_s3"] = mlflow(
            home / "auth",
            "s3://models/mlflow",
            MLFLOW_AUTH_CONFIG_PATH=str(auth),
            MLFLOW_FLASK_SERVER_SECRET_KEY="hush",
            MLFLOW_S3_ENDPOINT_URL=s3,
            **KEYS,
        )
        yield {name: child.ready() for name, child in children.items()}
    finally:
        for child in children.values():
            child.stop()


@pytest.fixture(scope="session")
def s3(started):
    """A client of the S3 server, whose bucket is `models`."""
    return boto3.client("s3", endpoint_url=started["s3"].url, **lower(KEYS))


@pytest.fixture(scope="session")
def az(home):
    """A container of Azure's blob service."""
    folder = home / "azurite"
    folder.mkdir()
    store = stores.start("az", folder)
    if store is None:
        pytest.skip("no Azurite: `make azurite` fetches it")
    yield store
    store.child.stop()


@pytest.fixture
def store(request):
    """A bucket or container that tests share: of S3, or whatever they were marked with."""
    if getattr(request, "param", "s3") == "az":
        return request.getfixturevalue("az")
    request.getfixturevalue("s3")
    return stores.S3(request.getfixturevalue("started")["s3"])


@pytest.fixture
def salver(tmp_path):
    """The command line."""
    return Salver(tmp_path)


@pytest.fixture
def salver_s3(tmp_path, started):
    """Likewise, with what S3 needs."""
    return Salver(tmp_path, AWS_ENDPOINT_URL=started["s3"].url, **KEYS)


@pytest.fixture(scope="session")
def oci(tmp_path_factory):
    """The address of an OCI registry."""
    child = docker_registry(tmp_path_factory.mktemp("oci"))
    if child is None:
        pytest.skip("no docker-registry: `make docker-registry` fetches Debian's")
    yield child.ready().url.removeprefix("http://").removesuffix("/v2/")
    child.stop()
