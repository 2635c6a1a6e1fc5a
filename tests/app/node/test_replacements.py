"""Of clients of a user that connect at the same time, the one whose message comes last stays, and no other one."""

from __future__ import annotations

from random import Random

import gevent
import pytest
from gevent.pool import Group

from gentrifugo.app.model.errors import INTERNAL_ERROR, Disconnect, Refused
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node import replacements
from gentrifugo.app.node.engine_failures import EngineFailures
from gentrifugo.app.node.hub import Hub
from gentrifugo.app.node.replacements import Replacements
from gentrifugo.app.node.user_commands import ReplaceConnections
from tests.fakes import FakeConnection
from tests.greenlets import settle

REPLACED = Disconnect("replaced", reconnect=False, backend_code=3504)


class SlowlyClosed(FakeConnection):
    """A connection that leaves the hub when `close` has waited for other greenlets."""

    def __init__(self, hub: Hub, uid: str, user: str = "alice") -> None:
        super().__init__(Flusher(0), uid, user)
        self.hub = hub
        hub.add(self)

    def close(self, disconnect: Disconnect) -> None:
        if self.closed_with:  # another greenlet closes it
            return
        super().close(disconnect)
        for _ in range(3):
            gevent.sleep(0)
        self.hub.remove(self)


class Broker:
    """Keeps messages in one order for all nodes."""

    def __init__(self, random: Random) -> None:
        self.messages: list[ReplaceConnections] = []
        self.random = random

    def publish(self, message: ReplaceConnections) -> None:
        self.pause()
        self.messages.append(message)
        self.pause()

    def pause(self) -> None:
        """Let other greenlets run for a random number of turns."""
        for _ in range(self.random.randrange(6)):
            gevent.sleep(0)


class SmallNode:
    """The parts of a node that replace connections. It receives the messages of a broker in order, with delays."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.hub = Hub(Flusher(0))
        self.replacements = Replacements(self.hub, broker.publish, EngineFailures())

    def receive(self, count: int) -> None:
        """Receive `count` messages."""
        for number in range(count):
            while number >= len(self.broker.messages):
                gevent.sleep(0)
            self.broker.pause()
            self.replacements.handle(self.broker.messages[number])

    def connect(self, uid: str) -> None:
        """Connect a client of the user alice after a random delay."""
        self.broker.pause()
        if self.replacements.replace("alice", 3504, "replaced"):
            SlowlyClosed(self.hub, uid)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_of_the_clients_that_connect_at_the_same_time_stays(count: int) -> None:
    for seed in range(200):
        broker = Broker(Random(seed))
        nodes = [SmallNode(broker) for _ in range(count)]
        clients = broker.random.randint(2, 6)
        group = Group()
        for node in nodes:
            group.spawn(node.receive, clients)
        for number in range(clients):
            group.spawn(broker.random.choice(nodes).connect, f"c{number}")
        assert group.join(timeout=10, raise_error=True)
        settle()
        assert sum(node.hub.num_user_connections("alice") for node in nodes) == 1, seed
        assert all(not node.replacements._candidates for node in nodes)


def test_the_connections_that_are_replaced_are_closed_before_the_new_one_is_registered() -> None:
    hub = Hub(Flusher(0))
    node = Replacements(hub, lambda message: node.handle(message), EngineFailures())
    first, second = SlowlyClosed(hub, "c1"), SlowlyClosed(hub, "c2")
    other = SlowlyClosed(hub, "c3", "bob")
    assert node.replace("alice", 3504, "replaced")
    assert (first.closed_with, second.closed_with, other.closed_with) == ([REPLACED], [REPLACED], [])
    assert hub.connections() == [other]


def test_a_connection_that_is_being_closed_already_leaves_before_the_new_one_is_registered() -> None:
    hub = Hub(Flusher(0))
    node = Replacements(hub, lambda message: node.handle(message), EngineFailures())
    replaced = SlowlyClosed(hub, "c1")
    gevent.spawn(replaced.close, REPLACED)
    gevent.sleep(0)
    assert hub.connections() == [replaced]
    assert node.replace("alice", 3504, "replaced")
    assert hub.connections() == []


def test_a_connection_that_does_not_leave_delays_the_new_one_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacements, "REPLACED_TIMEOUT", 0.01)
    hub = Hub(Flusher(0))
    node = Replacements(hub, lambda message: node.handle(message), EngineFailures())
    connection = FakeConnection(Flusher(0), "c1")
    hub.add(connection)
    assert node.replace("alice", 3504, "replaced")


def test_a_client_whose_message_does_not_come_back_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replacements, "OWN_MESSAGE_TIMEOUT", 0.01)
    hub = Hub(Flusher(0))
    node = Replacements(hub, lambda message: None, EngineFailures())
    connection = SlowlyClosed(hub, "c1")
    with pytest.raises(Refused) as refused:
        node.replace("alice", 3504, "replaced")
    assert refused.value.error == INTERNAL_ERROR
    assert caplog.messages == ["cannot replace the connections of a user: the message has not come back within 0.01 s"]
    assert connection.closed_with == []
    assert node._candidates == {}
