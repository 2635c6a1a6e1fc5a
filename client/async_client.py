"""The client for programs with asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Self, TypeVar

import httpx

from . import commands, commands_v1
from .batches import checked_commands
from .binding import awaiting
from .command import Command, Origin
from .errors import APIError, ClientError
from .retries import delay_before_retry, transport_error
from .settings import RETRIES, TIMEOUT, Settings, require_http_client, require_open
from .wire import Request, check_status

T = TypeVar("T")


class AsyncClient:
    """Calls the HTTP API of the server at `url`: its address without `/api`, but with its `http_prefix` if it has one.

    The methods use the API with `api_key`; those of the attribute `v1` use the API of v1 with `secret`. All methods are
    coroutines. A client keeps connections open, and may be used by many tasks of one event loop; close it at the end,
    or use it in an `async with` block.

    `timeout` is in seconds, and applies to connecting and to each wait for the server. After a temporary failure a
    request is sent again up to `retries` times. A request that the server may have carried out is sent again only if
    carrying it out twice has the same effect as once. `http` is your own `httpx.AsyncClient`, for example with a proxy
    or another certificate; its own timeout applies, and `close` does not close it.

    All methods raise TransportError if there is no reply, StatusError for an HTTP status that is an error, and APIError
    if the server refuses the command. These are subclasses of ClientError, which a closed client raises. Invalid
    arguments raise ValueError.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        secret: str | None = None,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._settings = Settings(url, api_key, secret, timeout, retries)
        if http is not None:
            require_http_client(http, httpx.AsyncClient)
        self._http = httpx.AsyncClient(timeout=timeout) if http is None else http
        self._closes_http = http is None
        self.v1 = AsyncClientV1(self._settings, self._send)
        """The commands of the API of v1."""

    publish = awaiting(commands.publish)
    broadcast = awaiting(commands.broadcast)
    subscribe = awaiting(commands.subscribe)
    unsubscribe = awaiting(commands.unsubscribe)
    disconnect = awaiting(commands.disconnect)
    refresh = awaiting(commands.refresh)
    presence = awaiting(commands.presence)
    presence_stats = awaiting(commands.presence_stats)
    history = awaiting(commands.history)
    history_remove = awaiting(commands.history_remove)
    channels = awaiting(commands.channels)
    info = awaiting(commands.info)

    async def batch(self, commands: Iterable[Command[T]], *, parallel: bool = False) -> list[T | APIError]:
        """Carry out several commands of `gentrifugo.client.commands` with one request.

        Returns the result or the APIError of each, in their order. With `parallel` a command need not wait for those
        before it; publications in one channel stay in order.
        """
        api = self._settings.key_api
        checked = checked_commands(commands, Origin.KEY)
        return api.batch_results(checked, await self._send(api.batch_request(checked, parallel))) if checked else []

    async def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        if self._closes_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._settings.address}>"

    async def _call(self, command: Command[T]) -> T:
        api = self._settings.key_api
        return api.result(command, await self._send(api.request(command)))

    async def _send(self, request: Request) -> httpx.Response:
        """Send a request, with retries, and return the response with status 200. Raises ClientError."""
        attempt = 0
        while True:
            try:
                return await self._send_once(request)
            except ClientError as error:
                delay = delay_before_retry(error, request, attempt, self._settings.retries)
                if delay is None:
                    raise
            await asyncio.sleep(delay)
            attempt += 1

    async def _send_once(self, request: Request) -> httpx.Response:
        require_open(self._http)
        try:
            response = await self._http.post(request.url, content=request.body, headers=request.headers)
        except httpx.RequestError as error:
            raise transport_error(request, error) from error
        check_status(response)
        return response


class AsyncClientV1:
    """The commands of the API of v1, over the connections of a client. Their exceptions are those of `AsyncClient`."""

    def __init__(self, settings: Settings, send: Callable[[Request], Awaitable[httpx.Response]]) -> None:
        self._settings = settings
        self._send = send

    publish = awaiting(commands_v1.publish)
    broadcast = awaiting(commands_v1.broadcast)
    unsubscribe = awaiting(commands_v1.unsubscribe)
    disconnect = awaiting(commands_v1.disconnect)
    presence = awaiting(commands_v1.presence)
    history = awaiting(commands_v1.history)
    channels = awaiting(commands_v1.channels)
    stats = awaiting(commands_v1.stats)
    node = awaiting(commands_v1.node)

    async def batch(self, commands: Iterable[Command[T]]) -> list[T | APIError]:
        """Carry out several commands of `gentrifugo.client.commands_v1` with one request, in order.

        Returns the result or the APIError of each.
        """
        api = self._settings.signed_api
        checked = checked_commands(commands, Origin.V1)
        return api.batch_results(checked, await self._send(api.batch_request(checked))) if checked else []

    async def _call(self, command: Command[T]) -> T:
        api = self._settings.signed_api
        return api.result(command, await self._send(api.request(command)))
