"""Passes an open connection to another process of this machine, as a file descriptor over a Unix socket.

The descriptor itself is passed, and no data is relayed: the receiving process serves the connection as if it had
accepted it, and the sending process closes its own copy.
"""

from __future__ import annotations

import os
import socket as plain
from contextlib import suppress
from errno import EOPNOTSUPP
from typing import Any

import gevent
from gevent import monkey, socket
from gevent.ssl import SSLSocket

from ..runtime import limits

MAX_SIZE = 65536
"""Largest request in bytes that can be sent together with its connection: a head, and one read beyond it."""


def listen_for_connections(path: str) -> Any:
    """A listening Unix socket at `path`, to which other processes send connections. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(path)
        listener.listen(limits.BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def is_served(path: str) -> bool:
    """Whether a process listens at `path`. Does not wait."""
    with plain.socket(plain.AF_UNIX, plain.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # a process listens, but its backlog is full
            return True
    return True


def send_connection(path: str, connection: Any, request: bytes) -> None:
    """Send `connection`, and `request` that was read from it, to the process that listens at `path`.

    It stays open in this process. Does not wait. Raises ConnectionError or FileNotFoundError when no process listens
    there, and another OSError when the connection cannot be sent: the backlog is full, or it is a TLS connection,
    whose keys cannot leave the process that has accepted it.
    """
    if isinstance(connection, SSLSocket):
        raise OSError(EOPNOTSUPP, "a TLS connection cannot be passed to another process")
    # Neither step waits: the kernel takes the whole message into an empty buffer, or refuses it.
    with plain.socket(plain.AF_UNIX, plain.SOCK_SEQPACKET) as channel:
        channel.setblocking(False)
        channel.connect(path)
        plain.send_fds(channel, [request], [connection.fileno()])


def receive_connection(channel: Any) -> tuple[Any, bytes]:
    """The connection that a process sends over the accepted socket `channel`, and what it has read of the request.

    Raises OSError when the message holds no connection or is longer than MAX_SIZE.
    """
    request, descriptors, flags, _ = socket.recv_fds(channel, MAX_SIZE, 1)
    if not descriptors:
        raise ConnectionError("the message holds no connection")
    os.set_inheritable(descriptors[0], False)
    try:
        connection = socket.socket(fileno=descriptors[0])
    except OSError:
        os.close(descriptors[0])
        raise
    if flags & socket.MSG_TRUNC:
        connection.close()
        raise ConnectionError(f"the message is longer than {MAX_SIZE} bytes")
    return connection, request


def stop_watching(connection: Any) -> None:
    """Remove a connection that was sent to another process from this process's epoll set.

    Epoll forgets a connection only when every copy of its descriptor is closed. Without this, events of the other
    process's copy would wake the event loop here, which would then rebuild its whole epoll set.
    """
    loop = gevent.get_hub().loop.fileno()
    if loop is not None:
        epoll = monkey.get_original("select", "epoll")  # gevent removes it when it patches the module
        with suppress(OSError), epoll.fromfd(os.dup(loop)) as watched:
            watched.unregister(connection.fileno())


def replace_with_ended(connection: Any) -> None:
    """Replace a connection that was sent to another process with one that has ended.

    For a server that still reads from it: it finds the end of the stream, and nothing of what the client sends.
    """
    stop_watching(connection)
    one, other = plain.socketpair()
    other.close()
    os.dup2(one.fileno(), connection.fileno(), inheritable=False)
    one.close()
