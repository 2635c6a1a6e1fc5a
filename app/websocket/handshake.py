"""The opening handshake of a WebSocket (RFC 6455 4.2), without I/O."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Mapping

from ..http.head import HTTPError
from ..http.response import encode_response_head

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WEBSOCKET_VERSION = "13"

# The common part of all responses, without the empty line at the end. It saves 1.5 µs for each connection.
_SWITCHING = encode_response_head(101, {"Upgrade": "websocket", "Connection": "Upgrade"}).removesuffix(b"\r\n")


def is_upgrade(headers: Mapping[str, str]) -> bool:
    """Return whether a request is a WebSocket handshake. Header names are in lower case."""
    return _has_token(headers.get("upgrade", ""), "websocket")


def accept(method: str, version: str, headers: Mapping[str, str], extensions: str = "", subprotocol: str = "") -> bytes:
    """Return the response that opens the WebSocket. Raises HTTPError with the reason if the request is invalid.

    `extensions` and `subprotocol` are the values of the response's Sec-WebSocket-Extensions and Sec-WebSocket-Protocol.
    """
    if method != "GET":
        raise HTTPError(405, "WebSocket handshake requires method GET", {"Allow": "GET"})
    if version != "HTTP/1.1":
        raise HTTPError(400, "WebSocket handshake requires HTTP/1.1")
    if not is_upgrade(headers):
        raise HTTPError(400, 'WebSocket endpoint: missing header "Upgrade: websocket"')
    if not _has_token(headers.get("connection", ""), "Upgrade"):
        raise HTTPError(400, 'WebSocket endpoint: missing header "Connection: Upgrade"')
    if headers.get("content-length", "0").strip("0") or "transfer-encoding" in headers:
        # A proxy would forward data as the body that this server would parse as frames.
        raise HTTPError(400, "WebSocket handshake must not have a body")
    if headers.get("sec-websocket-version", "") != WEBSOCKET_VERSION:
        reason = f"unsupported WebSocket version: expected {WEBSOCKET_VERSION}"
        raise HTTPError(426, reason, {"Sec-WebSocket-Version": WEBSOCKET_VERSION})
    return answer(headers.get("sec-websocket-key", ""), extensions, subprotocol)


def answer(key: str, extensions: str = "", subprotocol: str = "") -> bytes:
    """Return the response to a valid handshake with this Sec-WebSocket-Key. Raises HTTPError if the key is invalid.

    The other arguments are those of `accept`.
    """
    digest = hashlib.sha1((_checked_key(key) + GUID).encode(), usedforsecurity=False).digest()
    extended = f"Sec-WebSocket-Extensions: {extensions}\r\n".encode() if extensions else b""
    if subprotocol:
        extended += f"Sec-WebSocket-Protocol: {subprotocol}\r\n".encode()
    accepted = binascii.b2a_base64(digest, newline=False)
    return _SWITCHING + b"Sec-WebSocket-Accept: " + accepted + b"\r\n" + extended + b"\r\n"


def _has_token(value: str, token: str) -> bool:
    return value == token or token.lower() in [item.strip() for item in value.lower().split(",")]


def _checked_key(key: str) -> str:
    try:
        size = len(binascii.a2b_base64(key, strict_mode=True))
    except ValueError:  # also for characters outside ASCII
        size = 0
    if size != 16:
        raise HTTPError(400, "Sec-WebSocket-Key is not 16 bytes in Base64")
    return key
