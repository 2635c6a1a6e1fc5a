"""Listening sockets: ports, a Unix socket, or sockets passed by systemd (socket activation)."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..config.config import Config
from ..config.endpoints import ADMIN, API, own_ports
from ..config.options import ConfigError
from ..runtime import limits

FIRST_SYSTEMD_DESCRIPTOR = 3
"""The descriptor number of the first socket passed by systemd (sd_listen_fds)."""
ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"
_LOOPBACK, _LOOPBACK_IPV6 = "127.0.0.1", "::1"
MAIN = "main"
"""The name of the listener for all endpoints without a separate one."""


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


def listener_endpoints(name: str) -> list[str]:
    """Return the endpoints that a listener of this name serves.

    The list is empty for the main listener, which serves all endpoints that have no listener of their own.
    """
    return [] if name == MAIN else name.split("+")


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


def address_of(listener: socket.socket) -> str:
    """Return where clients on this machine reach a listener: host and port, or `unix:` and the path."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host, port = name[:2]
    if listener.family == socket.AF_INET:
        return f"{_LOOPBACK if host == ANY_IPV4 else host}:{port}"
    if host != ANY_IPV6:
        return f"[{host}]:{port}"
    return f"{_LOOPBACK}:{port}" if _is_dual_stack(listener) else f"[{_LOOPBACK_IPV6}]:{port}"


def other_addresses(listener: socket.socket) -> str:
    """Return which other addresses than `address_of` reach a listener, for the log; empty for none."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX or name[0] not in (ANY_IPV4, ANY_IPV6):
        return ""
    if listener.family == socket.AF_INET:
        return "all other IPv4 addresses of this machine"
    kind = "" if _is_dual_stack(listener) else "IPv6 "
    return f"all other {kind}addresses of this machine"


def _is_dual_stack(listener: socket.socket) -> bool:
    """Return whether a listener for IPv6 accepts connections with IPv4, too."""
    return not listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
