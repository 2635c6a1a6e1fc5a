"""Behaviour of the limit of admin sockets without a token: which of them is closed if there are too many."""

from __future__ import annotations

import pytest

from gentrifugo.admin import unauthenticated
from gentrifugo.admin.unauthenticated import UnauthenticatedSockets
from gentrifugo.app.model.errors import CLOSE_LIMIT_EXCEEDED, Disconnect


class Socket:
    """A socket that records the reason for which it was closed."""

    def __init__(self, sockets: UnauthenticatedSockets, address: str) -> None:
        self.closed: Disconnect | None = None
        sockets.add(self, address)

    def close(self, disconnect: Disconnect | None = None) -> None:
        self.closed = disconnect


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> UnauthenticatedSockets:
    monkeypatch.setattr(unauthenticated, "MAX_PER_ADDRESS", 3)
    monkeypatch.setattr(unauthenticated, "MAX_TOTAL", 5)
    return UnauthenticatedSockets()


def test_newest_socket_of_an_address_replaces_the_oldest(sockets: UnauthenticatedSockets) -> None:
    other = Socket(sockets, "10.0.0.2")
    opened = [Socket(sockets, "10.0.0.1") for _ in range(5)]
    assert [socket.closed for socket in opened] == [CLOSE_LIMIT_EXCEEDED] * 2 + [None] * 3
    assert (other.closed, len(sockets)) == (None, 4)


@pytest.mark.parametrize("form", ["2001:db8:0:1::{}", "::ffff:10.0.0.1"], ids=["one network", "IPv4 in IPv6"])
def test_addresses_of_one_network_count_as_one(sockets: UnauthenticatedSockets, form: str) -> None:
    opened = [Socket(sockets, form.format(number)) for number in range(1, 5)]
    assert [socket.closed for socket in opened] == [CLOSE_LIMIT_EXCEEDED, None, None, None]


def test_total_limit_closes_a_socket_of_the_busiest_address(sockets: UnauthenticatedSockets) -> None:
    quiet = Socket(sockets, "10.0.0.1")
    busy = [Socket(sockets, "10.0.0.2") for _ in range(2)]
    others = [Socket(sockets, f"10.0.0.{number}") for number in range(3, 6)]
    assert [socket.closed for socket in (quiet, *busy, *others)] == [None, CLOSE_LIMIT_EXCEEDED, *[None] * 4]
    assert len(sockets) == 5


def test_removed_sockets_are_not_counted(sockets: UnauthenticatedSockets) -> None:
    opened = [Socket(sockets, "10.0.0.1") for _ in range(3)]
    for _ in range(2):
        sockets.remove(opened[0])
    Socket(sockets, "10.0.0.1")
    assert (opened[0].closed, opened[1].closed, len(sockets)) == (None, None, 3)
    for socket in opened[1:]:
        sockets.remove(socket)
    assert len(sockets) == 1
