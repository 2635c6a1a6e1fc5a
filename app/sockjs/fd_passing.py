"""One process gives another an open connection, over a Unix socket between them.

The connection itself goes, not its bytes: from then on the other process serves it as if it had accepted it, and this
one has no part in it.
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

MAX_SIZE = 65536
"""Bytes of a request that can go together with its connection: a head, and a read beyond it."""
BACKLOG = 4096
"""Connections on their way to one process."""


def listen(path: str) -> Any:
    """A socket for what others give. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def is_served(path: str) -> bool:
    """Whether somebody listens there."""
    with plain.socket(plain.AF_UNIX, plain.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # alive, with no room for one more
            return True
    return True


def give(path: str, connection: Any, request: bytes) -> None:
    """Give `connection`, and what was read from it, to whoever listens at `path`; it stays open here.

    Does not wait. Raises ConnectionError or FileNotFoundError when there is nobody, another OSError when it cannot
    be done now, or never: the keys of a TLS connection stay in the process that has accepted it.
    """
    if isinstance(connection, SSLSocket):
        raise OSError(EOPNOTSUPP, "a TLS connection ends where it was accepted")
    # Neither step ever takes long: the message is taken whole into the fresh buffer of the kernel, or refused.
    with plain.socket(plain.AF_UNIX, plain.SOCK_SEQPACKET) as channel:
        channel.setblocking(False)
        channel.connect(path)
        plain.send_fds(channel, [request], [connection.fileno()])


def receive(channel: Any) -> tuple[Any, bytes]:
    """The opposite: the connection, and what was read from it. Raises OSError."""
    request, descriptors, flags, _ = socket.recv_fds(channel, MAX_SIZE, 1)
    if not descriptors:
        raise ConnectionError("there is no connection in what was given")
    os.set_inheritable(descriptors[0], False)
    try:
        connection = socket.socket(fileno=descriptors[0])
    except OSError:
        os.close(descriptors[0])
        raise
    if flags & socket.MSG_TRUNC:
        connection.close()
        raise ConnectionError(f"what was given is longer than {MAX_SIZE} bytes")
    return connection, request


def let_go(connection: Any) -> None:
    """Watch a connection no longer that was given away.

    Closed here and open there it would still be reported to the event loop, which then builds anew all that it
    watches.
    """
    loop = gevent.get_hub().loop.fileno()
    if loop is not None:
        epoll = monkey.get_original("select", "epoll")  # gevent takes it away from programs that it patches
        with suppress(OSError), epoll.fromfd(os.dup(loop)) as watched:
            watched.unregister(connection.fileno())


def cut(connection: Any) -> None:
    """Put an ended connection in place of one that was given away, for a server that still has hold of it."""
    let_go(connection)
    one, other = plain.socketpair()
    other.close()
    os.dup2(one.fileno(), connection.fileno(), inheritable=False)
    one.close()
