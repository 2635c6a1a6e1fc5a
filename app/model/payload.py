"""Payloads of publications: JSON, or other bytes after a mark with which JSON cannot begin.

The mark lets every node distinguish both without parsing, and without another field in the data of engines.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from msgspec import Raw

from .json_codec import is_json

BINARY_MARK = b"\0"
"""The first byte of data that are not JSON."""
NO_PAYLOAD = Raw()
"""The value of a field for a payload, in a message or a token, that is missing. It is compared with `is`."""


def payload(data: bytes) -> bytes:
    """Convert received bytes to the data of a publication: unchanged if they are JSON, otherwise with the mark."""
    return data if is_json(data) else BINARY_MARK + data


def json_or_base64(json: Raw, encoded: str | None, keeps_null: bool = False) -> bytes:
    """Return what is given as JSON, or in Base64, which takes precedence. Null counts as none, unless `keeps_null`.

    Empty for none. Raises ValueError for invalid Base64, also for text that is not ASCII.
    """
    if encoded:
        return b64decode(encoded, validate=True)
    data = bytes(json)
    return b"" if data == b"null" and not keeps_null else data


def is_binary(data: bytes) -> bool:
    """Return whether the data of a publication are bytes that are not JSON."""
    return data.startswith(BINARY_MARK)


def bytes_of(data: bytes) -> bytes:
    """Return the payload without the mark, for readers that accept any bytes."""
    return data[1:] if data.startswith(BINARY_MARK) else data


def json_of(data: bytes) -> bytes:
    """Return the data as JSON, for readers that accept only JSON: bytes that are not JSON become a string in Base64."""
    return b'"%b"' % b64encode(data[1:]) if data.startswith(BINARY_MARK) else data
