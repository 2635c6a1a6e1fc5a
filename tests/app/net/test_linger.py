"""Behaviour of the orderly end of a connection whose peer may still be sending."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.socket import SHUT_WR, socketpair

from gentrifugo.app.net import linger
from tests.greenlets import eventually
from tests.waiting import seconds


@pytest.fixture
def ends(nothing_left_behind: None) -> Iterator[tuple[Any, Any]]:
    """The server's end and the peer's end of a connection."""
    server_end, peer = socketpair()
    peer.settimeout(seconds(10))
    yield server_end, peer
    server_end.close()
    peer.close()


def test_peer_reads_end_of_file_and_its_later_data_is_discarded(ends: tuple[Any, Any]) -> None:
    server_end, peer = ends
    server_end.sendall(b"last")
    lingering = gevent.spawn(linger.linger, server_end)
    assert (peer.recv(10), peer.recv(10)) == (b"last", b"")
    peer.sendall(b"x" * 1_000_000)
    assert not lingering.ready()
    peer.shutdown(SHUT_WR)
    lingering.join(seconds(10))
    assert lingering.successful()


def test_lingering_for_a_peer_that_never_ends_stops_after_the_timeout(
    ends: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server_end, peer = ends
    monkeypatch.setattr(linger, "LINGER_TIMEOUT", 0.05)
    lingering = gevent.spawn(linger.linger, server_end)
    assert peer.recv(1) == b""
    assert not lingering.ready()
    eventually(lingering.successful)


def test_lingering_on_a_closed_socket_returns_immediately(
    ends: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server_end, peer = ends
    monkeypatch.setattr(linger, "LINGER_TIMEOUT", 3600)
    server_end.close()
    lingering = gevent.spawn(linger.linger, server_end)
    eventually(lingering.successful)
    assert peer.recv(1) == b""
