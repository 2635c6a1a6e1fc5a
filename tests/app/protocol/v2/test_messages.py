"""The declared messages: they match those of the official client libraries, and have helper methods."""

from __future__ import annotations

from typing import Any

import pytest
from centrifuge.protocol import client_pb2
from google.protobuf.descriptor import FieldDescriptor
from msgspec import Raw

from gentrifugo.app.model.events import RawClientInfo
from gentrifugo.app.model.payload import NO_PAYLOAD
from gentrifugo.app.protocol.v2.fields import Cardinality, Field, Kind, Message, fields_of
from gentrifugo.app.protocol.v2.messages import (
    CLIENT_METHODS,
    ClientInfo,
    Command,
    PublishRequest,
    RPCRequest,
    StreamPosition,
    SubscribeRequest,
    client_info,
)
from tests.protocol_v2_samples import COMMANDS, TYPES

KINDS = {
    FieldDescriptor.TYPE_BOOL: Kind.BOOL,
    FieldDescriptor.TYPE_UINT32: Kind.UINT32,
    FieldDescriptor.TYPE_UINT64: Kind.UINT64,
    FieldDescriptor.TYPE_INT32: Kind.INT32,
    FieldDescriptor.TYPE_INT64: Kind.INT64,
    FieldDescriptor.TYPE_STRING: Kind.TEXT,
    FieldDescriptor.TYPE_BYTES: Kind.PAYLOAD,
    FieldDescriptor.TYPE_MESSAGE: Kind.MESSAGE,
}
OFFICIAL_NAMES = {"AsyncMessage": "Message"}
NEWER = {("Publication", "epoch"), ("SubscribeRequest", "type")}
"""Fields that centrifuge-python does not know yet, but centrifuge-js does."""


def official(type_: type[Message]) -> Any:
    """The message of this type in the official definitions."""
    return client_pb2.DESCRIPTOR.message_types_by_name[OFFICIAL_NAMES.get(type_.__name__, type_.__name__)]


def as_declared(field: Any) -> tuple[int, Kind, Cardinality, str]:
    """Convert a field of the official definitions to the form of declared fields."""
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    value = field.message_type.fields_by_name["value"] if is_map else field
    cardinality = Cardinality.MAP if is_map else Cardinality.LIST if field.is_repeated else Cardinality.ONE
    return field.number, KINDS[value.type], cardinality, value.message_type.name if value.message_type else ""


def ours(field: Field) -> tuple[int, Kind, Cardinality, str]:
    """Convert a declared field for the comparison."""
    return field.number, field.kind, field.cardinality, field.message.__name__ if field.message else ""


@pytest.mark.parametrize("type_", TYPES)
def test_messages_agree_with_the_official_definitions(type_: type[Message]) -> None:
    theirs = {name: as_declared(field) for name, field in official(type_).fields_by_name.items()}
    fields = {field.name: ours(field) for field in fields_of(type_) if (type_.__name__, field.name) not in NEWER}
    renamed = {official_name: name for name, official_name in OFFICIAL_NAMES.items()}
    expected = {name: (*theirs[name][:3], renamed.get(theirs[name][3], theirs[name][3])) for name in fields}
    assert fields == expected


@pytest.mark.parametrize("sample", COMMANDS, ids=lambda sample: sample.json)
def test_official_library_decodes_our_messages(sample: Any) -> None:
    theirs = client_pb2.Command.FromString(bytes.fromhex(sample.protobuf))
    assert theirs.id == sample.message.id
    assert [name for name in CLIENT_METHODS if theirs.HasField(name)] == (
        [sample.message.method] if sample.message.method else []
    )


def test_method_of_a_command_is_found() -> None:
    assert Command(1, rpc=RPCRequest()).method == "rpc"
    assert Command().method == ""
    assert Command(1, rpc=RPCRequest(), publish=PublishRequest()).method == "publish"


def test_the_samples_have_every_method() -> None:
    assert {sample.message.method for sample in COMMANDS} == {"", *CLIENT_METHODS}


@pytest.mark.parametrize("type_", [StreamPosition, SubscribeRequest])
def test_offsets_have_64_bits(type_: Any) -> None:
    assert type_(offset=2**64 - 1).offset == 2**64 - 1
    with pytest.raises(ValueError, match="more than 64 bits"):
        type_(offset=2**64)


def test_a_connection_of_the_node_becomes_client_info() -> None:
    info = client_info(RawClientInfo("ann", "c1", b'{"x": 1}'))
    assert info == ClientInfo("ann", "c1", Raw(b'{"x": 1}'))
    assert info.chan_info is NO_PAYLOAD
