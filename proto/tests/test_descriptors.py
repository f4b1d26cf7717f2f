"""Our protocol is part of the public one: every name, number and type of ours is theirs.

Compares the descriptors that the server is built with to those of PyPI's `tritonclient`.
"""

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from tritonclient.grpc import service_pb2

OURS = Path(__file__).parents[1] / "src/generated/inference.bin"
THEIRS = service_pb2.DESCRIPTOR


def our_files():
    """Our descriptors in a pool of their own: in the default one they would meet theirs."""
    pool = DescriptorPool()
    files = FileDescriptorSet.FromString(OURS.read_bytes()).file
    for it in files:
        pool.Add(it)
    return [pool.FindFileByName(it.name) for it in files]


def messages(found):
    """All messages by full name, those inside others and those of maps included."""
    named = {}
    for it in found:
        named |= {it.full_name: it} | messages(it.nested_types)
    return named


def enums(files):
    """All enums by full name, those inside messages included."""
    inside = messages(message for file in files for message in file.message_types_by_name.values())
    found = [it for file in files for it in file.enum_types_by_name.values()]
    found += [it for message in inside.values() for it in message.enum_types]
    return {it.full_name: it for it in found}


def field(it):
    """Everything about a field that shows on the wire or in generated code."""
    return {
        "name": it.name,
        "number": it.number,
        "type": it.type,
        "repeated": it.is_repeated,
        "packed": it.is_packed,
        "presence": it.has_presence,
        "oneof": it.containing_oneof and it.containing_oneof.name,
        "message": it.message_type and it.message_type.full_name,
        "enum": it.enum_type and it.enum_type.full_name,
        "json": it.json_name,
    }


def method(it):
    return {
        "input": it.input_type.full_name,
        "output": it.output_type.full_name,
        "client streams": it.client_streaming,
        "server streams": it.server_streaming,
    }


FILES = our_files()
MESSAGES = messages(message for file in FILES for message in file.message_types_by_name.values())
THEIR_MESSAGES = messages(THEIRS.message_types_by_name.values())
SERVICES = {it.full_name: it for file in FILES for it in file.services_by_name.values()}


def test_there_is_something_to_compare():
    assert "inference.GRPCInferenceService" in SERVICES
    assert {"inference.ModelInferRequest", "inference.ModelInferResponse"} <= MESSAGES.keys()


@pytest.mark.parametrize("name", MESSAGES)
def test_message(name):
    ours, theirs = MESSAGES[name], THEIR_MESSAGES[name]
    assert ours.GetOptions().map_entry == theirs.GetOptions().map_entry
    for it in ours.fields:
        assert field(it) == field(theirs.fields_by_number[it.number])
    # A oneof of ours has all the members of theirs: leaving one out would lose what callers set.
    for it in ours.oneofs:
        members = {member.name for member in theirs.oneofs_by_name[it.name].fields}
        assert {member.name for member in it.fields} == members


@pytest.mark.parametrize("name", SERVICES)
def test_service(name):
    theirs = {it.full_name: it for it in THEIRS.services_by_name.values()}[name]
    for it in SERVICES[name].methods:
        assert method(it) == method(theirs.methods_by_name[it.name])


def test_enums():
    theirs = enums([THEIRS])
    for name, it in enums(FILES).items():
        values = {value.name: value.number for value in it.values}
        assert values.items() <= {it.name: it.number for it in theirs[name].values}.items()
