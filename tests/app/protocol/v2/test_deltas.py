"""Subscriptions with deltas: a full payload first, then patches, which give every payload exactly."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.payload import payload
from gentrifugo.app.node.commands import PublishOptions
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2 import deltas
from gentrifugo.app.protocol.v2.deltas import DeltaChain, find_or_create_chain
from gentrifugo.app.runtime import yielding
from tests.app.protocol.v2.test_fossil_delta import apply
from tests.fakes import DelayedEngine
from tests.greenlets import eventually
from tests.local_client import LocalClient
from tests.local_client_v2 import LocalClientV2, LocalProtobufClient

StartNode = Callable[..., Node]

DELTA = Namespace(
    name="delta",
    allow_subscribe_for_client=True,
    allowed_delta_types="fossil",
    allow_tags_filter=True,
    join_leave=True,
    force_push_join_leave=True,
    history_size=10,
    history_lifetime=60,
    recover=True,
    allow_history_for_client=True,
)
PLAIN = Namespace(name="plain", allow_subscribe_for_client=True, history_size=10, history_lifetime=60, recover=True)
LOOSE = Namespace(name="loose", allow_subscribe_for_client=True, allowed_delta_types="fossil")


@pytest.fixture
def engine() -> DelayedEngine:
    return DelayedEngine()


@pytest.fixture
def node(start: StartNode) -> Node:
    return start(namespaces=(DELTA, PLAIN, LOOSE))


def document(number: int) -> bytes:
    """A payload that differs from the previous one in a small part."""
    return json.dumps({"title": "Zürich → Genève", "stops": list(range(60)), "number": number}).encode()


def publish(node: Node, *numbers: int) -> None:
    for number in numbers:
        node.publish("delta:a", document(number))


class Reader:
    """Decodes publications with deltas like a client library: `kinds` records which of them were patches."""

    def __init__(self) -> None:
        self.last = b""
        self.kinds: list[str] = []

    def read(self, *publications: dict[str, Any]) -> list[int]:
        """The numbers of the documents that come in these publications."""
        return [self._read(publication) for publication in publications]

    def _read(self, publication: dict[str, Any]) -> int:
        assert isinstance(publication["data"], str)
        assert "epoch" not in publication
        is_patch = publication.get("delta", False)
        data = publication["data"].encode()
        self.last = apply(self.last, data) if is_patch else data
        self.kinds.append("patch" if is_patch else "full")
        return int(json.loads(self.last)["number"])


def pushed(client: LocalClientV2) -> list[dict[str, Any]]:
    return [push["pub"] for push in client.pushes() if "pub" in push]


def test_the_first_publication_is_full_and_patches_follow(node: Node, client: LocalClientV2) -> None:
    assert client.subscribe("delta:a", delta="fossil")["delta"] is True
    reader = Reader()
    publish(node, 1, 2, 3)
    publications = pushed(client)
    assert reader.read(*publications) == [1, 2, 3]
    assert reader.kinds == ["full", "patch", "patch"]
    assert [publication["offset"] for publication in publications] == [1, 2, 3]
    assert len(publications[1]["data"]) < 40


def test_a_payload_that_is_not_longer_than_its_patch_is_sent_in_full(node: Node, client: LocalClientV2) -> None:
    client.subscribe("delta:a", delta="fossil")
    for data in (b'{"n":1}', b'{"n":2}', b'"another\\ntext"'):
        node.publish("delta:a", data)
    assert [(publication["data"], publication.get("delta")) for publication in pushed(client)] == [
        ('{"n":1}', None),
        ('{"n":2}', None),
        ('"another\\ntext"', None),
    ]


def test_subscribers_with_deltas_can_join_at_any_time(node: Node, client: LocalClientV2) -> None:
    client.subscribe("delta:a", delta="fossil")
    publish(node, 1, 2)
    later, plain, old = LocalClientV2.connected(node), LocalClientV2.connected(node), LocalClient.connected(node)
    later.subscribe("delta:a", delta="fossil")
    plain.subscribe("delta:a")
    old.subscribe("delta:a")
    old.received()
    publish(node, 3, 4)
    first, second = Reader(), Reader()
    assert first.read(*pushed(client)) == [1, 2, 3, 4]
    assert second.read(*pushed(later)) == [3, 4]
    assert (first.kinds, second.kinds) == (["full", "patch", "patch", "patch"], ["full", "patch"])
    assert [publication["data"]["number"] for publication in pushed(plain)] == [3, 4]
    assert [message["body"]["data"]["number"] for message in old.received() if message["method"] == "message"] == [3, 4]


def test_subscribers_share_one_patch(node: Node) -> None:
    clients = [LocalClientV2.connected(node) for _ in range(3)]
    for client in clients:
        client.subscribe("delta:a", delta="fossil")
    publish(node, 1)
    for client in clients:
        client.received()
    publish(node, 2)
    first, *others = [client.transport.outbox.frames for client in clients]
    assert len(first) == 1
    assert all(frames[0] is first[0] for frames in others)


def test_protobuf_clients_receive_the_bytes_of_patches(node: Node, client: LocalClientV2) -> None:
    other = LocalProtobufClient(node)
    assert other.subscribe("delta:a", delta="fossil").delta is True
    client.subscribe("delta:a", delta="fossil")
    publish(node, 1, 2)
    full, patch = other.publications()
    assert (bytes(full.data), full.delta, full.epoch) == (document(1), False, "")
    assert (apply(document(1), bytes(patch.data)), patch.delta) == (document(2), True)
    assert Reader().read(*pushed(client)) == [1, 2]


def test_recovered_publications_begin_in_full_and_continue_as_patches(node: Node, client: LocalClientV2) -> None:
    other = LocalClientV2.connected(node)
    other.subscribe("delta:a", delta="fossil")
    publish(node, 1, 2, 3)
    result = client.subscribe("delta:a", delta="fossil", recover=True, offset=1)
    assert (result["recovered"], result["delta"], result["offset"]) == (True, True, 1)
    publish(node, 4)
    reader = Reader()
    assert reader.read(*result["publications"], *pushed(client)) == [2, 3, 4]
    assert reader.kinds == ["full", "patch", "patch"]
    assert Reader().read(*pushed(other)) == [1, 2, 3, 4]


def test_compared_bytes_for_one_recovering_client_are_limited(
    node: Node, client: LocalClientV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "MAX_PATCHED_FOR_ONE", 2 * len(document(10)))
    publish(node, *range(10, 16))
    result = client.subscribe("delta:a", delta="fossil", recover=True)
    publish(node, 16, 17)
    reader = Reader()
    assert reader.read(*result["publications"], *pushed(client)) == list(range(10, 18))
    assert reader.kinds == ["full", "patch", "patch", "full", "full", "full", "patch", "patch"]


def test_other_clients_are_served_during_patch_computation(
    node: Node, client: LocalClientV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(node, 1, 2, 3)
    monkeypatch.setattr(yielding, "TIME_SLICE", -1)
    served: list[None] = []
    served_before: list[int] = []
    shorter_patch = deltas.shorter_patch

    def compare(before: bytes, data: bytes) -> bytes | None:
        served_before.append(len(served))
        gevent.spawn(served.append, None)
        return shorter_patch(before, data)

    monkeypatch.setattr(deltas, "shorter_patch", compare)
    client.subscribe("delta:a", delta="fossil", recover=True)
    assert served_before == [0, 1]


def test_first_recovering_client_continues_with_patches(node: Node, client: LocalClientV2) -> None:
    publish(node, 1)
    result = client.subscribe("delta:a", delta="fossil", recover=True)
    publish(node, 2)
    reader = Reader()
    assert reader.read(*result["publications"], *pushed(client)) == [1, 2]
    assert reader.kinds == ["full", "patch"]


def test_client_without_missed_publications_receives_the_next_one_in_full(node: Node, client: LocalClientV2) -> None:
    publish(node, 1)
    assert client.subscribe("delta:a", delta="fossil", recover=True, offset=1)["recovered"] is True
    publish(node, 2, 3)
    reader = Reader()
    assert reader.read(*pushed(client)) == [2, 3]
    assert reader.kinds == ["full", "patch"]


def test_publications_during_a_subscribe_continue_the_recovered_chain(
    node: Node, client: LocalClientV2, engine: DelayedEngine
) -> None:
    other = LocalClientV2.connected(node)
    other.subscribe("delta:a", delta="fossil")
    publish(node, 1)
    engine.answering.clear()
    subscribing = gevent.spawn(
        client.send, {"id": 9, "subscribe": {"channel": "delta:a", "delta": "fossil", "recover": True}}
    )
    gevent.sleep(0.01)
    publish(node, 2)
    engine.answering.set()
    subscribing.get(timeout=5)
    publish(node, 3)
    messages = client.received()
    (result,) = [message["subscribe"] for message in messages if message.get("id") == 9]
    pushes = [message["push"]["pub"] for message in messages if "pub" in message.get("push", {})]
    reader = Reader()
    assert (reader.read(*result["publications"]), reader.read(*pushes)) == ([1], [2, 3])
    assert reader.kinds == ["full", "patch", "patch"]
    assert Reader().read(*pushed(other)) == [1, 2, 3]


def test_publications_outside_the_history_are_part_of_the_chain(node: Node, client: LocalClientV2) -> None:
    client.subscribe("delta:a", delta="fossil")
    publish(node, 1)
    node.publish("delta:a", document(2), options=PublishOptions(skip_history=True))
    publish(node, 3)
    later = LocalClientV2.connected(node)
    result = later.subscribe("delta:a", delta="fossil", recover=True, offset=1)
    node.publish("delta:a", document(4), options=PublishOptions(skip_history=True))
    again = LocalClientV2.connected(node)
    missed = again.subscribe("delta:a", delta="fossil", recover=True, offset=1)
    publish(node, 5)
    assert Reader().read(*pushed(client)) == [1, 2, 3, 4, 5]
    assert Reader().read(*result["publications"], *pushed(later)) == [3, 4, 5]
    reader = Reader()
    assert reader.read(*missed["publications"], *pushed(again)) == [3, 5]
    assert reader.kinds == ["full", "full"]


def test_a_client_that_subscribes_again_after_a_gap_starts_with_a_full_publication(
    node: Node, client: LocalClientV2
) -> None:
    client.subscribe("delta:a", delta="fossil")
    publish(node, 1, 2)
    node.streams.mark_incomplete("delta:a", only_positioned=True)
    eventually(lambda: not client.connection.channels)
    client.received()
    publish(node, 3)
    client.subscribe("delta:a", delta="fossil")
    publish(node, 4, 5)
    reader = Reader()
    assert reader.read(*pushed(client)) == [4, 5]
    assert reader.kinds == ["full", "patch"]


@pytest.mark.parametrize("request_", [{"channel": "plain:a"}, {"channel": "loose:a"}])
def test_deltas_require_permission_and_positions(node: Node, client: LocalClientV2, request_: dict[str, Any]) -> None:
    assert "delta" not in client.subscribe(delta="fossil", **request_)
    node.publish(request_["channel"], b'{"n":1}')
    assert [publication["data"] for publication in pushed(client)] == [{"n": 1}]


def test_filter_and_deltas_cannot_be_combined(node: Node, client: LocalClientV2) -> None:
    assert "delta" not in client.subscribe("delta:a", delta="fossil", tf={"key": "k", "cmp": "ex"})


def test_server_side_subscriptions_have_no_deltas(node: Node) -> None:
    client = LocalClientV2.connected(node, channels=["delta:a"])
    publish(node, 1)
    assert [publication["data"]["number"] for publication in pushed(client)] == [1]


def test_an_unknown_delta_format_closes_the_connection(client: LocalClientV2) -> None:
    client.send({"id": 9, "subscribe": {"channel": "delta:a", "delta": "vcdiff"}})
    assert client.close == (3501, "bad request")


def test_joins_and_history_are_as_without_deltas(node: Node, client: LocalClientV2) -> None:
    client.subscribe("delta:a", delta="fossil")
    LocalClientV2.connected(node, user="bob").subscribe("delta:a", delta="fossil")
    (push,) = [push for push in client.pushes() if "join" in push]
    assert push["join"]["info"]["user"] == "bob"
    publish(node, 1)
    assert client.call("history", channel="delta:a", limit=10)["publications"][0]["data"]["number"] == 1
    reader = Reader()
    publish(node, 2)
    assert reader.read(*pushed(client)) == [1, 2]
    assert reader.kinds == ["full", "patch"]


def test_payloads_that_are_not_json_reach_only_protobuf_clients(node: Node, client: LocalClientV2) -> None:
    binary = LocalProtobufClient(node)
    binary.subscribe("delta:a", delta="fossil")
    client.subscribe("delta:a", delta="fossil")
    data = [payload(bytes(range(128, 250)) + bytes([number])) for number in range(3)]
    for one in data:
        node.publish("delta:a", one)
    eventually(lambda: client.close == (3506, "inappropriate protocol"))
    full, *patches = binary.publications()
    assert bytes(full.data) == data[0][1:]
    assert [patch.delta for patch in patches] == [True, True]
    newcomer, recovering = LocalClientV2.connected(node), LocalClientV2.connected(node)
    newcomer.subscribe("delta:a", delta="fossil")
    publish(node, 4)
    assert Reader().read(*pushed(newcomer)) == [4]
    recovering.send({"id": 9, "subscribe": {"channel": "delta:a", "delta": "fossil", "recover": True}})
    eventually(lambda: recovering.close == (3506, "inappropriate protocol"))


def test_the_chain_of_a_channel_ends_with_its_last_subscriber(node: Node, client: LocalClientV2) -> None:
    client.subscribe("delta:a", delta="fossil")
    publish(node, 1, 2)
    chain = weakref.ref(find_or_create_chain(node.hub, "delta:a"))
    gc.collect()
    assert chain() is find_or_create_chain(node.hub, "delta:a")
    client.call("unsubscribe", channel="delta:a")
    gc.collect()
    assert chain() is None


def test_only_clients_with_the_newest_payload_continue_the_chain() -> None:
    chain = DeltaChain()
    assert chain.continues(b"first")
    assert not chain.continues(b"other")
    assert chain.continues(b"first")
