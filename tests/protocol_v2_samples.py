"""Messages of protocol version 2 as objects, in JSON and in Protobuf, and strategies that generate others."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from msgspec import Raw

from gentrifugo.app.model.payload import NO_PAYLOAD
from gentrifugo.app.protocol.v2 import messages
from gentrifugo.app.protocol.v2.fields import Cardinality, Field, Kind, Message, fields_of
from gentrifugo.app.protocol.v2.messages import (
    ClientInfo,
    Command,
    ConnectRequest,
    ConnectResult,
    Disconnect,
    Error,
    FilterNode,
    HistoryRequest,
    HistoryResult,
    Join,
    Leave,
    PresenceRequest,
    PresenceResult,
    PresenceStatsRequest,
    PresenceStatsResult,
    Publication,
    PublishRequest,
    PublishResult,
    Push,
    Refresh,
    RefreshRequest,
    RefreshResult,
    Reply,
    RPCRequest,
    RPCResult,
    SendRequest,
    StreamPosition,
    SubRefreshRequest,
    SubRefreshResult,
    Subscribe,
    SubscribeRequest,
    SubscribeResult,
    Unsubscribe,
    UnsubscribeRequest,
    UnsubscribeResult,
)

TYPES = [
    value
    for value in vars(messages).values()
    if isinstance(value, type) and issubclass(value, Message) and value is not Message
]
"""All types of messages."""


class Sample(NamedTuple):
    """One message in all its forms."""

    message: Any
    json: str
    protobuf: str
    """Hexadecimal digits, without the length of the whole message."""


ANN = ClientInfo("ann", "c1", Raw(b'{"age":7}'))

COMMANDS = [
    Sample(Command(), "{}", ""),
    Sample(
        Command(1, connect=ConnectRequest("t.o.k", name="js", subs={"a": SubscribeRequest(recover=True, offset=2)})),
        '{"id":1,"connect":{"token":"t.o.k","subs":{"a":{"recover":true,"offset":2}},"name":"js"}}',
        "08 01 22 16 0a 05 742e6f2e6b 1a 09 0a 01 61 12 04 1801 3802 22 02 6a73",
    ),
    Sample(
        Command(127, connect=ConnectRequest(headers={"k": "v"}, data=Raw(b"[]"), version="9")),
        '{"id":127,"connect":{"data":[],"version":"9","headers":{"k":"v"}}}',
        "08 7f 22 0f 12 02 5b5d 2a 01 39 32 06 0a 01 6b 12 01 76",
    ),
    Sample(
        Command(128, subscribe=SubscribeRequest("news", recoverable=True, flag=3, delta="fossil")),
        '{"id":128,"subscribe":{"channel":"news","recoverable":true,"delta":"fossil","flag":3}}',
        "08 8001 2a 12 0a 04 6e657773 50 01 62 06 666f7373696c 70 03",
    ),
    Sample(
        Command(2, subscribe=SubscribeRequest("n", tf=FilterNode("and", nodes=[FilterNode(key="k", vals=["a", "b"])]))),
        '{"id":2,"subscribe":{"channel":"n","tf":{"op":"and","nodes":[{"key":"k","vals":["a","b"]}]}}}',
        "08 02 2a 15 0a 01 6e 6a 10 0a 03 616e64 32 09 12 01 6b 2a 01 61 2a 01 62",
    ),
    Sample(
        Command(3, subscribe=SubscribeRequest("n", type=1)),
        '{"id":3,"subscribe":{"channel":"n","type":1}}',
        "08 03 2a 05 0a 01 6e 78 01",
    ),
    Sample(
        Command(4, unsubscribe=UnsubscribeRequest("n")), '{"id":4,"unsubscribe":{"channel":"n"}}', "0804 32 03 0a016e"
    ),
    Sample(
        Command(2**32 - 1, publish=PublishRequest("é", Raw(b'{"x": 1.50}'))),
        '{"id":4294967295,"publish":{"channel":"é","data":{"x": 1.50}}}',
        "08 ffffffff0f 3a 11 0a 02 c3a9 12 0b 7b2278223a20312e35307d",
    ),
    Sample(Command(5, presence=PresenceRequest("n")), '{"id":5,"presence":{"channel":"n"}}', "0805 42 03 0a016e"),
    Sample(
        Command(6, presence_stats=PresenceStatsRequest("n")),
        '{"id":6,"presence_stats":{"channel":"n"}}',
        "0806 4a 03 0a016e",
    ),
    Sample(
        Command(7, history=HistoryRequest("n", -1, StreamPosition(2**64 - 1, "e"), True)),
        '{"id":7,"history":{"channel":"n","limit":-1,"since":{"offset":18446744073709551615,"epoch":"e"},"reverse":true}}',
        "08 07 52 20 0a 01 6e 38 ffffffffffffffffff01 42 0e 08 ffffffffffffffffff01 12 01 65 48 01",
    ),
    Sample(Command(send=SendRequest(Raw(b"null"))), '{"send":{"data":null}}', "62 06 0a 04 6e756c6c"),
    Sample(
        Command(8, rpc=RPCRequest(Raw(b'"x"'), "echo")),
        '{"id":8,"rpc":{"data":"x","method":"echo"}}',
        "08 08 6a 0b 0a 03 227822 12 04 6563686f",
    ),
    Sample(Command(9, refresh=RefreshRequest("t")), '{"id":9,"refresh":{"token":"t"}}', "0809 72 03 0a0174"),
    Sample(
        Command(10, sub_refresh=SubRefreshRequest("n", "t")),
        '{"id":10,"sub_refresh":{"channel":"n","token":"t"}}',
        "080a 7a 06 0a016e 120174",
    ),
]
"""Every request of clients, and the answer to a ping."""

REPLIES = [
    Sample(Reply(), "{}", ""),
    Sample(
        Reply(1, Error(111, "too many requests", True)),
        '{"id":1,"error":{"code":111,"message":"too many requests","temporary":true}}',
        "0801 12 17 08 6f 12 11 746f6f206d616e79207265717565737473 18 01",
    ),
    Sample(
        Reply(1, connect=ConnectResult("c1", "9", True, 300, subs={"a": SubscribeResult()}, ping=25, pong=True)),
        '{"id":1,"connect":{"client":"c1","version":"9","expires":true,"ttl":300,"subs":{"a":{}},"ping":25,"pong":true}}',
        "0801 2a 17 0a 02 6331 12 01 39 1801 20 ac02 32 05 0a 01 61 1200 38 19 40 01",
    ),
    Sample(
        Reply(2, subscribe=SubscribeResult(recoverable=True, epoch="e", publications=[Publication(Raw(b"7"))])),
        '{"id":2,"subscribe":{"recoverable":true,"epoch":"e","publications":[{"data":7}]}}',
        "0802 32 0a 1801 32 01 65 3a 03 22 01 37",
    ),
    Sample(Reply(3, unsubscribe=UnsubscribeResult()), '{"id":3,"unsubscribe":{}}', "0803 3a 00"),
    Sample(Reply(4, publish=PublishResult()), '{"id":4,"publish":{}}', "0804 42 00"),
    Sample(
        Reply(5, presence=PresenceResult({"c1": ANN})),
        '{"id":5,"presence":{"presence":{"c1":{"user":"ann","client":"c1","conn_info":{"age":7}}}}}',
        "0805 4a 1c 0a 1a 0a 02 6331 12 14 0a 03 616e6e 12 02 6331 1a 09 7b22616765223a377d",
    ),
    Sample(Reply(6, presence=PresenceResult({})), '{"id":6,"presence":{"presence":{}}}', "0806 4a 00"),
    Sample(
        Reply(7, presence_stats=PresenceStatsResult(2, 0)),
        '{"id":7,"presence_stats":{"num_clients":2,"num_users":0}}',
        "0807 52 02 08 02",
    ),
    Sample(
        Reply(8, history=HistoryResult([], "", 0)),
        '{"id":8,"history":{"publications":[],"epoch":"","offset":0}}',
        "0808 5a 00",
    ),
    Sample(
        Reply(9, history=HistoryResult([Publication(Raw(b"1"), offset=1, epoch="e")], "e", 1)),
        '{"id":9,"history":{"publications":[{"data":1,"offset":1,"epoch":"e"}],"epoch":"e","offset":1}}',
        "0809 5a 0f 0a 08 22 01 31 30 01 72 01 65 12 01 65 18 01",
    ),
    Sample(Reply(10, rpc=RPCResult(Raw(b"null"))), '{"id":10,"rpc":{"data":null}}', "080a 6a 06 0a 04 6e756c6c"),
    Sample(
        Reply(11, refresh=RefreshResult(True, 5)), '{"id":11,"refresh":{"expires":true,"ttl":5}}', "080b 72 041801 2005"
    ),
    Sample(
        Reply(12, sub_refresh=SubRefreshResult(True, 5)),
        '{"id":12,"sub_refresh":{"expires":true,"ttl":5}}',
        "080c 7a 04 0801 1005",
    ),
    Sample(
        Reply(push=Push("n", Publication(Raw(b"[1, 2]"), ANN, 3, {"k": "v"}, True, -1, "x", "e"))),
        '{"push":{"channel":"n","pub":{"data":[1, 2],"info":{"user":"ann","client":"c1","conn_info":{"age":7}},'
        '"offset":3,"tags":{"k":"v"},"delta":true,"time":-1,"channel":"x","epoch":"e"}}}',
        "22 40 12 01 6e 22 3b 22 06 5b312c20325d 2a 14 0a 03 616e6e 12 02 6331 1a 09 7b22616765223a377d"
        "30 03 3a 06 0a 01 6b 12 01 76 40 01 48 ffffffffffffffffff01 52 01 78 72 01 65",
    ),
    Sample(
        Reply(push=Push("n", join=Join(ClientInfo("", "c1")))),
        '{"push":{"channel":"n","join":{"info":{"user":"","client":"c1"}}}}',
        "22 0b 12 01 6e 2a 06 0a 04 12 02 6331",
    ),
    Sample(
        Reply(push=Push("n", leave=Leave(ClientInfo("u", "c", chan_info=Raw(b"1"))))),
        '{"push":{"channel":"n","leave":{"info":{"user":"u","client":"c","chan_info":1}}}}',
        "22 10 12 01 6e 32 0b 0a 09 0a 01 75 12 01 63 22 01 31",
    ),
    Sample(
        Reply(push=Push("n", unsubscribe=Unsubscribe(2500, "insufficient state"))),
        '{"push":{"channel":"n","unsubscribe":{"code":2500,"reason":"insufficient state"}}}',
        "22 1c 12 01 6e 3a 17 10 c413 1a 12 696e73756666696369656e74207374617465",
    ),
    Sample(
        Reply(push=Push("n", subscribe=Subscribe(True, "e", 4, True, Raw(b"{}")))),
        '{"push":{"channel":"n","subscribe":{"recoverable":true,"epoch":"e","offset":4,"positioned":true,"data":{}}}}',
        "22 12 12 01 6e 4a 0d 0801 22 01 65 28 04 30 01 3a 02 7b7d",
    ),
    Sample(
        Reply(push=Push(message=messages.AsyncMessage(Raw(b"0")))),
        '{"push":{"message":{"data":0}}}',
        "22 05 42 03 0a 01 30",
    ),
    Sample(
        Reply(push=Push(connect=messages.Connect("c1", ping=25, session="s", node="m", time=5))),
        '{"push":{"connect":{"client":"c1","ping":25,"session":"s","node":"m","time":5}}}',
        "22 10 52 0e 0a 02 6331 38 19 4a 01 73 52 01 6d 58 05",
    ),
    Sample(
        Reply(push=Push(disconnect=Disconnect(3503, "gone"))),
        '{"push":{"disconnect":{"code":3503,"reason":"gone"}}}',
        "22 0b 5a 09 08 af1b 12 04 676f6e65",
    ),
    Sample(
        Reply(push=Push(refresh=Refresh(True, 60))),
        '{"push":{"refresh":{"expires":true,"ttl":60}}}',
        "22 06 62 04 0801 103c",
    ),
]
"""Every reply, every push and a ping."""


def delimited(protobuf: str) -> bytes:
    """Return a sample in Protobuf, behind its length."""
    message = bytes.fromhex(protobuf)
    assert len(message) < 128
    return bytes([len(message)]) + message


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=8,
)
JSON_PAYLOADS = st.just(NO_PAYLOAD) | JSON_VALUES.map(lambda value: Raw(msgspec.json.encode(value)))
BINARY_PAYLOADS = st.binary(max_size=20).map(lambda data: Raw(data) if data else NO_PAYLOAD)

NUMBERS = {
    Kind.UINT32: st.integers(0, 2**32 - 1),
    Kind.UINT64: st.integers(0, 2**64 - 1),
    Kind.INT32: st.integers(-(2**31), 2**31 - 1),
    Kind.INT64: st.integers(-(2**63), 2**63 - 1),
}


def messages_of(type_: type[Message], payloads: st.SearchStrategy[Raw], depth: int = 0) -> st.SearchStrategy[Any]:
    """Messages of a type with any values in any of their fields."""
    values = {field.name: _values(field, payloads, depth) for field in fields_of(type_)}
    required = type_.__struct_fields__[: len(type_.__struct_fields__) - len(type_.__struct_defaults__)]
    return st.fixed_dictionaries(
        {name: values[name] for name in required},
        optional={name: value for name, value in values.items() if name not in required},
    ).map(lambda fields: type_(**fields))


def _values(field: Field, payloads: st.SearchStrategy[Raw], depth: int) -> st.SearchStrategy[Any]:
    if field.message is not None and depth == 4:
        return st.just({Cardinality.ONE: None, Cardinality.LIST: [], Cardinality.MAP: {}}[field.cardinality])
    if field.message is not None:
        value = messages_of(field.message, payloads, depth + 1)
    elif field.kind is Kind.PAYLOAD:
        value = payloads
    else:
        value = {Kind.BOOL: st.booleans(), Kind.TEXT: TEXTS, **NUMBERS}[field.kind]
    if field.cardinality is Cardinality.LIST:
        return st.lists(value, max_size=2)
    if field.cardinality is Cardinality.MAP:
        return st.dictionaries(TEXTS, value, max_size=2)
    return value
