"""A connection that was given away: its old process has no part in it any more."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from gevent import socket

from gentrifugo.app.sockjs import handover


def given_away(tmp_path: Any) -> tuple[Any, Any, Any]:
    """The old end of a connection that this process has read from, the given end, and the client's."""
    path = str(tmp_path / "s")
    old, client = socket.socketpair()
    client.sendall(b"request")
    assert old.recv(10) == b"request"
    with handover.listen(path) as listener:
        handover.give(path, old, b"request")
        channel, _ = listener.accept()
        with channel:
            new, request = handover.receive(channel)
    assert request == b"request"
    return old, new, client


def test_the_event_loop_does_not_hear_of_it(tmp_path: Any) -> None:
    old, new, client = given_away(tmp_path)
    handover.let_go(old)
    old.close()
    client.sendall(b"more")
    began = time.process_time()
    gevent.sleep(0.2)
    assert time.process_time() - began < 0.1, "nothing wakes the loop again and again"
    assert new.recv(10) == b"more"
    new.close()
    client.close()


def test_whoever_still_reads_the_old_end_finds_that_it_has_ended(tmp_path: Any) -> None:
    old, new, client = given_away(tmp_path)
    handover.cut(old)
    client.sendall(b"more")
    assert old.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        old.sendall(b"lies")
    assert new.recv(10) == b"more"
    for end in (old, new, client):
        end.close()


def test_what_is_no_connection_is_refused() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        one.sendall(b"request")
        with pytest.raises(ConnectionError, match="no connection"):
            handover.receive(other)


def test_what_is_too_long_is_refused() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        socket.send_fds(one, [b"x" * (handover.MAX_SIZE + 1)], [one.fileno()])
        with pytest.raises(ConnectionError, match="longer"):
            handover.receive(other)
