"""Behaviour of the format JSON alone: lines, null, and payloads that are not JSON."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from gentrifugo.app.model.events import RawClientInfo
from gentrifugo.app.model.json_codec import MAX_NESTING
from gentrifugo.app.protocol.v2.format import InvalidFrame, NotJSON
from gentrifugo.app.protocol.v2.json_format import JSON
from gentrifugo.app.protocol.v2.messages import (
    ClientInfo,
    Command,
    ConnectRequest,
    FilterNode,
    HistoryRequest,
    HistoryResult,
    PresenceResult,
    Publication,
    PublishRequest,
    Push,
    Reply,
    RPCResult,
    SubscribeRequest,
    UnsubscribeRequest,
)

LEAVE = b'{"id":1,"unsubscribe":{"channel":"n"}}'


def decoded(frame: bytes) -> list[Command]:
    """All commands of a frame."""
    return list(JSON.decode_commands(frame))


def test_frame_may_end_with_a_line_break() -> None:
    assert decoded(LEAVE + b"\n") == decoded(LEAVE) == [Command(1, unsubscribe=UnsubscribeRequest("n"))]


@pytest.mark.parametrize("frame", [b"", b"\n", LEAVE + b"\n\n", b"\n" + LEAVE, LEAVE + b"\n\n" + LEAVE])
def test_a_line_without_a_command_is_refused(frame: bytes) -> None:
    with pytest.raises(InvalidFrame):
        decoded(frame)


def test_commands_before_a_wrong_line_are_read() -> None:
    commands = iter(JSON.decode_commands(LEAVE + b"\nhello"))
    assert next(commands).id == 1
    with pytest.raises(InvalidFrame):
        next(commands)


def test_only_the_first_object_of_a_line_is_decoded() -> None:
    assert decoded(LEAVE + b' {"id":2,"unsubscribe":{"channel":"m"}}') == decoded(LEAVE)
    assert decoded(b'{"id":null}{"id":2}') == [Command()]


def test_a_command_over_several_lines_is_refused() -> None:
    with pytest.raises(InvalidFrame):
        decoded(b'{"id":1,\n"unsubscribe":{"channel":"n"}}')


def test_null_counts_as_a_missing_field() -> None:
    (command,) = decoded(
        b'{"id":1,"connect":{"token":null,"headers":null,"subs":{"a":{"offset":1}}},"rpc":null,"x":null}'
    )
    assert command == Command(1, connect=ConnectRequest(subs={"a": SubscribeRequest(offset=1)}))
    assert decoded(b'{"id":2,"history":{"channel":"n","since":null}}') == [Command(2, history=HistoryRequest("n"))]


def test_null_counts_as_a_missing_field_in_lists_and_maps() -> None:
    (command,) = decoded(
        b'{"id":1,"connect":{"subs":{"a\\"":{"offset":1,"epoch":null},"b":{"tf":{"nodes":[{"key":"k","val":null}]}}}}}'
    )
    assert command.connect is not None
    first, second = command.connect.subs.values()
    assert (list(command.connect.subs), first, second.tf) == (
        ['a"', "b"],
        SubscribeRequest(offset=1),
        FilterNode(nodes=[FilterNode(key="k")]),
    )


def subscribe_with_null(depth: int) -> bytes:
    nodes = b'{"nodes":[' * depth + b'{"key":null}' + b"]}" * depth
    return b'{"id":1,"subscribe":{"channel":"a","tf":%b}}' % nodes


def test_messages_with_a_null_may_be_nested_to_a_limit() -> None:
    assert decoded(subscribe_with_null(100)) == decoded(subscribe_with_null(100).replace(b'"key":null', b""))
    with pytest.raises(InvalidFrame, match="too deeply"):
        decoded(subscribe_with_null(260))


def test_null_is_a_payload() -> None:
    (command,) = decoded(b'{"id":1,"publish":{"channel":"n","data":null}}')
    assert command.publish == PublishRequest("n", Raw(b"null"))
    (command,) = decoded(b'{"id":null,"publish":{"channel":"n","data":null}}')
    assert command.publish == PublishRequest("n", Raw(b"null"))


@pytest.mark.parametrize("extra", [b'"extra":true', b'"ping":{}', b'"deep":[[{"a":[1]}]]'])
def test_unknown_fields_are_ignored(extra: bytes) -> None:
    assert decoded(LEAVE[:-2] + b"," + extra + b"}," + extra + b"}") == decoded(LEAVE)


def test_half_of_a_surrogate_pair_is_kept_in_payloads() -> None:
    (command,) = decoded(b'{"id":1,"publish":{"channel":"\\ud800","data":"\\ud800"}}')
    assert command.publish == PublishRequest("\ufffd", Raw(b'"\\ud800"'))


def test_payloads_may_be_nested_as_deeply_as_everywhere() -> None:
    (command,) = decoded(b'{"id":1,"publish":{"data":%b}}' % (b"[" * MAX_NESTING + b"]" * MAX_NESTING))
    assert command.publish is not None
    with pytest.raises(InvalidFrame, match="nested too deeply"):
        decoded(b'{"id":1,"publish":{"data":%b}}' % (b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1)))


def test_line_breaks_in_payloads_do_not_divide_a_frame() -> None:
    reply = Reply(push=Push("n", Publication(Raw(b'{\n"a":\n["\\n"]\n}'))))
    assert JSON.encode_reply(reply) == b'{"push":{"channel":"n","pub":{"data":{"a":["\\n"]}}}}'
    assert JSON.encode_publication("n", b'{\n"a":\n["\\n"]\n}') == JSON.encode_reply(reply)
    assert reply.push is not None
    assert JSON.encode_push(reply.push) == b'{"channel":"n","pub":{"data":{"a":["\\n"]}}}'


BINARY = Raw(b'1,"offset":9')


@pytest.mark.parametrize(
    "reply",
    [
        Reply(push=Push("n", Publication(BINARY))),
        Reply(push=Push("n", Publication(Raw(b"1"), ClientInfo("u", "c", BINARY)))),
        Reply(1, history=HistoryResult([Publication(Raw(b"1")), Publication(BINARY)], "e", 2)),
        Reply(1, presence=PresenceResult({"c": ClientInfo("u", "c", chan_info=BINARY)})),
        Reply(1, rpc=RPCResult(BINARY)),
        Reply(1, rpc=RPCResult(Raw(b"\xff"))),
        Reply(1, rpc=RPCResult(Raw(b""))),
    ],
)
def test_payload_that_is_not_json_is_refused(reply: Reply) -> None:
    with pytest.raises(NotJSON):
        JSON.encode_reply(reply)


def test_push_with_a_payload_that_is_not_json_is_refused() -> None:
    with pytest.raises(NotJSON):
        JSON.encode_push(Push("n", Publication(BINARY)))
    with pytest.raises(NotJSON):
        JSON.encode_publication("n", bytes(BINARY))
    with pytest.raises(NotJSON):
        JSON.encode_publication("n", b"1", RawClientInfo("u", "c", b"", bytes(BINARY)))


def test_a_delta_is_a_string() -> None:
    assert JSON.delta_payload('{"a": "é"}'.encode()) == '"{\\"a\\": \\"é\\"}"'.encode()
    with pytest.raises(NotJSON):
        JSON.delta_payload(b"\xff")


def test_an_emulation_request_has_its_frame_in_a_string() -> None:
    body = {"session": "s", "node": "m", "data": '{"id":1,"unsubscribe":{"channel":"é"}}\n{}', "more": 1}
    request = JSON.decode_emulation(json.dumps(body).encode())
    assert (request.session, request.node) == ("s", "m")
    assert decoded(bytes(request.data)) == [Command(1, unsubscribe=UnsubscribeRequest("é")), Command()]


def test_emulation_request_without_data_has_an_empty_payload() -> None:
    assert bytes(JSON.decode_emulation(b"{}").data) == b""


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"data":{}}', b'{"data":null}', b'{"node":5}', b"\xff"])
def test_invalid_emulation_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidFrame):
        JSON.decode_emulation(body)
