"""The settings of a client, and the APIs that it can use with them."""

from __future__ import annotations

import httpx

from .errors import ClientError
from .key_api import KeyAPI
from .signed_api import SignedAPI
from .wire import api_address, without_credentials

TIMEOUT = 5.0
"""Seconds that connecting, sending, and each wait for a part of the reply may take."""
RETRIES = 2
"""Maximum number of attempts after the first one."""
MAX_TIMEOUT = 2_147_483
"""Maximum seconds for which the operating system waits for a socket: 2^31 - 1 ms."""
_LIMITS = (
    f"timeout must be a number of more than 0 seconds, at most {MAX_TIMEOUT}, and retries must be an integer that is "
    "not negative"
)


class Settings:
    """The checked arguments of a client. Raises ValueError for invalid ones, without the key in the text."""

    def __init__(self, url: str, api_key: str | None, secret: str | None, timeout: float, retries: int) -> None:
        if api_key is None and secret is None:
            raise ValueError("api_key or secret is required: the value of the server's option with the same name")
        if not (_is_number(timeout, (int, float)) and 0 < timeout <= MAX_TIMEOUT):
            raise ValueError(_LIMITS)
        if not (_is_number(retries, int) and retries >= 0):
            raise ValueError(_LIMITS)
        address = api_address(url)
        self.address = without_credentials(address)
        self.timeout = timeout
        self.retries = retries
        self._key_api = None if api_key is None else KeyAPI(address, api_key, adds_keys=retries > 0)
        self._signed_api = None if secret is None else SignedAPI(address, secret)

    @property
    def key_api(self) -> KeyAPI:
        """The API with an API key. Raises ClientError if the client has no key."""
        if self._key_api is None:
            raise ClientError("this method requires api_key; with only secret, use the methods of the attribute v1")
        return self._key_api

    @property
    def signed_api(self) -> SignedAPI:
        """The API of v1. Raises ClientError if the client has no secret."""
        if self._signed_api is None:
            raise ClientError("the methods of the attribute v1 require secret: the value of the server's option secret")
        return self._signed_api


def require_http_client(http: object, type_: type[httpx.Client] | type[httpx.AsyncClient]) -> None:
    """Raise ValueError if a client of httpx is not of this type."""
    if not isinstance(http, type_):
        raise ValueError(f"http: expected an httpx.{type_.__name__}, not {type(http).__name__}")


def require_open(http: httpx.Client | httpx.AsyncClient) -> None:
    """Raise ClientError if a client of httpx is closed."""
    if http.is_closed:
        raise ClientError("the client is closed, or the client of httpx that it uses; create another one")


def _is_number(value: object, types: type | tuple[type, ...]) -> bool:
    """Return whether a value has one of these types, and is not True or False, which are integers in Python."""
    return isinstance(value, types) and not isinstance(value, bool)
