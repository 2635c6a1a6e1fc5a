"""A WebSocket or stream that ends is closed, and what ended it is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from gevent.socket import socketpair

from gentrifugo.app.net.direct_socket import DirectSocket
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node.metrics import Metrics
from gentrifugo.app.server.opened_connection import OpenedConnection
from tests.greenlets import nothing_left_behind
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

Serve = Callable[[Any, Callable[[int], bytes]], None]


def raising(error: Exception) -> Serve:
    def serve(socket: Any, recv: Callable[[int], bytes]) -> None:
        raise error

    return serve


def returning(socket: Any, recv: Callable[[int], bytes]) -> None:
    """Return, because the peer has closed the connection."""


@pytest.mark.parametrize(
    ("serve", "logged"),
    [
        (returning, []),
        (
            raising(ConnectionResetError("reset by peer")),
            [(logging.DEBUG, "connection from 192.0.2.1 ended: reset by peer")],
        ),
        (raising(EOFError()), [(logging.DEBUG, "connection from 192.0.2.1 ended: EOFError")]),
        (raising(KeyError("k")), [(logging.ERROR, "internal error, closing connection from 192.0.2.1")]),
    ],
    ids=["end", "reset", "end of file", "internal error"],
)
def test_connection_is_closed_at_its_end(
    serve: Serve, logged: list[tuple[int, str]], caplog: pytest.LogCaptureFixture, nothing_left_behind: None
) -> None:
    caplog.set_level(logging.DEBUG, "gentrifugo.app.server")
    served, peer = socketpair()
    peer.settimeout(seconds(5))
    direct, metrics = DirectSocket(served), Metrics(Flusher())
    OpenedConnection(serve, served, direct.recv, direct, "192.0.2.1", metrics).serve()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == logged
    assert (peer.recv(1), metrics.greenlets) == (b"", 0)
    peer.close()


def test_greenlet_is_counted_while_it_serves(nothing_left_behind: None) -> None:
    metrics, counted = Metrics(Flusher()), []
    served, peer = socketpair()
    direct = DirectSocket(served)
    OpenedConnection(lambda *_: counted.append(metrics.greenlets), served, direct.recv, direct, "", metrics).serve()
    assert counted == [1]
    peer.close()
