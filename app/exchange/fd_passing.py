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
"""Maximum bytes of the request that is sent with its connection: a head, and the data of one more read."""


def listen_for_connections(path: str) -> Any:
    """Return a listening Unix socket at `path`, to which other processes send connections. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(path)
        listener.listen(limits.BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def is_served(path: str) -> bool:
    """Return whether a process listens at `path`. Does not wait."""
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
    """Send a connection, and the bytes `request` that were read from it, to the process that listens at `path`.

    The connection stays open in this process. Does not wait. Raises ConnectionError or FileNotFoundError if no process
    listens there, and another OSError if the connection cannot be sent: because the backlog is full, or because it is a
    TLS connection, whose keys exist only in the process that has accepted it.
    """
    if isinstance(connection, SSLSocket):
        raise OSError(EOPNOTSUPP, "a TLS connection cannot be passed to another process")
    # No step waits: the kernel puts the whole message into an empty buffer, or refuses it.
    with plain.socket(plain.AF_UNIX, plain.SOCK_SEQPACKET) as channel:
        channel.setblocking(False)
        channel.connect(path)
        plain.send_fds(channel, [request], [connection.fileno()])


def receive_connection(channel: Any) -> tuple[Any, bytes]:
    """Receive a connection over the accepted socket `channel`, and the bytes of the request that were read from it.

    Raises OSError if the message contains no connection or is longer than MAX_SIZE.
    """
    request, descriptors, flags, _ = socket.recv_fds(channel, MAX_SIZE, 1)
    if not descriptors:
        raise ConnectionError("message of another process contains no connection")
    os.set_inheritable(descriptors[0], False)
    try:
        connection = socket.socket(fileno=descriptors[0])
    except OSError:
        os.close(descriptors[0])
        raise
    if flags & socket.MSG_TRUNC:
        connection.close()
        raise ConnectionError(f"message of another process is longer than {MAX_SIZE} bytes")
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
    """Replace the socket of a connection that was sent to another process with a socket that has ended.

    A server that continues to read from it then reads the end of the stream, and no data of the client.
    """
    stop_watching(connection)
    one, other = plain.socketpair()
    other.close()
    os.dup2(one.fileno(), connection.fileno(), inheritable=False)
    one.close()
