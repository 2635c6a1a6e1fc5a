"""The API of v1 (docs/api.md): arrays of commands with a signature."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import httpx
import msgspec

from .command import Command
from .errors import APIError
from .wire import JSON_TYPE, Request, child, convert, json_of, require_text, unexpected_response, without_credentials

T = TypeVar("T")


class Reply(msgspec.Struct):
    """The reply to one command."""

    error: str | None = None
    body: dict[str, Any] | None = None


class SignedAPI:
    """Builds requests to the API of v1 at an address, and decodes their results."""

    def __init__(self, address: httpx.URL, secret: str) -> None:
        require_text("secret", secret)
        if not secret:
            raise ValueError("secret is empty")
        self._url = child(address, "")
        self._secret = secret.encode()

    def request(self, command: Command[Any]) -> Request:
        """Build the request for one command."""
        return self.batch_request([command])

    def result(self, command: Command[T], response: httpx.Response) -> T:
        """Decode the result of one command. Raises APIError, or StatusError for a response that is not from the API."""
        (outcome,) = self.batch_results([command], response)
        if isinstance(outcome, APIError):
            raise outcome
        return outcome

    def batch_request(self, commands: Sequence[Command[Any]]) -> Request:
        """Build the request for several commands, with a signature over its body."""
        body = msgspec.json.encode([{"method": command.method, "params": command.params} for command in commands])
        headers = {**JSON_TYPE, b"X-API-Sign": hmac.digest(self._secret, body, "sha256").hex().encode()}
        return Request(self._url, headers, body, all(command.is_repeatable for command in commands))

    def batch_results(self, commands: Sequence[Command[T]], response: httpx.Response) -> list[T | APIError]:
        """Decode the result or error of each command. Raises StatusError for a response that is not from the API."""
        replies = convert(response, json_of(response), list[Reply])
        if len(replies) != len(commands):
            raise unexpected_response(response)
        return [_outcome(command, reply, response) for command, reply in zip(commands, replies, strict=True)]


def _outcome(command: Command[T], reply: Reply, response: httpx.Response) -> T | APIError:
    if reply.error:
        return APIError(without_credentials(response.request.url), command.method, 0, reply.error)
    if command.result is None:
        return cast(T, None)
    return convert(response, (reply.body or {}).get("data"), command.result)
