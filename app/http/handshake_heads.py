"""Parses the heads of WebSocket handshakes: those of many clients differ only in Sec-WebSocket-Key.

When thousands of clients reconnect, parsing their heads is a twentieth of the work, and nearly all of them come from a
few programs. So the parsed heads are kept, and only the key is taken from a head that is the same otherwise.
"""

from __future__ import annotations

import re

from .head import Head, parse_head

MAX_HANDSHAKE = 1024
"""Bytes of the largest head that is kept."""
MAX_HEADS = 256
"""Number of heads that are kept."""
_KEY_HEADER = b"\r\nSec-WebSocket-Key: "
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_OF_ONE_CLIENT = frozenset(("authorization", "cookie", "x-forwarded-for", "x-real-ip", "x-request-id"))
"""Headers whose values differ between clients, so that no other head would equal this one. Some are secret."""
MAX_QUERY = 64
"""Characters of the longest query of a head that is kept; a longer one may contain the token of a client."""


def _is_of_one_client(head: Head) -> bool:
    return len(head.query) > MAX_QUERY or not _OF_ONE_CLIENT.isdisjoint(head.headers)


class HandshakeHeads:
    """Parses heads in the same way as `parse_head`, and remembers those of handshakes.

    When MAX_HEADS are kept they are all forgotten, so that heads which no client sends any more do not stay.
    """

    def __init__(self) -> None:
        self._heads: dict[tuple[bytes, bytes], Head] = {}
        """Heads by the bytes before and after the key."""

    def parse(self, raw: bytes) -> Head:
        """Parse a head, given without the empty line that ends it. Raises HTTPError."""
        start = raw.find(_KEY_HEADER) + len(_KEY_HEADER)
        if start < len(_KEY_HEADER) or len(raw) > MAX_HANDSHAKE:
            return parse_head(raw)
        key = raw[start : start + 24]
        if not _KEY.fullmatch(key):
            return parse_head(raw)
        around = raw[:start], raw[start + 24 :]
        known = self._heads.get(around)
        if known is not None:
            return known.varied({"sec-websocket-key": key.decode()})
        head = parse_head(raw)
        if around[1][:1] not in (b"", b"\r") or _is_of_one_client(head):
            return head
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        self._heads[around] = head
        return head
