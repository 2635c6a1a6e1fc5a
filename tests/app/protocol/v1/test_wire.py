"""Behaviour of protocol version 1 on the wire: decoding commands, and encoding replies and pushes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET, Raw, Struct

from gentrifugo.app.model.errors import INTERNAL_ERROR, PERMISSION_DENIED
from gentrifugo.app.model.events import Join, Leave, Publication, RawClientInfo
from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.protocol.v1 import wire

ALICE = RawClientInfo("alice", "c1")
ALICE_IN_FULL = RawClientInfo("alice", "c1", b'{"age": 1e1}', b'["\\ud800"]')
MESSAGE = Publication("u1", "news", b'{"b": 1.50, "a": 12345678901234567890}')
MESSAGE_IN_FULL = Publication("u2", "news", b"null", "c1", ALICE)

PARAMS = [
    wire.ConnectParams,
    wire.SubscribeParams,
    wire.ChannelParams,
    wire.PublishParams,
    wire.BroadcastParams,
    wire.UserParams,
    wire.PingParams,
]


# -- in


def test_one_command_is_an_object() -> None:
    (command,) = wire.decode_commands(b'{"uid":"1","method":"ping","params":{"data":"x"}}')
    assert (command.uid, command.method) == ("1", "ping")
    assert command.params == Raw(b'{"data":"x"}')


def test_several_commands_are_an_array() -> None:
    assert [command.method for command in wire.decode_commands(b'[{"method":"a"},{"method":"b"}]')] == ["a", "b"]
    assert wire.decode_commands(b"[]") == []


def test_fields_may_be_missing_null_or_unknown() -> None:
    (command,) = wire.decode_commands(b'{"method":null,"uid":null,"more":[1]}')
    assert command == wire.Command()
    assert command.params is UNSET


@pytest.mark.parametrize(
    "text",
    [
        '{"Uid":"1","METHOD":"publish","Params":{"Channel":"news","DATA":{"Kept":1}}}',
        '{"uid":"1","method":"publish","params":{"channel":"news","data":{"Kept":1},"Other":2},"more":[]}',
        '{"uid":"2","Uid":"1","method":"publish","params":{"CHANNEL":"old","channel":"news","data":{"Kept":1}}}',
        '{"x":"\\ud800","uid":"1","method":"publish","params":{"y":"\\ud800","Channel":"news","data":{"Kept":1}}}',
    ],
)
def test_field_names_may_have_any_case_and_data_is_unchanged(text: str) -> None:
    (single,) = wire.decode_commands(text.encode())
    first, empty, last = wire.decode_commands(f"[{text},null,{text}]".encode())
    assert empty == wire.Command()
    for command in (single, first, last):
        params = wire.decode_params(command, wire.PublishParams)
        assert (command.uid, command.method, params.channel) == ("1", "publish", "news")
        assert params.data == Raw(b'{"Kept":1}')


def test_a_wrong_type_beside_an_unknown_field_is_named() -> None:
    with pytest.raises(InvalidJSON, match="Expected `string"):
        wire.decode_commands(b'{"more":1,"Method":7}')


def test_a_null_in_an_array_is_a_command_without_a_method() -> None:
    assert wire.decode_commands(b'[{"method":"a"},null]')[1] == wire.Command()


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"null", b"1", b'"x"', b"true", b' {"method":"ping"}', b"{", b"[1]", b'["x"]', b"[[]]", b"{} {}"],
)
def test_other_json_is_refused_as_command(text: bytes) -> None:
    with pytest.raises(InvalidJSON):
        wire.decode_commands(text)


@pytest.mark.parametrize("text", [b'{"uid":1}', b'{"method":{}}', b'[{"method":"a"},{"uid":[]}]'])
def test_a_wrong_type_in_the_envelope_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidJSON, match=r"Expected `string \| null`"):
        wire.decode_commands(text)


def test_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InvalidJSON, match=r"not UTF-8 \(byte 23\)"):
        wire.decode_commands(b'{"params":{"data":"abcd\xff"}}')


@pytest.mark.parametrize("type_", PARAMS)
@pytest.mark.parametrize("params", ["null", "{}", '{"unknown": 1}'])
def test_missing_params_have_defaults(type_: type[Struct], params: str) -> None:
    assert wire.decode_params(command(params), type_) == type_()


@pytest.mark.parametrize("type_", PARAMS)
def test_a_null_is_the_default_of_its_field(type_: type[Struct]) -> None:
    nulls = {name: None for name in type_.__struct_fields__ if name != "data" or type_ is wire.PingParams}
    assert wire.decode_params(command(json.dumps(nulls)), type_) == type_()


@pytest.mark.parametrize("type_", [wire.PublishParams, wire.BroadcastParams])
def test_data_that_is_null_is_not_missing(type_: type[Any]) -> None:
    assert bytes(wire.decode_params(command('{"data":null}'), type_).data) == b"null"
    assert wire.decode_params(command("{}"), type_).data is UNSET


@pytest.mark.parametrize("type_", PARAMS)
@pytest.mark.parametrize("params", ["[]", "1", '"x"', "true"])
def test_params_must_be_an_object(type_: type[Struct], params: str) -> None:
    with pytest.raises(InvalidJSON, match="Expected `object`"):
        wire.decode_params(command(params), type_)


@pytest.mark.parametrize("type_", PARAMS)
def test_missing_params_are_refused(type_: type[Struct]) -> None:
    with pytest.raises(InvalidJSON, match="ping: params are missing"):
        wire.decode_params(wire.Command(method="ping"), type_)


@pytest.mark.parametrize(
    ("type_", "params"),
    [
        (wire.ConnectParams, '{"user": 42}'),
        (wire.ConnectParams, '{"timestamp": 1395086390}'),
        (wire.SubscribeParams, '{"recover": "yes"}'),
        (wire.SubscribeParams, '{"last": {}}'),
        (wire.ChannelParams, '{"channel": 42}'),
        (wire.PublishParams, '{"client": []}'),
        (wire.BroadcastParams, '{"channels": "news"}'),
        (wire.BroadcastParams, '{"channels": [1]}'),
        (wire.UserParams, '{"user": false}'),
        (wire.PingParams, '{"data": 1}'),
    ],
)
def test_a_wrong_type_in_params_names_its_field(type_: type[Struct], params: str) -> None:
    (name,) = json.loads(params)
    with pytest.raises(InvalidJSON, match=rf"Expected .* - at `\$\.{name}"):
        wire.decode_params(command(params), type_)


def test_lone_surrogates_are_kept_in_envelope_and_params() -> None:
    (published,) = wire.decode_commands(b'{"method":"publish","params":{"channel":"c","data":["\\ud800"]}}')
    assert wire.decode_params(published, wire.PublishParams).data == Raw(b'["\\ud800"]')


# -- out


def test_message_contains_client_and_info_only_if_present() -> None:
    assert wire.encode_publication(MESSAGE) == (
        b'{"uid":"u1","channel":"news","data":{"b": 1.50, "a": 12345678901234567890}}'
    )
    assert json.loads(wire.encode_publication(MESSAGE_IN_FULL)) == {
        "uid": "u2",
        "client": "c1",
        "info": {"user": "alice", "client": "c1"},
        "channel": "news",
        "data": None,
    }


def test_info_is_embedded_unchanged() -> None:
    assert wire.encode_info(ALICE_IN_FULL) == (
        b'{"default_info":{"age": 1e1},"channel_info":["\\ud800"],"user":"alice","client":"c1"}'
    )


def test_names_in_messages_are_quoted() -> None:
    awkward = 'a"b\\c\n\0é\u2028'
    publication = Publication(awkward, awkward, b"1", awkward, RawClientInfo(awkward, awkward))
    decoded = json.loads(wire.encode_publication(publication))
    assert {decoded["uid"], decoded["channel"], decoded["client"], decoded["info"]["user"]} == {awkward}


def test_pushes_have_method_and_body() -> None:
    who = {"user": "alice", "client": "c1"}
    assert json.loads(wire.encode_push(MESSAGE_IN_FULL))["method"] == "message"
    assert json.loads(wire.encode_push(Join("news", ALICE))) == pushed("join", channel="news", data=who)
    assert json.loads(wire.encode_push(Leave("news", ALICE))) == pushed("leave", channel="news", data=who)
    assert json.loads(wire.encode_unsubscribe_push("news")) == pushed("unsubscribe", channel="news", status=True)


def test_reply_leaves_out_empty_fields() -> None:
    assert wire.encode_reply(None, "ping") == b'{"method":"ping"}'
    assert wire.encode_reply("", "ping") == b'{"method":"ping"}'
    assert wire.encode_reply("1", "ping", b"{}") == b'{"uid":"1","method":"ping","body":{}}'


def test_a_reply_with_an_error_has_advice_when_there_is_one() -> None:
    assert json.loads(wire.encode_reply("1", "publish", b"{}", PERMISSION_DENIED)) == {
        "uid": "1",
        "method": "publish",
        "error": "permission denied",
        "advice": "fix",
        "body": {},
    }
    assert "advice" not in json.loads(wire.encode_reply("1", "publish", b"{}", INTERNAL_ERROR))


def test_an_api_reply_always_has_error_and_body() -> None:
    assert wire.encode_api_reply(None, "publish") == b'{"method":"publish","error":null,"body":null}'
    assert json.loads(wire.encode_api_reply("7", "publish", error=PERMISSION_DENIED)) == {
        "uid": "7",
        "method": "publish",
        "error": "permission denied",
        "advice": "fix",
        "body": None,
    }


def test_replies_are_joined_to_an_array() -> None:
    assert wire.encode_array([]) == b"[]"
    assert wire.encode_array([b"1", b"{}"]) == b"[1,{}]"


def test_body_of_connect_is_encoded() -> None:
    body = {"version": "1.2.3", "client": "c1", "expires": False, "expired": False, "ttl": 0}
    assert json.loads(wire.connect_body("1.2.3", "c1", False, False, 0.0)) == body
    assert "client" not in json.loads(wire.connect_body("1.2.3", "", True, True, 60))


@pytest.mark.parametrize(("lifetime", "ttl"), [(0.0, b"0"), (60.0, b"60"), (1.5, b"1.5")])
def test_whole_ttl_is_encoded_as_an_integer(lifetime: float, ttl: bytes) -> None:
    assert wire.connect_body("1", "c", True, False, lifetime).endswith(b'"ttl":' + ttl + b"}")


def test_the_body_of_subscribe_has_all_fields_always() -> None:
    assert wire.subscribe_body("c", False) == (
        b'{"channel":"c","status":false,"last":"","messages":null,"recovered":false}'
    )
    assert json.loads(wire.subscribe_body("c", True, "u1", [MESSAGE], True))["messages"][0]["uid"] == "u1"
    assert json.loads(wire.subscribe_body("c", True, "", []))["messages"] == []


def test_body_of_presence_is_encoded() -> None:
    assert json.loads(wire.presence_body("c", {"c1": ALICE})) == {
        "channel": "c",
        "data": {"c1": {"user": "alice", "client": "c1"}},
    }
    assert wire.presence_body("c", {}) == b'{"channel":"c","data":{}}'
    assert wire.presence_body("c", None) == b'{"channel":"c","data":null}'


def test_body_of_history_is_encoded() -> None:
    assert json.loads(wire.history_body("c", [MESSAGE]))["data"][0]["uid"] == "u1"
    assert wire.history_body("c", []) == b'{"channel":"c","data":[]}'
    assert wire.history_body("c", None) == b'{"channel":"c","data":null}'


@pytest.mark.parametrize("text", ["", "{}", ' {"a" : 1e2} ', '"text"', "null", '"\\ud800"'])
def test_json_info_stays_unchanged(text: str) -> None:
    assert wire.embedded_json(text) == text.encode()


@pytest.mark.parametrize("text", ["Zoë", "{", " ", 'x","user":"root', "[" * 5000])
def test_info_that_is_not_json_becomes_a_text(text: str) -> None:
    assert json.loads(wire.embedded_json(text)) == text


def command(params: str) -> wire.Command:
    (decoded,) = wire.decode_commands(b'{"method":"m","params":%b}' % params.encode())
    return decoded


def pushed(method: str, **body: Any) -> dict[str, Any]:
    return {"method": method, "body": body}
