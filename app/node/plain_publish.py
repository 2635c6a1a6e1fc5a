"""Requests of backends with several publications and nothing else, decoded in one pass: the short path of publishing.

A decoder of the short path accepts only what nearly all requests look like. For everything else, valid or not, it
returns None before anything is carried out, and the decoders of the protocol read the same bytes again. So the short
path has no errors of its own. A request has the same effect and gets the same reply on both paths
(tests/app/test_short_path.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw

from ..model.json_codec import MAX_NESTING
from .commands import PLAIN_PUBLISH, PublishRequest

MAX_BRACKETS = MAX_NESTING - 8
"""Brackets of a payload on the short path, so that no payload and no request around it is nested too deeply."""
MAX_FLAT_SIZE = 2 * MAX_BRACKETS
"""Bytes of a payload that cannot have more nested levels than that, because each level takes two bytes."""

MAX_COUNTED = 10_000
"""Bytes at the beginning of a request in which commands are counted."""
MIN_COMMANDS = 3
"""Commands of a request on the short path; fewer take less time on the long one."""

Decoded = TypeVar("Decoded")


class PlainPublish(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A publication without anything unusual."""

    channel: Annotated[str, Meta(min_length=1)]
    data: Raw


def decode_plain(decoder: msgspec.json.Decoder[Decoded], request: bytes, name: bytes) -> Decoded | None:
    """Decode a request; None unless it is UTF-8 and has exactly the type of the decoder.

    Each command of the request has the field `name`. Requests with fewer than MIN_COMMANDS are not decoded.
    """
    if request.count(b'"%b"' % name, 0, MAX_COUNTED) < MIN_COMMANDS:
        return None
    try:
        request.decode()  # decoders do not look into payloads
        return decoder.decode(request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def plain_payloads(publishes: Iterable[PlainPublish]) -> list[bytes] | None:
    """Return the payloads as they came; None if one of them could be nested too deeply."""
    payloads = [bytes(publish.data) for publish in publishes]
    for data in payloads:
        if len(data) > MAX_FLAT_SIZE and data.count(b"[") + data.count(b"{") > MAX_BRACKETS:
            return None
    return payloads


def plain_request(channel: str, data: bytes, client: str = "", uid: str = "") -> PublishRequest:
    """Return what is to be published. Takes half the time of the constructor of PublishRequest."""
    return _new(PublishRequest, (channel, data, client, uid, PLAIN_PUBLISH))


_new = tuple.__new__
