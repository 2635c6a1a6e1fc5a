"""A JSON Web Key Set (JWKS) that another server publishes, fetched when a token names a key, and cached.

The set is fetched again when it is old, or when a token names a key that it does not contain, but at most once in
MIN_REQUEST_INTERVAL, even if clients send invalid tokens. Keys are stored by their URL and their `kid`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import msgspec
from gevent.lock import BoundedSemaphore

from ...http.outgoing import BoundedClient, RequestFailed
from ...runtime.log_throttle import ThrottledLog, kind_of
from .token_keys import Key, KeysUnavailable, key_of_jwk

log = logging.getLogger(__name__)

MIN_REQUEST_INTERVAL = 10
"""Minimum seconds between two requests."""
LIFETIME = 3600
"""Seconds after which a set is fetched again."""
TIMEOUT = 5
"""Seconds for one request."""
MAX_KEYS = 100


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]


_set = msgspec.json.Decoder(_Set)


class KeySet:
    """The keys at one URL. Greenlets that need a key at the same time share one request."""

    def __init__(self, url: str, clock: Callable[[], float] = monotonic, timeout: float = TIMEOUT) -> None:
        self.url = url
        self._clock = clock
        self._keys: Mapping[tuple[str, str], Key] = {}
        self._fetched_at: float | None = None
        self._requested_at: float | None = None
        self._failure = ""
        self._lock = BoundedSemaphore(1)
        self._http = BoundedClient(1, timeout)
        self._log = ThrottledLog(log, logging.WARNING)

    def find(self, kid: str) -> Key | None:
        """Return the key with this ID (`kid`); None if the set does not have it.

        Waits for a request if the set is old or does not have the key, also for one that is already running if it does
        not have the key. Raises KeysUnavailable if the key is unknown because the last request has failed. Keys that
        were fetched before stay valid in the meantime.
        """
        if self._must_fetch(kid) or ((self.url, kid) not in self._keys and self._lock.locked()):
            with self._lock:
                if self._must_fetch(kid):  # another greenlet may have asked in the meantime
                    self._fetch()
        key = self._keys.get((self.url, kid))
        if key is None and self._failure:
            raise KeysUnavailable(self._failure)
        return key

    def _must_fetch(self, kid: str) -> bool:
        now = self._clock()
        if self._requested_at is not None and now < self._requested_at + MIN_REQUEST_INTERVAL:
            return False
        is_old = self._fetched_at is None or now >= self._fetched_at + LIFETIME
        return is_old or (self.url, kid) not in self._keys

    def _fetch(self) -> None:
        self._requested_at = self._clock()
        try:
            self._keys = self._request_keys()
        except (RequestFailed, ValueError) as error:
            self._failure = str(error)
            self._log.log(kind_of(self._failure), "token_jwks_public_endpoint: cannot fetch keys: %s", self._failure)
        else:
            self._failure = ""
            self._fetched_at = self._clock()

    def _request_keys(self) -> Mapping[tuple[str, str], Key]:
        """Fetch the keys. Raises RequestFailed if the request fails, and ValueError for an unusable response."""
        response = self._http.request("GET", self.url)
        if response.status != 200:
            raise ValueError(f"response has status {response.status}")
        return self._parse(response.body())

    def _parse(self, content: bytes) -> Mapping[tuple[str, str], Key]:
        try:
            jwks = _set.decode(content).keys
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"response is not a JSON Web Key Set: {error}") from None
        keys = {(self.url, jwk["kid"]): key_of_jwk(jwk) for jwk in jwks[:MAX_KEYS] if isinstance(jwk.get("kid"), str)}
        return {name: key for name, key in keys.items() if key is not None}
