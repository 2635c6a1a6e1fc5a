"""The address of the client. Behind a proxy, the socket has the address of the proxy, so headers are needed."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from ..config.options import LOCAL, split_list

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """The proxies that option trusted_proxies lists: addresses and networks, and `unix` for all of a Unix socket."""

    def __init__(self, listing: str) -> None:
        items = split_list(listing)
        self._trusts_local = LOCAL in items
        self._networks = [ipaddress.ip_network(item, strict=False) for item in items if item != LOCAL]

    def address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the client's address; `peer` is the socket's, empty for a Unix socket. Header names are in lower case.

        In X-Forwarded-For, to which each proxy appends its peer, it is the last address that is not a trusted proxy:
        the client may have invented those before. Without this header, it is X-Real-IP. If both are present, the last
        proxy has set one and may have forwarded the other: so they must agree on the peer of that proxy.
        """
        if "x-forwarded-for" not in headers and "x-real-ip" not in headers:  # the peer need not be parsed
            return peer
        if not self.trusts(peer):
            return peer
        hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        heard = headers.get("x-real-ip", "").strip()
        if hops and heard and heard != hops[-1]:
            return peer
        for hop in reversed(hops or [heard]):
            if not _is_address(hop):
                return peer
            if not self.trusts(hop):
                return hop
            peer = hop
        return peer

    def trusts(self, peer: str) -> bool:
        """Return whether the program at this address is a trusted proxy; an empty address is that of a Unix socket."""
        if not peer:
            return self._trusts_local
        address = ipaddress.ip_address(peer.partition("%")[0]) if _is_address(peer) else None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address is not None and any(address in network for network in self._networks)


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
