"""Opens listening sockets: ports, a Unix socket, or sockets passed by systemd (systemd_sockets.py)."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..config.config import Config
from ..config.endpoints import own_ports
from ..config.options import ConfigError
from ..runtime import limits
from .listener_names import ANY_IPV6, MAIN
from .systemd_sockets import names_passed_by_systemd, passed_by_systemd


@dataclass
class Listeners:
    """The listening sockets of a process, by their endpoints: main, api, admin, or `api+admin` for both."""

    sockets: dict[str, socket.socket]
    unix_path: str = ""
    """The path of the Unix socket that this process has created, if any."""

    def close(self) -> None:
        """Close all listening sockets, and remove the Unix socket that this process has created."""
        for listener in self.sockets.values():
            listener.close()
        if self.unix_path:
            with suppress(OSError):
                os.unlink(self.unix_path)


def open_all(config: Config, environ: Mapping[str, str]) -> Listeners:
    """Open the listening sockets of the options, or use those passed by systemd. Raises ConfigError."""
    opened = Listeners(passed_by_systemd(environ))
    sockets = opened.sockets
    if MAIN not in sockets and config.unix_socket:
        sockets[MAIN] = listen_at(config.unix_socket, config.unix_socket_mode)
        opened.unix_path = config.unix_socket
    elif MAIN not in sockets:
        sockets[MAIN] = listen(config.address, config.port)
    ports: dict[int, list[str]] = {}
    taken = names_passed_by_systemd(environ)
    for endpoint, port in own_ports(config).items():
        if endpoint not in taken:
            ports.setdefault(port, []).append(endpoint)
    for port, endpoints in ports.items():
        sockets["+".join(endpoints)] = listen(config.address, port, f"{endpoints[0]}_port")
    return opened


def listen(address: str, port: int, option: str = "port") -> socket.socket:
    """Open a listening socket.

    An empty address, and `::`, mean all interfaces: IPv4 and, if the system supports it, IPv6. Raises ConfigError with
    the name of the `option` that the port comes from.
    """
    try:
        if address not in ("", ANY_IPV6):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family, backlog=limits.BACKLOG)
        if not socket.has_dualstack_ipv6():
            return socket.create_server(("", port), backlog=limits.BACKLOG)
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=limits.BACKLOG, dualstack_ipv6=True)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]  # Python appends the address
        raise ConfigError([cannot_listen(address, port, option, reason)]) from None


def cannot_listen(address: str, port: int, option: str, reason: str) -> str:
    """Return the error text for an address or port that cannot be bound."""
    where = f"{address or 'all interfaces'}, port {port}"
    return f"address, {option}: cannot listen on {where}: {reason}; choose another with option address or {option}"


def cannot_listen_at(path: str, reason: str) -> str:
    """Return the error text for the path of a Unix socket that cannot be bound."""
    return f"unix_socket: cannot listen at {path}: {reason}"


def listen_at(path: str, mode: str) -> socket.socket:
    """Open a listening Unix socket with the permissions `mode`, octal as for chmod. An unused socket file is replaced.

    Raises ConfigError.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        _remove_dead(path)
        listener.bind(path)
        os.chmod(path, int(mode, 8))
        listener.listen(limits.BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError([cannot_listen_at(path, error.strerror or str(error))]) from None
    return listener


def _remove_dead(path: str) -> None:
    """Remove an unused socket file. Raises OSError if the file is not a socket, or a server listens on it."""
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError("the file exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise OSError("another server is listening on this socket")
