"""The address of the client. Behind a proxy, the socket has the address of the proxy, so headers are needed."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from ..config.options import LOCAL, split_list
from ..runtime.log_throttle import ONCE, ThrottledLog

log = logging.getLogger(__name__)

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

ClientOf: TypeAlias = Callable[[Mapping[str, str]], str]
"""Returns the address of the client of a request, which has these headers, for log lines."""

MAPPED_IPV4 = "::ffff:"
"""What a socket for IPv4 and IPv6 puts before the addresses of IPv4 clients, as in `::ffff:192.0.2.1`."""
MAX_LOGGED_PROXIES = 20
"""Maximum number of addresses whose headers are logged as ignored; any client can send these headers."""


def unknown_client(headers: Mapping[str, str]) -> str:
    """Return what the log shows in the place of an address that is not known."""
    return "an unknown address"


class TrustedProxies:
    """The proxies that option trusted_proxies lists: addresses and networks, and `unix` for all of a Unix socket."""

    def __init__(self, listing: str) -> None:
        items = split_list(listing)
        self._trusts_local = LOCAL in items
        self._networks = [ipaddress.ip_network(item, strict=False) for item in items if item != LOCAL]
        self._ignored = ThrottledLog(log, logging.INFO, interval=ONCE, max_keys=MAX_LOGGED_PROXIES)

    def address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the client's address; `peer` is the socket's, empty for a Unix socket. Header names are in lower case.

        In X-Forwarded-For, to which each proxy appends its peer, it is the last address that is not a trusted proxy:
        the client may have invented those before. Without this header, it is X-Real-IP. If both are present, the last
        proxy has set one and may have forwarded the other: so they must agree on the peer of that proxy.
        """
        peer = ipv4_if_mapped(peer)
        if "x-forwarded-for" not in headers and "x-real-ip" not in headers:  # the peer need not be parsed
            return peer
        if not self.trusts(peer):
            self.note_ignored("X-Forwarded-For" if "x-forwarded-for" in headers else "X-Real-IP", peer)
            return peer
        items = (item.strip() for item in headers.get("x-forwarded-for", "").split(","))
        hops = [ipv4_if_mapped(item) for item in items if item]
        heard = ipv4_if_mapped(headers.get("x-real-ip", "").strip())
        if hops and heard and heard != hops[-1]:
            return peer
        for hop in reversed(hops or [heard]):
            if not _is_address(hop):
                return peer
            if not self.trusts(hop):
                return hop
            peer = hop
        return peer

    def note_ignored(self, header: str, peer: str) -> None:
        """Log that a header is ignored, because its `peer` is not a trusted proxy: once for each peer, up to a limit.

        Otherwise an operator only sees that all clients behind a proxy have its address.
        """
        peer = ipv4_if_mapped(peer)
        self._ignored.log(
            peer,
            "ignoring the header %s of requests from %s, which is not in option trusted_proxies: if it is your proxy, "
            "add %s to this option; otherwise all clients behind it have its address (logged once)",
            header,
            peer_name(peer),
            peer or LOCAL,
        )

    def trusts(self, peer: str) -> bool:
        """Return whether the program at this address is a trusted proxy; an empty address is that of a Unix socket."""
        if not peer:
            return self._trusts_local
        address = ipaddress.ip_address(peer.partition("%")[0]) if _is_address(peer) else None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:  # in hexadecimal digits
            address = address.ipv4_mapped
        return address is not None and any(address in network for network in self._networks)


def ipv4_if_mapped(address: str) -> str:
    """Return `192.0.2.1` for `::ffff:192.0.2.1`; other texts are returned unchanged."""
    if not address.startswith(MAPPED_IPV4):
        return address
    rest = address[len(MAPPED_IPV4) :]
    return rest if "." in rest and ":" not in rest else address


def peer_with_ipv4(address: Any) -> Any:
    """Return the address of a socket's peer, as host and port if it is an IPv4 client; a Unix socket has no tuple."""
    if isinstance(address, tuple) and address[0].startswith(MAPPED_IPV4):
        return ipv4_if_mapped(address[0]), address[1]
    return address


def host_of(address: Any) -> str:
    """Return the host in the address of a socket's peer, as returned by `peer_with_ipv4`; empty for a Unix socket."""
    return str(address[0]) if isinstance(address, tuple) else ""


def peer_name(host: str) -> str:
    """Return the name of a peer for the log; `host` is empty for a Unix socket."""
    return host or "local socket"


def _is_address(text: str) -> bool:
    address, percent, zone = text.partition("%")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return not percent or zone.isalnum()  # the name of an interface; other text would get into the log unchecked


@lru_cache(8)
def parse_trusted_proxies(listing: str) -> TrustedProxies:
    """Parse the value of option trusted_proxies; cached."""
    return TrustedProxies(listing)
