"""Behaviour of commands of backends for the connections of a user."""

from __future__ import annotations

import pytest

from gentrifugo.app.model.errors import CLOSE_DISCONNECT, Disconnect
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node.user_commands import (
    AddSubscription,
    AnyUserCommand,
    CloseConnections,
    EndSubscriptions,
    RenewConnections,
    SendMessage,
    carry_out,
    disconnect_of,
)
from tests.fakes import FakeConnection


class ControlledConnection(FakeConnection):
    """A connection whose subscriptions and expiry the server controls; it records its calls."""

    def __init__(self, flusher: Flusher, uid: str, session: str) -> None:
        super().__init__(flusher, uid)
        self.session = session
        self.commands: list[AnyUserCommand] = []

    def subscribe_from_server(self, command: AddSubscription) -> None:
        self.commands.append(command)

    def renew_from_server(self, command: RenewConnections) -> None:
        self.commands.append(command)

    def send_from_server(self, command: SendMessage) -> None:
        self.commands.append(command)


@pytest.fixture
def plain() -> FakeConnection:
    connection = FakeConnection(Flusher(0), "plain")
    connection.channels = {"news": 1, "chat": 2}
    return connection


@pytest.fixture
def controlled() -> ControlledConnection:
    return ControlledConnection(Flusher(0), "controlled", "session")


def test_subscriptions_end_in_one_channel_or_in_all(plain: FakeConnection) -> None:
    carry_out(EndSubscriptions("alice", channel="other"), [plain])
    carry_out(EndSubscriptions("alice"), [plain])
    assert plain.unsubscribed == ["other", "news", "chat"]


@pytest.mark.parametrize(
    ("client", "session", "closed"),
    [
        ("", "", ["plain", "controlled"]),
        ("plain", "", ["plain"]),
        ("", "session", ["controlled"]),
        ("controlled", "session", ["controlled"]),
        ("plain", "session", []),
        ("", "other", []),
    ],
)
def test_client_id_and_session_select_connections(
    plain: FakeConnection, controlled: ControlledConnection, client: str, session: str, closed: list[str]
) -> None:
    connections = [plain, controlled]
    carry_out(CloseConnections("alice", client, session), connections)
    assert [connection.uid for connection in connections if connection.closed_with] == closed


def test_excepted_connections_are_not_closed(plain: FakeConnection, controlled: ControlledConnection) -> None:
    carry_out(CloseConnections("alice", kept=["plain"], code=4000, reason="bye"), [plain, controlled])
    assert plain.closed_with == []
    assert controlled.closed_with == [Disconnect("bye", reconnect=True, backend_code=4000)]


def test_only_controlled_connections_are_subscribed_renewed_and_sent_messages(
    plain: FakeConnection, controlled: ControlledConnection
) -> None:
    commands: list[AnyUserCommand] = [
        AddSubscription(user="alice", channel="news"),
        RenewConnections(user="alice", expired=True),
        SendMessage(user="alice", data=b"1"),
    ]
    for command in commands:
        carry_out(command, [plain, controlled])
    assert controlled.commands == commands
    assert (plain.unsubscribed, plain.closed_with) == ([], [])


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (0, "", CLOSE_DISCONNECT),
        (3503, "", CLOSE_DISCONNECT),
        (0, "spam", Disconnect("spam", backend_code=3503)),
        (3000, "", Disconnect("", reconnect=True, backend_code=3000)),
        (3499, "x", Disconnect("x", reconnect=True, backend_code=3499)),
        (3999, "x", Disconnect("x", backend_code=3999)),
        (4499, "x", Disconnect("x", reconnect=True, backend_code=4499)),
        (4999, "x", Disconnect("x", backend_code=4999)),
        (200, "x", Disconnect("x", reconnect=True, backend_code=200)),
    ],
)
def test_the_code_decides_whether_clients_return(code: int, reason: str, expected: Disconnect) -> None:
    assert disconnect_of(code, reason) == expected
