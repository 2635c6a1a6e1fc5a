"""What parsing a head results in, to compare two parsers."""

from __future__ import annotations

from collections.abc import Callable

from gentrifugo.app.http.head import Head, HTTPError


def outcome(parse: Callable[[bytes], Head], raw: bytes) -> dict[str, object] | tuple[int, str]:
    """Return the attributes of the parsed head, or the status and reason of its refusal."""
    try:
        head = parse(raw)
    except HTTPError as error:
        return error.status, error.reason
    return {name: getattr(head, name) for name in Head.__slots__ if name != "original"}
