"""Listening sockets that systemd passes to a process (socket activation, sd_listen_fds).

A master passes its sockets to its workers in the same way.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from ..config.endpoints import ADMIN, API
from ..config.options import ConfigError
from .listener_names import MAIN, listener_endpoints

FIRST_SYSTEMD_DESCRIPTOR = 3
"""The descriptor number of the first passed socket."""


def passed_by_systemd(environ: Mapping[str, str]) -> dict[str, socket.socket]:
    """Return the sockets passed by systemd, by name; the first one without a known name is `main`.

    Raises ConfigError for a descriptor that is not a listening socket.
    """
    names = list(_names(environ))
    for name in names:
        if names.count(name) > 1:
            raise ConfigError([f"systemd passed two sockets for {name}; set FileDescriptorName to api or admin"])
    return {name: _open_passed_socket(number) for number, name in enumerate(names, FIRST_SYSTEMD_DESCRIPTOR)}


def names_passed_by_systemd(environ: Mapping[str, str]) -> set[str]:
    """Return the groups of endpoints for which systemd passed a separate socket."""
    return {endpoint for name in _names(environ) for endpoint in listener_endpoints(name)}


def _names(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the sockets passed by systemd, in their order (sd_listen_fds)."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise ConfigError([f"LISTEN_FDS: expected the number of sockets, not {count!r}"])
    names = environ.get("LISTEN_FDNAMES", "").split(":") + [""] * int(count)
    return [name if set(name.split("+")) <= {API, ADMIN} else MAIN for name in names[: int(count)]]


def _open_passed_socket(number: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=number)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError([f"file descriptor {number} from systemd is not a socket: {error.strerror}"]) from None
    if not listens or listener.type != socket.SOCK_STREAM:
        listener.close()
        raise ConfigError([f"file descriptor {number} from systemd is not a listening socket"])
    os.set_inheritable(number, False)
    return listener
