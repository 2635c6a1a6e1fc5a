"""Passing a connection to another process, after which the first process does not use it any more."""

from __future__ import annotations

import os
import time
from errno import ENOENT, EOPNOTSUPP
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket, ssl

from gentrifugo.app.exchange import fd_passing
from tests.waiting import seconds


def given_away(tmp_path: Any) -> tuple[Any, Any, Any]:
    """The socket of a passed connection in this process, its copy in the other process, and the client's socket."""
    path = str(tmp_path / "s")
    old, client = socket.socketpair()
    client.sendall(b"request")
    assert old.recv(10) == b"request"
    with fd_passing.listen_for_connections(path) as listener:
        fd_passing.send_connection(path, old, b"request")
        channel, _ = listener.accept()
        with channel:
            new, request = fd_passing.receive_connection(channel)
    assert request == b"request"
    return old, new, client


def test_passing_a_descriptor_does_not_wake_the_event_loop(tmp_path: Any) -> None:
    old, new, client = given_away(tmp_path)
    fd_passing.stop_watching(old)
    old.close()
    client.sendall(b"more")
    began = time.process_time()
    gevent.sleep(0.2)
    assert time.process_time() - began < seconds(0.1), "nothing wakes the loop again and again"
    assert new.recv(10) == b"more"
    new.close()
    client.close()


def test_reader_of_the_passed_socket_gets_end_of_file(tmp_path: Any) -> None:
    old, new, client = given_away(tmp_path)
    fd_passing.replace_with_ended(old)
    client.sendall(b"more")
    assert old.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        old.sendall(b"lies")
    assert new.recv(10) == b"more"
    for end in (old, new, client):
        end.close()


def test_descriptor_that_is_not_a_connection_is_refused() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        one.sendall(b"request")
        with pytest.raises(ConnectionError, match="no connection"):
            fd_passing.receive_connection(other)


def test_message_over_the_limit_is_refused() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        socket.send_fds(one, [b"x" * (fd_passing.MAX_SIZE + 1)], [one.fileno()])
        with pytest.raises(ConnectionError, match="longer"):
            fd_passing.receive_connection(other)


def test_a_descriptor_of_something_else_is_refused_and_closed(tmp_path: Path) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other, (tmp_path / "file").open("wb") as file:
        socket.send_fds(one, [b"request"], [file.fileno()])
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match="non-socket"):
            fd_passing.receive_connection(other)
        assert os.listdir("/proc/self/fd") == before


def test_only_one_descriptor_is_received(tmp_path: Path) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(one, [b"request"], [one.fileno(), one.fileno(), other.fileno()])
        connection, _ = fd_passing.receive_connection(other)
        assert not os.get_inheritable(connection.fileno())
        connection.close()
        assert len(os.listdir("/proc/self/fd")) == before


def test_tls_connection_is_not_passed(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = str(tmp_path / "s")
    one, other = socket.socketpair()
    with (
        fd_passing.listen_for_connections(path),
        other,
        context.wrap_socket(one, True, do_handshake_on_connect=False) as encrypted,
    ):
        with pytest.raises(OSError) as refused:
            fd_passing.send_connection(path, encrypted, b"request")
        assert refused.value.errno == EOPNOTSUPP


def test_listening_at_an_invalid_path_is_an_error_and_leaves_no_socket_open(
    tmp_path: Path, nothing_left_behind: None
) -> None:
    with pytest.raises(OSError) as refused:
        fd_passing.listen_for_connections(str(tmp_path / "missing" / "s"))
    assert refused.value.errno == ENOENT
