"""Requests of the server to a backend over HTTP: bounded in time and size, and repeated if that is wanted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import gevent
import urllib3
from urllib3.exceptions import HTTPError

from ..config.config import Config
from ..config.options import CHECKED_FORWARDING, listed
from ..http.opening_request import Opening
from ..runtime.backoff import Backoff
from ..runtime.running_clock import TimeLimit
from .hooks import Undelivered

CONNECTIONS = 100
"""Connections to the backend that are kept; at busy times there are more."""
FIRST_PAUSE = 0.1
"""Seconds between the first try and the second; doubled before each further try."""
LONGEST_REPLY = 1 << 20
"""Bytes."""
RETRIED_STATUSES = (500, 502, 503, 504)


class BackendHTTP:
    """Posts JSON to one URL. Each try takes `hook_timeout` at most, and there are `tries` of them."""

    def __init__(self, url: str, config: Config, tries: int) -> None:
        self.url = url
        self._passed_on = [name.lower() for name in listed(config.hook_headers)]
        self._timeout = config.hook_timeout
        self._tries = tries
        # A try is bounded as a whole, below: urllib3 counts the time of each read by itself.
        self._http = urllib3.PoolManager(maxsize=CONNECTIONS, timeout=config.hook_timeout)

    def limit(self) -> float:
        """The most seconds that all tries take."""
        return self._tries * self._timeout + sum(self._pauses())

    def post(self, body: bytes, opening: Opening | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the first response that is not to be retried, or of the last one. May block.

        Sends the headers of the client's request `opening` that are passed on, and `headers`. Raises Undelivered when
        there is no response in time, or a longer one than LONGEST_REPLY.
        """
        sent = {**self._passed_headers(opening), "Content-Type": "application/json", **headers}
        status, content = self._asked(body, sent)
        if len(content) > LONGEST_REPLY:
            raise Undelivered(f"the answer is longer than {LONGEST_REPLY} bytes")
        return status, content

    def _asked(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        for pause in self._pauses():
            try:
                status, content = self._try(body, headers)
                if status not in RETRIED_STATUSES:
                    return status, content
            except Undelivered:
                pass  # if the last try fails too, its error is reported
            gevent.sleep(pause)
        return self._try(body, headers)

    def _pauses(self) -> Iterator[float]:
        """The seconds between each try and the next; the last try has none after it."""
        backoff = Backoff(FIRST_PAUSE, math.inf)
        return (backoff.next_delay() for _ in range(self._tries - 1))

    def _try(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """One request and its answer, within `hook_timeout`. Raises Undelivered."""
        timeout = gevent.Timeout()
        try:
            with TimeLimit(self._timeout, timeout):
                return self._post(body, headers)
        except HTTPError as error:
            raise Undelivered(f"no answer: {error}") from None
        except gevent.Timeout as error:
            if error is not timeout:
                raise
            raise Undelivered(f"no answer within {self._timeout:g} s (option hook_timeout)") from None

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        response = self._http.request(
            "POST", self.url, body=body, headers=headers, preload_content=False, redirect=False, retries=False
        )
        content = response.read(LONGEST_REPLY + 1)
        if len(content) > LONGEST_REPLY:
            response.close()  # what is left of it must not be read as the next answer
        else:
            response.release_conn()
        return response.status, content

    def _passed_headers(self, opening: Opening | None) -> dict[str, str]:
        """Headers of the client's request that are passed on.

        A client can send X-Forwarded-For and X-Real-IP itself. What is passed on under these names is the address that
        the proxies in option trusted_proxies vouch for.
        """
        headers = {}
        if opening is not None:
            for name in self._passed_on:
                value = opening.address if name in CHECKED_FORWARDING else opening.headers.get(name)
                if value and name in opening.headers:
                    headers[name] = value
        return headers
