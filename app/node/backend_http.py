"""HTTP requests of the server to a backend, with a timeout, a limit of size, and optional retries."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

import gevent
from urllib3.util import parse_url

from ..config.config import Config
from ..config.options import CHECKED_FORWARDING, split_list
from ..http.opening_request import Opening
from ..http.outgoing import BoundedClient, BoundedResponse, RequestFailed, ResponseTimeout, ResponseTooLarge
from ..runtime.backoff import Backoff
from .hooks import Undelivered

CONNECTIONS = 100
"""Maximum number of idle connections to the backend; under load there may be more."""
INITIAL_DELAY = 0.1
"""Seconds between the first and the second attempt; doubled for each further attempt."""
RETRIED_STATUSES = (500, 502, 503, 504)


class BackendHTTP:
    """Posts JSON to one URL. Each attempt takes `timeout` seconds at most, and there are at most `tries` attempts.

    A `timeout` of 0 means the one of option hook_timeout. User and password of the URL are sent in the header
    Authorization. `address` is the URL as the log shows it: without these and without a query, which may be secret.
    """

    def __init__(self, url: str, config: Config, tries: int, timeout: float = 0) -> None:
        parts = parse_url(url)
        self._url = parts._replace(auth=None).url
        self.address = parts._replace(auth=None, query=None, fragment=None).url
        self._credentials = {"authorization": _basic(parts.auth)} if parts.auth else {}
        self._passed_on = [name.lower() for name in split_list(config.hook_headers)]
        self._timeout = timeout or config.hook_timeout
        self._timeout_option = "proxy_…_timeout" if timeout else "hook_timeout"
        self._tries = tries
        self._http = BoundedClient(CONNECTIONS, self._timeout)

    def limit(self) -> float:
        """Return the maximum total seconds of all attempts."""
        return self._tries * self._timeout + sum(self._pauses())

    def post(self, body: bytes, opening: Opening | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Return status and body of the first final response, or of the last attempt. May block.

        Sends the headers of the client's request `opening` that are forwarded, and `headers`. Raises Undelivered after
        a timeout, and for a response body that is too large.
        """
        passed = {**self._passed_headers(opening), **self._credentials}
        sent = {**passed, "Content-Type": "application/json", **headers}
        response = self._send_with_retries(body, sent)
        try:
            return response.status, response.body()
        except ResponseTooLarge as error:
            raise Undelivered(str(error)) from None

    def _send_with_retries(self, body: bytes, headers: Mapping[str, str]) -> BoundedResponse:
        for pause in self._pauses():
            try:
                response = self._try(body, headers)
                if response.status not in RETRIED_STATUSES:
                    return response
            except Undelivered:
                pass  # if the last try fails too, its error is reported
            gevent.sleep(pause)
        return self._try(body, headers)

    def _pauses(self) -> Iterator[float]:
        """Yield the delay in seconds after each attempt except the last one."""
        backoff = Backoff(INITIAL_DELAY, math.inf)
        return (backoff.next_delay() for _ in range(self._tries - 1))

    def _try(self, body: bytes, headers: Mapping[str, str]) -> BoundedResponse:
        """Send one request and return the response. Raises Undelivered."""
        try:
            return self._http.request("POST", self._url, body, headers)
        except ResponseTimeout as error:
            raise Undelivered(f"timeout: {error} (option {self._timeout_option})") from None
        except RequestFailed as error:
            raise Undelivered(f"request failed: {error}") from None

    def _passed_headers(self, opening: Opening | None) -> dict[str, str]:
        """Return the headers of the client's request that are forwarded.

        A client can send X-Forwarded-For and X-Real-IP itself. The values that are forwarded under these names are the
        address that proxies in option trusted_proxies have reported.
        """
        headers = {}
        if opening is not None:
            for name in self._passed_on:
                value = opening.address if name in CHECKED_FORWARDING else opening.headers.get(name)
                if value and name in opening.headers:
                    headers[name] = value
        return headers


def _basic(userinfo: str) -> str:
    """Return the header Authorization for user and password of a URL (RFC 7617)."""
    return f"Basic {b64encode(unquote(userinfo).encode()).decode()}"
