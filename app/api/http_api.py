"""The methods over HTTP: checks the API key of a request, and converts errors to a reply or an HTTP status."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import parse_qs

from ..config.endpoints import API_PATH
from ..http.client_address import ClientOf, unknown_client
from ..http.head import HTTPError
from ..http.response import JSON_HEADERS, HTTPResponse, error_response, json_response
from ..model.json_codec import InvalidJSON
from ..node.breakdowns import SEVERAL, UNKNOWN_METHOD, APIMethod
from ..node.node import Node
from ..protocol.v2.errors import CodedError
from ..runtime.log_throttle import ThrottledLog
from .calls import MethodCalls, Reply
from .methods import METHODS, METHODS_PROTOCOL, NAMES
from .openapi import document
from .replies import encode_error

log = logging.getLogger(__name__)

OPENAPI = "openapi.json"
"""The last part of the path of the OpenAPI document, in the place of a method's name."""
ERROR_MODE = "x-centrifugo-error-mode"
STATUSES = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}
"""The HTTP status of each error code, for requests with the error mode `transport`."""
_APIKEY = "apikey "
_SCHEMES = (_APIKEY, "bearer ")
MISSING_KEY = "missing API key (header X-API-Key)"
OTHER_SCHEME = "no API key in Authorization: send it as X-API-Key: KEY, or as Authorization: apikey KEY"
"""The error for a request whose header Authorization has another form, such as `Bearer KEY`."""
INVALID_KEY = "invalid API key"
SCHEME_BEFORE_KEY = f"{INVALID_KEY}: X-API-Key takes the key alone, without apikey or Bearer before it"
"""The error for a request with an invalid key whose header X-API-Key has the form of the header Authorization."""


class MethodAPI:
    """Accepts requests to /api/NAME; `calls` carries out the methods on `node`."""

    def __init__(self, node: Node, calls: MethodCalls) -> None:
        self._node = node
        self._calls = calls
        self._log = ThrottledLog(log, logging.WARNING)

    def authorize(
        self, method: str, headers: Mapping[str, str], query: str, client: ClientOf = unknown_client
    ) -> AuthorizedRequest:
        """Check the API key of a request, before its body is read. Raises HTTPError if it is missing or invalid.

        Header names are in lower case. `query` is the query of the target, without the question mark. An empty `method`
        means a request with one command per line (command_list.py). An unknown method also raises HTTPError. `client`
        returns the address that is logged then.
        """
        check = partial(self._check, method, headers, query, client)
        check()
        call = self._calls.by_name[method] if method else self._calls.process_lines
        return AuthorizedRequest(self._node, method or SEVERAL, call, check, headers.get(ERROR_MODE) == "transport")

    def _check(self, method: str, headers: Mapping[str, str], query: str, client: ClientOf) -> None:
        """Raise HTTPError for an unknown method, and for a missing or invalid API key. Errors are counted."""
        try:
            self._check_key(method, headers, query, client)
        except HTTPError as error:
            name = (method if method in NAMES else UNKNOWN_METHOD) if method else SEVERAL
            self._node.metrics.breakdowns.note_api_error(METHODS_PROTOCOL, name, f"HTTP {error.status}")
            raise

    def _check_key(self, method: str, headers: Mapping[str, str], query: str, client: ClientOf) -> None:
        if method and method not in NAMES:
            raise HTTPError(404, f"unknown method {method[:100]!r}; the methods are {_NAMES}")
        config = self._node.config
        if config.insecure_api:
            return
        if not config.api_key:
            self._note(method, client(headers), "option api_key is not set")
            raise HTTPError(401, "the server has no API key: set its option api_key")
        key = given_key(headers, query)
        if not hmac.compare_digest(key, config.api_key.encode()):
            why = _reason(key, headers)
            # Libraries for backends show only the status.
            self._note(method, client(headers), why)
            raise HTTPError(401, why)

    def _note(self, method: str, address: str, why: str) -> None:
        path = f"{self._node.config.http_prefix}{API_PATH}{method}"
        self._log.log(why, "refused a request to %s from %s: %s", path, address, why)

    def openapi(self, script_root: str) -> HTTPResponse:
        """Return the OpenAPI document. It requires no key, because it contains no data of this server.

        `script_root` is the path before the prefix of the server, if the server is mounted in another application.
        """
        return json_response(document(f"{script_root}{self._node.config.http_prefix}{API_PATH}".removesuffix("/")))


class AuthorizedRequest:
    """A request with a valid API key. It may be answered for several bodies.

    `check` raises HTTPError if the key is invalid. It is called after a reload of the configuration, because a body may
    arrive long after its head, when the key has been replaced.
    """

    __slots__ = ("_call", "_check", "_config", "_kind", "_metrics", "_node", "_uses_statuses")

    def __init__(
        self,
        node: Node,
        name: str,
        call: Callable[[bytes], Reply],
        check: Callable[[], None],
        uses_statuses: bool,
    ) -> None:
        self._node = node
        self._config = node.config
        self._check = check
        self._metrics = node.metrics
        self._kind = APIMethod(METHODS_PROTOCOL, name)
        self._call = call
        self._uses_statuses = uses_statuses

    def answer(self, body: bytes) -> HTTPResponse:
        """Carry out the method with the parameters in `body`. Errors become responses."""
        started = time.perf_counter()
        metrics = self._metrics
        metrics.counters.http_api_num_requests += 1
        try:
            if self._node.config is not self._config:
                self._check()
                self._config = self._node.config
            reply = self._call(body)
            response = json_response(reply) if isinstance(reply, bytes) else self._error(reply)
            metrics.breakdowns.api_requests[self._kind].observe(time.perf_counter() - started)
        except InvalidJSON as error:
            metrics.breakdowns.note_api_error(METHODS_PROTOCOL, self._kind.name, "HTTP 400")
            reason = f"invalid request body: {error}" if body else "empty request body"
            response = error_response(HTTPError(400, reason))
        except HTTPError as error:
            response = error_response(error)
        metrics.http_api.record(time.perf_counter() - started)
        return response

    def _error(self, error: CodedError) -> HTTPResponse:
        if self._uses_statuses:
            return HTTPResponse(STATUSES.get(error.code, 500), JSON_HEADERS, encode_error(error))
        return json_response(b'{"error":%b}' % encode_error(error))


_NAMES = ", ".join(method.name for method in METHODS)


def has_key(headers: Mapping[str, str]) -> bool:
    """Return whether the headers of a request have an API key. Header names are in lower case."""
    return "x-api-key" in headers or headers.get("authorization", "")[: len(_APIKEY)].lower() == _APIKEY


def _reason(key: bytes, headers: Mapping[str, str]) -> str:
    """Return why a request is refused whose key is not the right one, according to the form of its headers."""
    if not key:
        return OTHER_SCHEME if headers.get("authorization") else MISSING_KEY
    return SCHEME_BEFORE_KEY if headers.get("x-api-key", "").lower().startswith(_SCHEMES) else INVALID_KEY


def given_key(headers: Mapping[str, str], query: str) -> bytes:
    """Return the key in X-API-Key, in `Authorization: apikey KEY`, or in the parameter api_key; empty without one."""
    key = headers.get("x-api-key", "")
    if not key:
        authorization = headers.get("authorization", "")
        if authorization[: len(_APIKEY)].lower() == _APIKEY:
            key = authorization[len(_APIKEY) :].strip()
    if key:
        return key.encode("latin-1", "replace")  # the bytes that the peer has sent
    if "api_key" in query:
        return parse_qs(query).get("api_key", [""])[0].encode("utf-8", "replace")
    return b""
