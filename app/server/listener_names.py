"""The names of listening sockets, and the addresses at which clients reach them."""

from __future__ import annotations

import socket

MAIN = "main"
"""The name of the listener for all endpoints without a separate one."""
ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"
_LOOPBACK, _LOOPBACK_IPV6 = "127.0.0.1", "::1"


def listener_endpoints(name: str) -> list[str]:
    """Return the endpoints that a listener of this name serves.

    The list is empty for the main listener, which serves all endpoints that have no listener of their own.
    """
    return [] if name == MAIN else name.split("+")


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
