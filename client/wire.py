"""HTTP requests and responses as data: addresses, headers, statuses and JSON. Does not open connections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from .errors import StatusError

T = TypeVar("T")

JSON_TYPE = {b"Content-Type": b"application/json"}


@dataclass(frozen=True, slots=True)
class Request:
    """One POST request, which can be sent several times."""

    url: httpx.URL
    headers: Mapping[bytes, bytes]
    body: bytes
    is_repeatable: bool
    """Whether the request may be sent again if the server may have carried it out already."""


def api_address(url: str) -> httpx.URL:
    """Return the address of the API of the server at `url`.

    Raises ValueError if `url` is not the address of an HTTP server.
    """
    try:
        address = httpx.URL(url)
        address.raw_host.decode().encode("idna")  # as sockets do, which checks the lengths of its parts
        host = address.host  # decoded, as httpx does for each request
    except (httpx.InvalidURL, TypeError, UnicodeError):
        host = ""
    if not host or address.scheme not in ("http", "https"):
        raise ValueError("url: expected an address such as https://realtime.example.com")
    if any(mark in str(address) for mark in "?#"):  # also those with nothing after them
        raise ValueError("url: expected an address without a query and without a fragment")
    return child(address, "api")


def child(address: httpx.URL, name: str) -> httpx.URL:
    """Return the address with `name` added to its path."""
    return address.copy_with(path=f"{address.path.rstrip('/')}/{name}")


def without_credentials(url: httpx.URL) -> str:
    """Return an address as text, without the user and password that it may contain."""
    return str(url.copy_with(userinfo=b""))


def require_text(name: str, key: object) -> None:
    """Raise ValueError, without the key in the text, if a key is not a string that can be encoded."""
    if not isinstance(key, str):
        raise ValueError(f"{name}: expected a string, not {type(key).__name__}")
    try:
        key.encode()
    except UnicodeError:
        raise ValueError(f"{name}: contains half of a surrogate pair, which cannot be encoded") from None


def header_value(name: str, key: str) -> bytes:
    """Encode a key for a header. Raises ValueError, without the key in the text, if a header cannot contain it."""
    require_text(name, key)
    if not key or key != key.strip() or any(ord(character) < 32 or ord(character) == 127 for character in key):
        raise ValueError(f"{name} is empty, begins or ends with white space, or contains a control character")
    return key.encode()


def check_status(response: httpx.Response) -> None:
    """Raise StatusError if the status of a response is not 200."""
    if response.status_code != 200:
        wait = response.headers.get("Retry-After", "")[:9]
        text = response.content[:10_000].decode("utf-8", "replace")
        raise StatusError(
            without_credentials(response.request.url), response.status_code, text, int(wait) if wait.isdecimal() else 0
        )


def json_of(response: httpx.Response) -> Any:
    """Decode the body of a response. Raises StatusError if it is not JSON."""
    try:
        return msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Clients may have published half of a surrogate pair, or a number that is out of range.
        try:
            return json.loads(response.content, parse_int=_integer)
        except ValueError:
            raise unexpected_response(response) from None


def _integer(digits: str) -> int | float:
    """Return an integer; infinity when it has more digits than Python converts (4300 by default)."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def convert(response: httpx.Response, value: Any, type_: type[T]) -> T:
    """Convert a part of the decoded body of a response to the type `type_`. Raises StatusError if it does not fit."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise unexpected_response(response) from None


def unexpected_response(response: httpx.Response) -> StatusError:
    """Return the error for a response that does not come from the API."""
    return StatusError(
        without_credentials(response.request.url), response.status_code, "the body is not a reply of the API"
    )
