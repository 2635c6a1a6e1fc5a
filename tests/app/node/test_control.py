"""Behaviour of messages between nodes: decoding returns the encoded message, and other input is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.model.subscription_options import SubscriptionOptions
from gentrifugo.app.node import control
from gentrifugo.app.node.control import (
    ControlEnvelope,
    ControlMessage,
    Ping,
    SurveyReport,
    SurveyRequest,
    WatchedMessages,
    WatchNamespace,
)
from gentrifugo.app.node.questions import (
    ConnectionsAnswer,
    ConnectionsQuestion,
    CountersAnswer,
    CountersQuestion,
    ListAnswer,
    ListItem,
    ListQuestion,
    MatchingQuestion,
    NodeAnswer,
    NodeReport,
    SamplesAnswer,
    SamplesQuestion,
    SubscribersAnswer,
    SubscribersQuestion,
    UserConnection,
)
from gentrifugo.app.node.registry import NodeDetails, NodeInfo
from gentrifugo.app.node.rings import NodeSamples, SamplesWanted
from gentrifugo.app.node.user_commands import (
    AddSubscription,
    CloseConnections,
    EndSubscriptions,
    RenewConnections,
    ReplaceConnections,
    SendMessage,
)
from gentrifugo.engines.health import ServerHealth

SERVER = ServerHealth(name="redis", reachable=False, since=1_000.5, error="away", reconnects={"commands": 1})
MESSAGES = [
    Ping(NodeInfo("n1", "Zoë's node", 1_000, {"node_num_clients": 3})),
    Ping(NodeInfo("n1", "node", 1_000, {}), watching=True),
    Ping(NodeInfo("n1", "node", 1_000, {}), details=NodeDetails("1.2", 3)),
    Ping(NodeInfo("n1", "node", 1_000, {}), leaving=True),
    EndSubscriptions("alice", "c1", "s1", channel="news"),
    EndSubscriptions("alice"),
    CloseConnections("alice", kept=["c1"], code=4000, reason="bye"),
    CloseConnections('"quoted"\n'),
    ReplaceConnections("alice", "attempt", 4000, "bye"),
    AddSubscription(
        user="alice",
        channel="news",
        expires_at=5,
        options=SubscriptionOptions(b"[1]", b"\xff", presence=True),
        recover_offset=3,
        recover_epoch="",
    ),
    RenewConnections(user="alice", expired=True, expires_at=5, info=b"{}"),
    SendMessage("alice", "c1", data=b'{"a": 1e3}'),
    SurveyRequest("q1", MatchingQuestion("news*")),
    WatchedMessages([Raw(b'{"n": 1e3}'), Raw(b"[]")], missed=3),
    SurveyRequest("q1", ConnectionsQuestion("")),
    SurveyRequest("q1", SubscribersQuestion("news")),
    SurveyRequest("q1", CountersQuestion()),
    SurveyRequest("q1", SamplesQuestion(SamplesWanted(2, 5, 10))),
    SurveyRequest("q1", ListQuestion("users", "a", order="name", after="b")),
    SurveyReport("q1", ListAnswer([ListItem("news", 2, 0.5), ListItem("sport", 1)], 7)),
    SurveyReport("q1", NodeAnswer("n1", "node", "1", "redis", 5, 6.5, {"port": "1"}, {"secret": 7})),
    WatchNamespace("chat", 60.0),
    SurveyReport("q1", ConnectionsAnswer([UserConnection("c1", "alice", "node", ["news"])])),
    SurveyReport("q1", SubscribersAnswer({"news": 2})),
    SurveyReport("q1", CountersAnswer(NodeReport("n1", "node", 1_000, {}, [SERVER]))),
    SurveyReport("q1", SamplesAnswer(NodeSamples("n1", "node", {"clients": [1.5, None]}))),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_is_decoded_as_encoded(message: ControlMessage) -> None:
    assert control.decode(control.encode("n1", message)) == ControlEnvelope(control.CONTROL_VERSION, "n1", message)


def test_fields_that_a_later_version_adds_are_ignored() -> None:
    fields = json.loads(control.encode("n1", CloseConnections("alice")))
    fields["message"]["later"] = fields["more"] = "?"
    assert control.decode(json.dumps(fields).encode()).message == CloseConnections("alice")


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
        b'{"version":1,"node":"n1","message":{"type":"close_connections"}}',
        b'{"version":1,"node":"n1","message":{"type":"close_connections","user":42}}',
        b'{"version":1,"node":"\xff","message":{"type":"close_connections","user":"alice"}}',
        b'{"version":1,"node":"n1","message":{"type":"watched","messages":["\xff"]}}',
        b'{"version":1,"node":"n1","message":{"type":"watched","messages":[],"missed":-1}}',
        b'{"version":1,"node":"n1","message":{"type":"answer","id":"q1"}}',
        b'{"version":1,"node":"n1","message":{"type":"answer","id":"q1","answer":'
        b'{"type":"subscribers","subscribers":{"news":1' + b"0" * 40 + b"}}}}",
        b'{"version":' + b"[" * 100_000,
        b'{"x":' * 100_000,
    ],
    ids=lambda data: data[:60],
)
def test_invalid_control_message_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidJSON):
        control.decode(data)


def test_node_announces_only_itself() -> None:
    ping = Ping(NodeInfo("n2", "node", 1_000, {}))
    with pytest.raises(InvalidJSON, match="ping from node n1 has the details of node n2"):
        control.decode(control.encode("n1", ping))


def test_message_of_a_node_with_a_late_clock_is_accepted() -> None:
    ping = Ping(NodeInfo("n1", "node", 1_000, {"node_uptime_seconds": -5}))
    assert control.decode(control.encode("n1", ping)).message == ping


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400], ids=["2^63", "-2^63-1", "10^400"])
def test_a_number_of_more_than_64_bits_is_refused(number: int) -> None:
    ping = Ping(NodeInfo("n1", "node", 1_000, {"node_num_clients": number}))
    with pytest.raises(InvalidJSON):
        control.decode(control.encode("n1", ping))


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=3), parts, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(MESSAGES), st.data())
def test_every_decoded_message_can_be_encoded(message: ControlMessage, data: st.DataObject) -> None:
    """This includes messages in which one field, at any depth, has another value."""
    fields = json.loads(control.encode("n1", message))
    part = fields
    while True:
        name = data.draw(st.sampled_from(sorted(part)))
        if not (isinstance(part[name], dict) and part[name] and data.draw(st.booleans())):
            break
        part = part[name]
    part[name] = data.draw(PARTS)
    try:
        envelope = control.decode(json.dumps(fields).encode())
    except InvalidJSON:
        return
    assert control.decode(control.encode(envelope.node, envelope.message)) == envelope


@given(st.binary())
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidJSON):
        control.decode(data)


def test_a_message_of_another_version_is_refused() -> None:
    fields = json.loads(control.encode("n1", CloseConnections("alice"))) | {"version": 2}
    with pytest.raises(InvalidJSON, match="control message has version 2, expected 1"):
        control.decode(json.dumps(fields).encode())
