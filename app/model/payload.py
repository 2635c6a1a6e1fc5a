"""Payloads of publications: JSON, or any other bytes, which begin with a mark that JSON cannot begin with.

So every node can tell them apart, without reading them and without another field in what engines store.
"""

from __future__ import annotations

from base64 import b64encode

from .json_codec import is_json

BINARY_MARK = b"\0"
"""What data that are not JSON begin with."""


def payload(data: bytes) -> bytes:
    """Return bytes from outside as the data of a publication: as they are if they are JSON, otherwise with the mark."""
    return data if is_json(data) else BINARY_MARK + data


def is_binary(data: bytes) -> bool:
    """Return whether the data of a publication are bytes that are not JSON."""
    return data.startswith(BINARY_MARK)


def bytes_of(data: bytes) -> bytes:
    """Return what the publisher has sent, for readers that take any bytes."""
    return data[1:] if data.startswith(BINARY_MARK) else data


def json_of(data: bytes) -> bytes:
    """Return the data as JSON, for readers that accept only JSON: bytes that are not JSON become a string in Base64."""
    return b'"%b"' % b64encode(data[1:]) if data.startswith(BINARY_MARK) else data
