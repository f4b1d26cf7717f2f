"""What gRPC's own tools ask for: health of the server and of each model, and reflection."""

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from server import PATIENCE_S, SAMPLES

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN
SERVICE = "inference.GRPCInferenceService"
SERVICES = [SERVICE, "grpc.health.v1.Health"]


@pytest.mark.parametrize("name", ["", SERVICE, "wine", "greeting"])
def test_health(samples, name):
    with grpc.insecure_channel(samples.grpc) as channel:
        assert HealthStub(channel).Check(HealthCheckRequest(service=name)).status == SERVING


@pytest.mark.parametrize("name", ["nobody", "Inference", "wine/1", "x" * 5000])
def test_health_of_nobody(samples, name):
    with grpc.insecure_channel(samples.grpc) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            HealthStub(channel).Check(HealthCheckRequest(service=name))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        # Watching is not refused: the name may come to be known.
        statuses = HealthStub(channel).Watch(HealthCheckRequest(service=name), timeout=PATIENCE_S)
        assert next(statuses).status == SERVICE_UNKNOWN
        statuses.cancel()


def test_watch_a_model(start):
    server = start(SAMPLES).settled()
    command = "/v2/repository/models/wine/{}".format
    with grpc.insecure_channel(server.grpc) as channel:
        statuses = HealthStub(channel).Watch(HealthCheckRequest(service="wine"), timeout=PATIENCE_S)
        assert next(statuses).status == SERVING
        assert server.ask("POST", command("unload")).status == 200
        assert next(statuses).status == NOT_SERVING
        assert server.ask("POST", command("load")).status == 200
        assert next(statuses).status == SERVING
        # Nor does an open stream hold up the server's end.
        server.signal()
        assert [it.status for it in statuses] == []
        assert server.wait() == 0


def test_watch_a_model_that_comes_to_be(start, repository):
    server = start(repository).settled()
    with grpc.insecure_channel(server.grpc) as channel:
        statuses = HealthStub(channel).Watch(HealthCheckRequest(service="wine"), timeout=PATIENCE_S)
        assert next(statuses).status == SERVICE_UNKNOWN
        repository.sample("wine", 1)
        seen = next(it.status for it in statuses if it.status != NOT_SERVING)
        assert seen == SERVING
        statuses.cancel()


def test_watch_the_server(start):
    server = start(SAMPLES).settled()
    with grpc.insecure_channel(server.grpc) as channel:
        statuses = HealthStub(channel).Watch(HealthCheckRequest(), timeout=PATIENCE_S)
        assert next(statuses).status == SERVING
        server.signal()
        assert next(statuses).status == NOT_SERVING
    assert server.wait() == 0


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services(samples, version):
    with grpc.insecure_channel(samples.grpc) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = ask(iter([question]), timeout=PATIENCE_S)
    assert {it.name for it in answer.list_services_response.service} >= set(SERVICES)


def test_a_client_without_the_proto(samples):
    """Reflection is enough to build a request and read its answer."""
    with grpc.insecure_channel(samples.grpc) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(SERVICE).FindMethodByName("ServerMetadata")
        assert method.input_type.full_name == "inference.ServerMetadataRequest"
        fields = {it.name: it.number for it in method.output_type.fields}
        assert fields == {"name": 1, "version": 2, "extensions": 3}


def test_no_such_method(samples):
    methods = [f"/{SERVICE}/ModelStreamInfer", f"/{SERVICE}/Nothing", "/no.Service/At", "/", "/x"]
    with grpc.insecure_channel(samples.grpc) as channel:
        for method in methods:
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(method)(b"", timeout=PATIENCE_S)
            assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED, method
