"""Parses the heads of one connection: a client that keeps its connection repeats its head nearly byte for byte.

A head that equals the previous one is not parsed again. If a head differs from it only in the length or the signature
of the body, only these values are parsed. The same heads are accepted as by `parse_head`.
"""

from __future__ import annotations

import re

from .head import Head, parse_head

MAX_KEPT = 2048
"""Bytes of the largest head that is kept for the next request, so that idle connections remain small."""
_LENGTH = "content-length"
_VARYING = re.compile(rb"\r\n(content-length: [0-9]{1,15}|x-api-sign: [0-9a-f]{64})(?=\r\n|\Z)", re.IGNORECASE)
"""The headers whose values may differ from those of the previous head."""
_MAX_SIZES = {_LENGTH: 15, "x-api-sign": 64}


class HeadParser:
    """Parses the heads of one connection in order."""

    __slots__ = ("raw", "_head", "_pieces")

    def __init__(self) -> None:
        self.raw = b""
        """The last head; empty if it was larger than MAX_KEPT."""
        self._head: Head | None = None
        self._pieces: list[tuple[bytes, str]] | None = None
        """The bytes before each varying value, with the name of its header; None until a head differs."""

    def parse(self, raw: bytes) -> Head:
        """Parse a head like `parse_head`. Raises HTTPError.

        Returns the same object for the same bytes, so callers must not change it.
        """
        before = self._head
        if before is None:
            return self._parse(raw)
        if raw == self.raw:
            return before
        head = self._parse_changes(raw, before)
        if head is None:
            return self._parse(raw)
        self.raw, self._head = raw, head
        return head

    def _parse(self, raw: bytes) -> Head:
        self.raw, self._head, self._pieces = b"", None, None
        head = parse_head(raw)
        if len(raw) <= MAX_KEPT:
            self.raw, self._head = raw, head
        return head

    def _parse_changes(self, raw: bytes, before: Head) -> Head | None:
        """Return the head if it differs from the previous one only in varying values, otherwise None."""
        pieces = self._pieces
        if pieces is None:
            pieces = self._pieces = _split(self.raw)
        values: dict[str, str] = {}
        start = 0
        *varying, (rest, _) = pieces
        for piece, name in varying:
            if not raw.startswith(piece, start):
                return None
            start += len(piece)
            end = raw.find(b"\r", start)
            value = raw[start:end] if end >= 0 else raw[start:]
            if not (value.isdigit() if name == _LENGTH else value.isalnum()) or len(value) > _MAX_SIZES[name]:
                return None
            values[name] = value.decode()
            start += len(value)
        return before.varied(values) if raw[start:] == rest else None


def _split(raw: bytes) -> list[tuple[bytes, str]]:
    """Split a head into the bytes before each varying value with the name of its header, and the rest with none."""
    pieces = []
    start = 0
    for found in _VARYING.finditer(raw):
        name, _, value = found[1].partition(b": ")
        end = found.end() - len(value)
        pieces.append((raw[start:end], name.lower().decode()))
        start = found.end()
    return [*pieces, (raw[start:], "")]
