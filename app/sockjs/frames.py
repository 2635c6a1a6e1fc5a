"""SockJS frames: encodes the frames of the server, before a transport wraps them, and decodes those of clients."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable

import msgspec

OPEN = b"o"
HEARTBEAT = b"h"

# Browsers and proxies change or drop these characters.
_FRAGILE = re.compile("[\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\uffff]")


class BadPayload(ValueError):
    """A client has sent an invalid array of messages; the text is defined by the protocol."""


EXPECTED = "Payload expected."
BROKEN_JSON = "Broken JSON encoding."


def quote(text: str) -> bytes:
    """Encode a message as a JSON string. Half of a surrogate pair, which JavaScript allows, is kept."""
    try:
        quoted = msgspec.json.encode(text)
    except UnicodeEncodeError:
        return json.dumps(text).encode()
    if text.isascii():
        return quoted
    return _FRAGILE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted.decode()).encode()


@functools.lru_cache(maxsize=1)
def quote_message(message: bytes) -> bytes:
    """Encode a message in UTF-8 as a JSON string.

    Caches the last result, because a broadcast calls it once for each kind of SockJS connection.
    """
    return quote(message.decode())


def messages_frame(quoted: Iterable[bytes]) -> bytes:
    """Build the frame that carries messages, given as JSON strings."""
    return b"a[" + b",".join(quoted) + b"]"


def session_close_frame(code: int, reason: str) -> bytes:
    """Build the frame that ends a session."""
    return b"c[%d,%b]" % (code, quote(reason))


def decode_messages(body: bytes) -> list[str]:
    """Decode the messages of a client, a JSON array of strings. Raises BadPayload."""
    if not body:
        raise BadPayload(EXPECTED)
    messages = _decode(body)
    if not isinstance(messages, list):
        raise BadPayload(EXPECTED)
    return _check_texts(messages)


def decode_websocket_messages(body: bytes) -> list[str]:
    """Decode messages sent over a WebSocket: an array, one string, or an empty text. Raises BadPayload."""
    if not body:
        return []
    messages = _decode(body)
    return _check_texts(messages if isinstance(messages, list) else [messages])


def _decode(body: bytes) -> object:
    # msgspec cannot be used, because halves of surrogate pairs are allowed.
    try:
        decoded: object = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise BadPayload(BROKEN_JSON) from None
    return decoded


def _check_texts(messages: list[object]) -> list[str]:
    texts = [message for message in messages if isinstance(message, str)]
    if len(texts) < len(messages):
        raise BadPayload(BROKEN_JSON)
    return texts
