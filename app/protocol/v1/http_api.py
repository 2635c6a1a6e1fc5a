"""The HTTP API of version 1 (docs/api.md): checks the signature of a request, and converts errors to HTTP statuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from ...config.endpoints import API_PATH
from ...http.client_address import unknown_client
from ...http.head import HTTPError
from ...http.response import HTTPResponse, error_response, json_response
from ...model import signing
from ...node.breakdowns import SEVERAL, UNKNOWN_METHOD, APIMethod
from ...node.node import Node
from ...runtime.log_throttle import ThrottledLog
from .api import API_COMMANDS, V1_PROTOCOL, BadRequest, CommandAPI

log = logging.getLogger(__name__)

NO_SIGN = 'missing signature (X-API-Sign header or form field "sign") or API key (X-API-Key header)'

_Source: TypeAlias = Callable[[], str]
"""Returns the address of the client of a request, for log lines."""
_unknown_source: _Source = partial(unknown_client, {})

_KINDS = {name: APIMethod(V1_PROTOCOL, name) for name in (*API_COMMANDS, SEVERAL)}


class HTTPCommandAPI:
    """Answers requests to the API; `api` carries out the commands on `node`."""

    def __init__(self, node: Node, api: CommandAPI) -> None:
        self._node = node
        self._api = api
        self._log = ThrottledLog(log, logging.WARNING)

    def answer(self, sign: str, body: bytes, source: _Source = _unknown_source) -> HTTPResponse:
        """Check the signature `sign` of the request `body` and carry out its commands. Errors become responses.

        `source` returns the address of the client, which is logged for an invalid signature.
        """
        started = time.perf_counter()
        metrics = self._node.metrics
        metrics.counters.http_api_num_requests += 1
        try:
            self._check(sign, body, source)
            method, reply = self._api.answer(body)
            response = json_response(reply)
            metrics.breakdowns.api_requests[_KINDS[method]].observe(time.perf_counter() - started)
        except BadRequest as error:
            response = self._refuse(HTTPError(400, str(error)))
        except HTTPError as error:
            response = error_response(error)
        metrics.http_api.record(time.perf_counter() - started)
        return response

    def _refuse(self, error: HTTPError) -> HTTPResponse:
        self._note(error)
        return error_response(error)

    def _note(self, error: HTTPError) -> HTTPError:
        self._node.metrics.breakdowns.note_api_error(V1_PROTOCOL, UNKNOWN_METHOD, f"HTTP {error.status}")
        return error

    def _note_unauthorized(self, error: HTTPError, source: _Source) -> HTTPError:
        """Count and log a request without a valid signature: libraries for backends show only the status."""
        path = f"{self._node.config.http_prefix}{API_PATH}"
        self._log.log(error.reason, "refused a request to %s from %s: %s", path, source(), error.reason)
        return self._note(error)

    def require_sign(self, sign: str, advice: str = "", source: _Source = _unknown_source) -> None:
        """Raise HTTPError for a request without a required signature, before its body is read.

        `advice` is what the error says then in addition, and `source` returns the address that is logged.
        """
        config = self._node.config
        if not config.insecure_api:
            if not sign:
                raise self._note_unauthorized(HTTPError(400, f"{NO_SIGN}; {advice}" if advice else NO_SIGN), source)
            if not config.secret:
                why = "cannot check signatures: option secret is not set"
                raise self._note_unauthorized(HTTPError(400, why), source)

    def _check(self, sign: str, body: bytes, source: _Source) -> None:
        config = self._node.config
        self.require_sign(sign, source=source)
        if not body:
            raise self._note(HTTPError(400, "empty request body"))
        if not config.insecure_api and not signing.matches(signing.api_sign(config.secret, body), sign):
            why = "invalid signature: it does not match the request body and the secret"
            raise self._note_unauthorized(HTTPError(401, why), source)
