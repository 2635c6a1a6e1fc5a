"""Behaviour of messages between nodes: they come out as they went in, and anything else is refused."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.node import control
from gentrifugo.app.node.control import (
    ControlEnvelope,
    ControlMessage,
    DisconnectUser,
    Ping,
    SurveyReport,
    SurveyRequest,
    Unsubscribe,
    UserConnection,
    WatchedMessages,
)
from gentrifugo.app.node.registry import NodeInfo

MESSAGES = [
    Ping(NodeInfo("n1", "Zoë's node", 1_000, {"node_num_clients": 3})),
    Unsubscribe("alice", "news"),
    Unsubscribe("alice", ""),
    DisconnectUser('"quoted"\n'),
    Ping(NodeInfo("n1", "node", 1_000, {}), watching=True),
    WatchedMessages([Raw(b'{"n": 1e3}'), Raw(b"[]")], missed=3),
    SurveyRequest("q1", user=""),
    SurveyRequest("q1", channels="news"),
    SurveyRequest("q1", info=True),
    SurveyReport(
        "q1", [UserConnection("c1", "alice", "node", ["news"])], {"news": 2}, NodeInfo("n1", "node", 1_000, {})
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_out_as_it_went_in(message: ControlMessage) -> None:
    assert control.decode(control.encode("n1", message)) == ControlEnvelope(control.CONTROL_VERSION, "n1", message)


def test_fields_that_a_later_version_adds_are_ignored() -> None:
    fields = json.loads(control.encode("n1", DisconnectUser("alice")))
    fields["message"]["reason"] = fields["more"] = "?"
    assert control.decode(json.dumps(fields).encode()).message == DisconnectUser("alice")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"version":1,"node":"n1"}',
        b'{"version":1,"node":"n1","message":{"type":"unknown"}}',
        b'{"version":1,"node":"n1","message":{"type":"disconnect"}}',
        b'{"version":1,"node":"n1","message":{"type":"disconnect","user":42}}',
        b'{"version":1,"node":"\xff","message":{"type":"disconnect","user":"alice"}}',
        b'{"version":' + b"[" * 100_000,
        b'{"x":' * 100_000,
    ],
    ids=lambda data: data[:60],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidJSON):
        control.decode(data)


def test_a_message_of_another_version_is_refused() -> None:
    fields = json.loads(control.encode("n1", DisconnectUser("alice"))) | {"version": 2}
    with pytest.raises(InvalidJSON, match="control message of version 2, not 1"):
        control.decode(json.dumps(fields).encode())
