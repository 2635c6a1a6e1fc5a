"""Parses the heads of one connection: a client that keeps its connection repeats its head nearly byte for byte.

A head that equals the previous one is not parsed again. If a head differs from it only in the length or the signature
of the body, only these values are parsed. The same heads are accepted as by `parse_head`.
"""

from __future__ import annotations

import re

from .head import Head, parse_head

MAX_KEPT = 2048
"""Bytes of the largest head that is kept for the next request, so that idle connections remain small."""
_VARYING = {
    b"content-length": re.compile(rb"[0-9]{1,15}"),
    b"x-api-sign": re.compile(rb"[0-9a-f]{64}"),
}
"""The headers whose values may differ from those of the previous head, and the accepted form of each value."""


class HeadParser:
    """Parses the heads of one connection in order."""

    __slots__ = ("_head", "_lines", "_raw")

    def __init__(self) -> None:
        self._raw = b""
        self._lines: list[bytes] | None = None
        """The lines of the last head; None until a head differs from the previous one."""
        self._head: Head | None = None

    def parse(self, raw: bytes) -> Head:
        """Parse a head like `parse_head`. Raises HTTPError.

        Returns the same object for the same bytes, so callers must not change it.
        """
        head = self._head
        if head is not None and raw == self._raw:
            return head
        head = None if head is None else self._parse_changes(raw, head)
        if head is None:
            self._head, self._lines = None, None
            head = parse_head(raw)
        if len(raw) <= MAX_KEPT:
            self._raw, self._head = raw, head
        else:
            self._head = None
        return head

    def _parse_changes(self, raw: bytes, before: Head) -> Head | None:
        """Return the head if it differs from the previous one only in varying headers, otherwise None."""
        lines, known = raw.split(b"\r\n"), self._lines or self._raw.split(b"\r\n")
        self._lines = lines
        if len(lines) != len(known):
            return None
        headers = dict(before.headers)
        for line, old in zip(lines, known, strict=True):
            if line != old:
                name, _, value = line.partition(b": ")
                allowed = _VARYING.get(name.lower())
                if allowed is None or not old.startswith(name + b": ") or not allowed.fullmatch(value):
                    return None
                headers[name.lower().decode()] = value.decode()
        return Head(before.method, before.target, before.version, headers)
