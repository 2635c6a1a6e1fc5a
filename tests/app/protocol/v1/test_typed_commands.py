"""Messages that are decoded in one pass, compared with the decoders for all messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct

from gentrifugo.app.model.json_codec import MAX_NESTING, InvalidJSON
from gentrifugo.app.node.plain_publish import MAX_BRACKETS
from gentrifugo.app.protocol.v1 import wire
from gentrifugo.app.protocol.v1.typed_commands import decode_typed, params_of

PARAMS: dict[str, type[Struct]] = {
    "connect": wire.ConnectParams,
    "subscribe": wire.SubscribeParams,
    "publish": wire.PublishParams,
    "ping": wire.PingParams,
}

KEYS = ("uid", "method", "params", "Method", "UID", "more")
PARAM_NAMES = ("user", "timestamp", "token", "info", "channel", "Channel", "client", "recover", "last", "data", "more")
JSON = st.recursive(
    st.sampled_from(["null", "true", "5", '""', '"1"', '"news"', '"\\ud800"', '"\\u00e9"', '"ä"', "nonsense", ""]),
    lambda inner: st.lists(inner, max_size=2).map(lambda items: f"[{','.join(items)}]"),
    max_leaves=3,
)


def object_of(names: tuple[str, ...], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON objects, in which names may be repeated."""
    members = st.tuples(st.sampled_from(names), values).map(lambda member: f'"{member[0]}":{member[1]}')
    return st.lists(members, max_size=5).map(lambda items: f"{{{','.join(items)}}}")


METHODS = st.sampled_from([*(f'"{method}"' for method in PARAMS), '"presence"', '""', "null"])
MESSAGES = object_of(KEYS, METHODS | object_of(PARAM_NAMES, JSON) | JSON)


@st.composite
def usual_messages(draw: st.DrawFn) -> str:
    """Messages that mostly have the form of a command."""
    members = {"uid": draw(JSON), "method": draw(METHODS), "params": draw(object_of(PARAM_NAMES, JSON))}
    return f"{{{','.join(f'{json.dumps(name)}:{value}' for name, value in members.items())}}}"


@given(MESSAGES | usual_messages())
@example('{"uid":"1","method":"connect","params":{"user":"a","info":"{}"}}')
@example('{"uid":null,"method":"subscribe","params":{"channel":"news","recover":true}}')
@example('{"method":"publish","params":{"channel":"news","data":{"a":[1,2]}}}')
@example('{"method":"ping"}')
@example('{"method":"connect","method":"ping","params":{}}')
@example('{"method":"connect","params":5,"params":{"user":"a"}}')
def test_result_is_that_of_the_other_decoders(message: str) -> None:
    command = decode_typed(message.encode())
    if command is None:
        return
    (other,) = wire.decode_commands(message.encode())
    assert (command.uid, command.method) == (other.uid, other.method)
    if command.params is UNSET:
        assert other.params is UNSET
    else:
        type_ = PARAMS[command.method]
        assert params_of(command, type_) == params_of(other, type_)


@pytest.mark.parametrize("method", PARAMS)
def test_usual_commands_are_decoded_in_one_pass(method: str) -> None:
    command = decode_typed(json.dumps({"uid": "1", "method": method, "params": {}}).encode())
    assert command is not None
    assert params_of(command, PARAMS[method]) == PARAMS[method]()


@pytest.mark.parametrize(
    "message",
    [
        b'[{"method":"ping"}]',
        b' {"method":"ping"}',
        b'{"method":"presence","params":{"channel":"news"}}',
        b'{"method":"connect"}',
        b'{"method":"connect","params":null}',
        b'{"method":"connect","params":{"User":"a"}}',
        b'{"Method":"ping"}',
        b'{"method":"publish","params":{"channel":"a","data":"\xff"}}',
        b'{"method":"publish","params":{"data":' + b"[" * (MAX_BRACKETS + 1) + b"]" * (MAX_BRACKETS + 1) + b"}}",
        b'{"method":"publish","params":{"data":' + b"[" * 100_000 + b"}}",
        b'{"method":"publish","params":{"data":' + b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1) + b',"data":1}}',
        b"",
        b"{",
    ],
)
def test_other_messages_are_left_to_the_other_decoders(message: bytes) -> None:
    assert decode_typed(message) is None


def test_invalid_parameters_are_refused() -> None:
    deep = Raw(b"[" * (MAX_NESTING * 2) + b"]" * (MAX_NESTING * 2))
    for params in (UNSET, Raw(b"5"), Raw(b'{"data":' + bytes(deep) + b"}")):
        with pytest.raises(InvalidJSON):
            params_of(wire.Command(method="publish", params=params), wire.PublishParams)
