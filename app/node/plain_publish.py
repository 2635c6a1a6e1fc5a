"""The fast path for requests of backends that contain only publications: they are decoded in one pass.

A decoder of the fast path accepts only the usual form of such requests. For other requests, valid or not, it returns
None before anything is carried out, and the decoders of the protocol decode the same bytes again. So the fast path has
no errors of its own. A request has the same effect and the same reply on both paths (tests/app/test_fast_path.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, TypeVar

import msgspec
from msgspec import Meta, Raw

from ..model.json_codec import MAX_NESTING
from .commands import PLAIN_PUBLISH, PublishOptions, RequestedPublish

MAX_BRACKETS = MAX_NESTING - 8
"""Maximum brackets of a payload on the fast path, so that no payload and no request is nested too deeply."""
MAX_FLAT_SIZE = 2 * MAX_BRACKETS
"""Bytes of a payload that cannot have more than MAX_BRACKETS levels, because each level needs two bytes."""

MIN_COMMANDS = 3
"""Minimum number of commands for the fast path; fewer commands take less time on the usual path."""

Decoded = TypeVar("Decoded")


class PlainPublish(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A publication with only a channel and data."""

    channel: Annotated[str, Meta(min_length=1)]
    data: Raw
    client: ClassVar[str] = ""
    uid: ClassVar[str] = ""
    options: ClassVar[PublishOptions] = PLAIN_PUBLISH


_publish = msgspec.json.Decoder(PlainPublish)


def decode_utf8(decoder: msgspec.json.Decoder[Decoded], request: bytes) -> Decoded | None:
    """Decode a request. Returns None unless it is UTF-8 and has exactly the type of the decoder."""
    try:
        if not request.isascii():
            request.decode()  # decoders do not look into payloads
        return decoder.decode(request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_plain(decoder: msgspec.json.Decoder[Decoded], request: bytes, name: bytes) -> Decoded | None:
    """Decode a request with several commands as `decode_utf8` does. Each command has the field `name`.

    Requests with fewer than MIN_COMMANDS are not decoded.
    """
    quoted, place = b'"%b"' % name, -1
    for _ in range(MIN_COMMANDS):
        place = request.find(quoted, place + 1)
        if place < 0:
            return None
    return decode_utf8(decoder, request)


def decode_plain_publish(request: bytes) -> tuple[str, bytes] | None:
    """Decode a request with one publication. Returns its channel and data; None for other requests."""
    publish = decode_utf8(_publish, request)
    if publish is None:
        return None
    data = bytes(publish.data)
    return None if may_be_nested(data) else (publish.channel, data)


def may_be_nested(data: bytes) -> bool:
    """Return whether a payload could be nested too deeply for the fast path."""
    return len(data) > MAX_FLAT_SIZE and data.count(b"[") + data.count(b"{") > MAX_BRACKETS


def are_plain(publishes: Sequence[RequestedPublish]) -> bool:
    """Return whether no payload of the publications could be nested too deeply for the fast path."""
    payloads = [publish.data for publish in publishes]
    return max(map(len, payloads), default=0) <= MAX_FLAT_SIZE or not any(map(may_be_nested, map(bytes, payloads)))
