"""Object stores for tests: one interface over S3's client and Azure's."""

import boto3
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from servers import azurite, moto

KEYS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "hush",
    "AWS_DEFAULT_REGION": "us-east-1",
}

# The account that every Azurite has, and its key: both are public.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def lower(keys):
    """Names of boto3's arguments."""
    return {
        "aws_access_key_id": keys["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": keys["AWS_SECRET_ACCESS_KEY"],
        "region_name": keys["AWS_DEFAULT_REGION"],
    }


class S3:
    """The bucket `models` of moto."""

    scheme = "s3"

    def __init__(self, child):
        self.child = child
        # What a server needs to find it.
        self.place = {"AWS_ENDPOINT_URL": child.url} | KEYS
        self.client = boto3.client("s3", endpoint_url=child.url, **lower(KEYS))

    def make(self):
        self.client.create_bucket(Bucket="models")
        return self

    def put(self, name, data):
        self.client.put_object(Bucket="models", Key=name, Body=data)

    def read(self, name):
        return self.client.get_object(Bucket="models", Key=name)["Body"].read()

    def written(self, prefix):
        """When each object below a prefix was written, by its name."""
        listed = self.client.list_objects_v2(Bucket="models", Prefix=prefix).get("Contents", [])
        return {it["Key"]: it["LastModified"] for it in listed}


class Azure:
    """The container `models` of Azurite."""

    scheme = "az"

    def __init__(self, child):
        self.child = child
        self.endpoint = f"{child.url}{ACCOUNT}"
        self.place = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }
        self.connection = f"AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={self.endpoint};"
        service = BlobServiceClient.from_connection_string(f"DefaultEndpointsProtocol=http;{self.connection}")
        self.client = service.get_container_client("models")

    def make(self):
        try:
            self.client.create_container()
        except ResourceExistsError:
            pass  # it was asked twice: the client asks again when an answer is late
        return self

    def put(self, name, data):
        self.client.upload_blob(name, data, overwrite=True)

    def read(self, name):
        return self.client.download_blob(name).readall()

    def written(self, prefix):
        return {it.name: it.last_modified for it in self.client.list_blobs(name_starts_with=prefix)}


KINDS = {"s3": (S3, moto), "az": (Azure, azurite)}


def start(kind, folder):
    """A store of a test's own; `None` where its server is not installed."""
    store, server = KINDS[kind]
    child = server(folder)
    return child and store(child.ready()).make()
