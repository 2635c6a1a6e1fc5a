"""How events reach subscribers: filtered by their tags, and encoded once for all subscribers with the same encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import gevent
import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.payload import payload
from gentrifugo.app.node.commands import PublishOptions
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2 import unsendable
from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.fakes import DelayedEngine
from tests.greenlets import eventually
from tests.local_client import LocalClient
from tests.local_client_v2 import KEY, LocalClientV2, LocalProtobufClient

StartNode = Callable[..., Node]

TAGS = Namespace(name="tags", allow_subscribe_for_client=True, allow_tags_filter=True)
KEPT = Namespace(
    name="kept",
    allow_subscribe_for_client=True,
    allow_tags_filter=True,
    history_size=5,
    history_lifetime=60,
    recover=True,
    allow_history_for_client=True,
)
GERMAN = {"key": "lang", "cmp": "eq", "val": "de"}


@pytest.fixture
def engine() -> DelayedEngine:
    return DelayedEngine()


@pytest.fixture
def node(start: StartNode) -> Node:
    cached = replace(KEPT, name="cached", force_recovery_mode="cache")
    return start(namespaces=(TAGS, KEPT, cached, Namespace(name="unfiltered", allow_subscribe_for_client=True)))


def publish(node: Node, channel: str, data: bytes, **tags: str) -> None:
    node.publish(channel, data, options=PublishOptions(tags=tags))


def publications(client: LocalClientV2) -> list[Any]:
    return [push["pub"]["data"] for push in client.pushes() if "pub" in push]


def test_client_receives_only_publications_that_pass_its_filter(node: Node, client: LocalClientV2) -> None:
    other = LocalClientV2.connected(node)
    client.subscribe("tags:a", tf=GERMAN)
    other.subscribe("tags:a")
    publish(node, "tags:a", b"1", lang="de")
    publish(node, "tags:a", b"2", lang="en")
    publish(node, "tags:a", b"3")
    assert client.pushes() == [{"channel": "tags:a", "pub": {"data": 1, "tags": {"lang": "de"}}}]
    assert publications(other) == [1, 2, 3]


@pytest.mark.parametrize("tf", [{}, {"op": "and"}, {"key": "lang", "cmp": "like", "val": "de"}])
def test_an_invalid_filter_is_a_bad_request(client: LocalClientV2, tf: Mapping[str, Any]) -> None:
    result = client.call("subscribe", channel="tags:a", tf=tf)
    assert result == {"error": {"code": 107, "message": "bad request"}}
    assert not client.connection.channels


def test_a_filter_is_refused_where_the_option_is_off(client: LocalClientV2) -> None:
    result = client.call("subscribe", channel="unfiltered:a", tf=GERMAN)
    assert result == {"error": {"code": 107, "message": "bad request"}}


def test_a_filter_in_a_channel_that_a_client_may_not_use_is_denied(client: LocalClientV2) -> None:
    result = client.call("subscribe", channel="$private", tf=GERMAN)
    assert result["error"]["code"] == 103


def test_publications_that_do_not_pass_advance_the_position(node: Node, client: LocalClientV2) -> None:
    client.subscribe("kept:a", tf=GERMAN)
    for number, lang in ((1, "en"), (2, "de"), (3, "en"), (4, "de")):
        publish(node, "kept:a", b"%d" % number, lang=lang)
    assert [(push["pub"]["data"], push["pub"]["offset"]) for push in client.pushes()] == [(2, 2), (4, 4)]


def test_recovered_publications_are_filtered(node: Node, client: LocalClientV2) -> None:
    for number, lang in ((1, "de"), (2, "en"), (3, "de")):
        publish(node, "kept:a", b"%d" % number, lang=lang)
    result = client.subscribe("kept:a", tf=GERMAN, recover=True)
    assert result["recovered"] is True
    assert [publication["data"] for publication in result["publications"]] == [1, 3]


def test_in_cache_mode_a_client_recovers_the_newest_publication_that_passes(node: Node, client: LocalClientV2) -> None:
    for number, lang in ((1, "de"), (2, "de"), (3, "en")):
        publish(node, "cached:a", b"%d" % number, lang=lang)
    result = client.subscribe("cached:a", tf=GERMAN, recover=True)
    assert result["recovered"] is True
    assert [publication["data"] for publication in result["publications"]] == [2]
    other = LocalClientV2.connected(node)
    position = {"offset": 3, "epoch": result["epoch"]}
    assert "publications" not in other.subscribe("cached:a", tf=GERMAN, recover=True, **position)


def test_held_publications_are_filtered(node: Node, client: LocalClientV2, engine: DelayedEngine) -> None:
    engine.answering.clear()
    subscribing = gevent.spawn(client.call, "subscribe", channel="kept:a", tf=GERMAN)
    gevent.sleep(0.01)
    publish(node, "kept:a", b"1", lang="en")
    publish(node, "kept:a", b"2", lang="de")
    engine.answering.set()
    subscribing.get(timeout=5)
    assert publications(client) == [2]


def test_all_filters_that_let_a_publication_pass_share_its_frame(node: Node) -> None:
    clients = [LocalClientV2.connected(node) for _ in range(3)]
    for client, val in zip(clients, ("d", "de", "e"), strict=True):
        client.subscribe("tags:a", tf={"key": "lang", "cmp": "ct", "val": val})
    publish(node, "tags:a", b"1", lang="de")
    first, *others = [client.transport.outbox.frames for client in clients]
    assert len(first) == 1
    assert all(frames[0] is first[0] for frames in others)
    assert [publications(client) for client in clients] == [[1], [1], [1]]


# -- publications that are not JSON

BINARY = payload(b"\xff\x00")


@pytest.fixture
def mixed(start: StartNode) -> Node:
    return start(namespaces=(KEPT, Namespace(name="open", allow_subscribe_for_client=True)))


@pytest.fixture(autouse=True)
def _first_message_is_logged() -> None:
    unsendable._throttled.reset()


def test_payloads_that_are_not_json_are_one_line_in_the_log_for_all_channels(
    mixed: Node, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        client = LocalClientV2.connected(mixed)
        client.subscribe(f"open:{number}")
        mixed.publish(f"open:{number}", BINARY)
        eventually(lambda client=client: client.close)  # type: ignore[misc]
    assert len([record for record in caplog.records if "not JSON" in record.getMessage()]) == 1


@pytest.mark.parametrize("channel", ["open:a", "kept:a"])
def test_json_client_is_disconnected_by_a_payload_that_is_not_json(
    mixed: Node, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, outside = LocalClientV2.connected(mixed), LocalClientV2.connected(mixed)
    client.subscribe(channel)
    old = LocalClient.connected(mixed)
    old.subscribe(channel)
    old.received()
    binary = LocalProtobufClient(mixed)
    binary.subscribe(channel)
    for _ in range(3):
        mixed.publish(channel, BINARY)
    eventually(lambda: client.close == (3506, "inappropriate protocol"))
    assert (outside.close, old.transport.closes, binary.transport.closes) == (None, [], [])
    assert [bytes(publication.data) for publication in binary.publications()] == [b"\xff\x00"] * 3
    assert [message["body"]["data"] for message in old.received()] == ["/wA="] * 3
    assert mixed.hub.num_subscribers(channel) == 2
    assert [record.getMessage() for record in caplog.records if "not JSON" in record.getMessage()] == [
        f"message in channel {channel!r} is not JSON: disconnecting its subscribers that use protocol v2 with JSON"
    ]


@pytest.mark.parametrize("method", ["recovery", "history", "held"])
def test_json_client_that_reads_a_payload_that_is_not_json_is_disconnected(
    mixed: Node, engine: DelayedEngine, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = LocalClientV2.connected(mixed)
    if method == "held":
        engine.answering.clear()
        subscribing = gevent.spawn(client.send, {"id": 9, "subscribe": {"channel": "kept:a"}})
        gevent.sleep(0.01)
        mixed.publish("kept:a", BINARY)
        engine.answering.set()
        subscribing.get(timeout=5)
    else:
        mixed.publish("kept:a", BINARY)
        requests: dict[str, dict[str, Any]] = {
            "recovery": {"id": 9, "subscribe": {"channel": "kept:a", "recover": True}},
            "history": {"id": 9, "history": {"channel": "kept:a", "limit": 10}},
        }
        client.send(requests[method])
    eventually(lambda: client.close == (3506, "inappropriate protocol"))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"payload or info in channel 'kept:a' is not JSON: disconnecting client {client.connection.uid} "
        "(user 'alice'), which uses protocol v2 with JSON"
    ]


def test_the_log_names_the_channel_whose_payload_a_reply_to_connect_cannot_carry(
    mixed: Node, caplog: pytest.LogCaptureFixture
) -> None:
    mixed.publish("kept:a", b"1")
    mixed.publish("kept:b", BINARY)
    client = LocalClientV2(mixed)
    position = {"recover": True, "offset": 0, "epoch": ""}
    token = connection_token(KEY, "alice", channels=["kept:a", "kept:b"])
    client.send({"id": 1, "connect": {"token": token, "subs": {"kept:a": position, "kept:b": position}}})
    eventually(lambda: client.close == (3506, "inappropriate protocol"))
    assert "payload or info in channel 'kept:b' is not JSON" in caplog.text


def test_many_clients_that_read_such_a_payload_are_one_line_in_the_log(
    mixed: Node, caplog: pytest.LogCaptureFixture
) -> None:
    mixed.publish("kept:a", BINARY)
    for _ in range(3):
        client = LocalClientV2.connected(mixed)
        client.send({"id": 9, "history": {"channel": "kept:a", "limit": 10}})
        eventually(lambda client=client: client.close)  # type: ignore[misc]
    assert len([record for record in caplog.records if "not JSON" in record.getMessage()]) == 1
