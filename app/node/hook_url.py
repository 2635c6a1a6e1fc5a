"""The hook that asks and tells a backend in any language, over HTTP (docs/hooks.md)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import gevent
import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from ..config.config import Config
from ..config.options import listed
from ..model import signing
from .hooks import Context, Refuse, Undelivered

SIGN = "X-Hook-Sign"
CONNECTIONS = 100
"""Connections to the backend that are kept; at busy times there are more."""
PAUSE = 0.1
"""Seconds before the second try, doubled for each further one."""
LONGEST_ANSWER = 1 << 20
"""Bytes."""
WORTH_ANOTHER_TRY = (500, 502, 503, 504)
FORBIDDEN = 403


class Answer(msgspec.Struct):
    """What a backend says; anything it leaves out stays as it is."""

    refuse: str | bool = False
    user: str | int | msgspec.UnsetType | None = msgspec.UNSET
    info: Any = msgspec.UNSET
    data: Any = msgspec.UNSET


_decoder = msgspec.json.Decoder(Answer)


class HookURL:
    """Posts each event to the URL of the option `hook_url`, and does what the answer says."""

    def __init__(self, config: Config) -> None:
        self._url = config.hook_url
        self._secret = config.hook_secret or config.secret
        self._passed_on = [name.lower() for name in listed(config.hook_headers)]
        self._timeout = config.hook_timeout
        self._tries = config.hook_tries
        # A try is bounded as a whole, below: urllib3 counts the time of each read by itself.
        self._http = urllib3.PoolManager(maxsize=CONNECTIONS, timeout=config.hook_timeout)

    def __str__(self) -> str:
        return self._url

    def limit(self) -> float:
        """The most seconds that all tries take."""
        return self._tries * self._timeout + sum(map(_pause_after, range(1, self._tries)))

    def __call__(self, context: Context) -> None:
        """Raises Refuse as the backend says, and Undelivered when it says nothing that can be used."""
        body = _body(context)
        headers = self._headers(context)
        headers[SIGN] = signing.sign(self._secret, body)
        _heed(context, *self._asked(body, headers))

    def _asked(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the first answer that is worth no other try, or of the last. Raises Undelivered."""
        for number in range(1, self._tries):
            try:
                status, said = self._try(body, headers)
                if status not in WORTH_ANOTHER_TRY:
                    return status, said
            except Undelivered:
                pass  # the last one says what is wrong
            gevent.sleep(_pause_after(number))
        return self._try(body, headers)

    def _try(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """One request and its answer, within `hook_timeout`. Raises Undelivered."""
        timeout = gevent.Timeout(self._timeout)
        try:
            with timeout:
                return self._post(body, headers)
        except HTTPError as error:
            raise Undelivered(f"no answer: {error}") from None
        except gevent.Timeout as error:
            if error is not timeout:
                raise
            raise Undelivered(f"no answer within {self._timeout:g} s (option hook_timeout)") from None

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        response = self._http.request(
            "POST", self._url, body=body, headers=headers, preload_content=False, redirect=False, retries=False
        )
        said = response.read(LONGEST_ANSWER + 1)
        if len(said) > LONGEST_ANSWER:
            response.close()  # what is left of it must not be read as the next answer
        else:
            response.release_conn()
        return response.status, said

    def _headers(self, context: Context) -> dict[str, str]:
        given = context.opening.headers if context.opening is not None else {}
        headers = {name: given[name] for name in self._passed_on if name in given}
        return {**headers, "Content-Type": "application/json"}


def _pause_after(number: int) -> float:
    """Seconds between the try of this number, from 1, and the next."""
    return float(PAUSE * 2 ** (number - 1))


def _body(context: Context) -> bytes:
    """The event as JSON, with what applies to it."""
    told = {
        "event": context.event,
        "time": int(time.time()),
        "user": context.user,
        "client": context.client,
        "channel": context.channel,
        "data": context.data,
        "info": context.info,
        "reason": context.reason,
        "address": context.opening.address if context.opening is not None else "",
    }
    return msgspec.json.encode({name: value for name, value in told.items() if value not in (None, "")})


def _heed(context: Context, status: int, said: bytes) -> None:
    """Do as the answer says. Raises Refuse and Undelivered."""
    if len(said) > LONGEST_ANSWER:
        raise Undelivered(f"the answer is longer than {LONGEST_ANSWER} bytes")
    if status == FORBIDDEN:
        raise Refuse
    if status not in (200, 204):
        raise Undelivered(f"answered with status {status}")
    try:
        answer = _decoder.decode(said) if said.strip() else Answer()
    except msgspec.DecodeError as error:
        raise Undelivered(f"the answer cannot be read: {error}") from None
    if answer.refuse is not False:
        raise Refuse(answer.refuse if isinstance(answer.refuse, str) else "")
    if answer.user is not msgspec.UNSET:
        context.user = answer.user
    if answer.info is not msgspec.UNSET:
        context.info = answer.info
    if answer.data is not msgspec.UNSET:
        context.data = answer.data
