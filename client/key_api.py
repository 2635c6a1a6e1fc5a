"""The API with an API key (docs/api-v4.md): one path for each method, and batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast
from uuid import uuid4

import httpx
import msgspec

from .command import Command, Repeat
from .errors import APIError
from .results import Error
from .wire import JSON_TYPE, Request, child, convert, header_value, json_of, unexpected_response, without_credentials

T = TypeVar("T")


class KeyAPI:
    """Builds requests to the API at an address, and decodes results. `adds_keys` adds idempotency keys to publishes."""

    def __init__(self, address: httpx.URL, key: str, *, adds_keys: bool) -> None:
        self._address = address
        self._headers = {**JSON_TYPE, b"X-API-Key": header_value("api_key", key)}
        self._adds_keys = adds_keys

    def request(self, command: Command[Any]) -> Request:
        """Build the request for one command."""
        command = self._with_key(command)
        return self._request(command.method, command.params, command.is_repeatable)

    def result(self, command: Command[T], response: httpx.Response) -> T:
        """Decode the result of one command. Raises APIError, or StatusError for a response that is not from the API."""
        return _outcome(command, "result", json_of(response), response)

    def batch_request(self, commands: Sequence[Command[Any]], parallel: bool) -> Request:
        """Build the request for several commands, which the server may carry out in parallel if `parallel` is true."""
        commands = [self._with_key(command) for command in commands]
        params: dict[str, Any] = {"commands": [{command.method: command.params} for command in commands]}
        if parallel:
            params["parallel"] = True
        return self._request("batch", params, all(command.is_repeatable for command in commands))

    def batch_results(self, commands: Sequence[Command[T]], response: httpx.Response) -> list[T | APIError]:
        """Decode the result or error of each command. Raises StatusError for a response that is not from the API."""
        replies = convert(response, json_of(response), dict[str, list[Any]]).get("replies", [])
        if len(replies) != len(commands):
            raise unexpected_response(response)
        results: list[T | APIError] = []
        for command, reply in zip(commands, replies, strict=True):
            try:
                results.append(_outcome(command, command.method, reply, response))
            except APIError as error:
                results.append(error)
        return results

    def _request(self, method: str, params: Mapping[str, Any], is_repeatable: bool) -> Request:
        return Request(child(self._address, method), self._headers, msgspec.json.encode(params), is_repeatable)

    def _with_key(self, command: Command[T]) -> Command[T]:
        """Add an idempotency key to a command that can have one and has none."""
        if not self._adds_keys or command.repeat is not Repeat.WITH_KEY or "idempotency_key" in command.params:
            return command
        return replace(command, params={**command.params, "idempotency_key": uuid4().hex})


def _outcome(command: Command[T], name: str, reply: Any, response: httpx.Response) -> T:
    """Return the result in the field `name` of a reply. Raises APIError if the reply contains an error."""
    if isinstance(reply, dict) and "error" in reply:
        error = convert(response, reply["error"], Error)
        raise APIError(without_credentials(response.request.url), command.method, error.code, error.message)
    result = convert(response, reply, dict[str, Any]).get(name)
    if command.result is None:
        return cast(T, None)
    return convert(response, result, command.result)
