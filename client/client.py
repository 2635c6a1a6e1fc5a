"""The client for programs without asyncio: with gevent, with several threads, or with one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Self, TypeVar

import httpx

from . import commands, commands_v1
from .batches import checked_commands
from .binding import blocking
from .command import Command, Origin
from .errors import APIError, ClientError
from .retries import delay_before_retry, transport_error
from .settings import RETRIES, TIMEOUT, Settings, require_http_client, require_open
from .wire import Request, check_status

T = TypeVar("T")


class Client:
    """Calls the HTTP API of the server at `url`: its address without `/api`, but with its `http_prefix` if it has one.

    The methods use the API with `api_key`; those of the attribute `v1` use the API of v1 with `secret`. A client keeps
    connections open, and may be used by many threads or greenlets; close it at the end, or use it in a `with` block. In
    a process with gevent, `monkey.patch_all()` must run before this module is imported.

    `timeout` is in seconds, and applies to connecting and to each wait for the server. After a temporary failure a
    request is sent again up to `retries` times. A request that the server may have carried out is sent again only if
    carrying it out twice has the same effect as once. `http` is your own `httpx.Client`, for example with a proxy or
    another certificate; its own timeout applies, and `close` does not close it.

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
        http: httpx.Client | None = None,
    ) -> None:
        self._settings = Settings(url, api_key, secret, timeout, retries)
        if http is not None:
            require_http_client(http, httpx.Client)
        self._http = httpx.Client(timeout=timeout) if http is None else http
        self._closes_http = http is None
        self.v1 = ClientV1(self._settings, self._send)
        """The commands of the API of v1."""

    publish = blocking(commands.publish)
    broadcast = blocking(commands.broadcast)
    subscribe = blocking(commands.subscribe)
    unsubscribe = blocking(commands.unsubscribe)
    disconnect = blocking(commands.disconnect)
    refresh = blocking(commands.refresh)
    presence = blocking(commands.presence)
    presence_stats = blocking(commands.presence_stats)
    history = blocking(commands.history)
    history_remove = blocking(commands.history_remove)
    channels = blocking(commands.channels)
    info = blocking(commands.info)

    def batch(self, commands: Iterable[Command[T]], *, parallel: bool = False) -> list[T | APIError]:
        """Carry out several commands of `gentrifugo.client.commands` with one request.

        Returns a result or an APIError for each command, in their order. With `parallel` the server carries the
        commands out in parallel; publications in one channel stay in order.
        """
        api = self._settings.key_api
        checked = checked_commands(commands, Origin.KEY)
        return api.batch_results(checked, self._send(api.batch_request(checked, parallel))) if checked else []

    def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        if self._closes_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._settings.address}>"

    def _call(self, command: Command[T]) -> T:
        api = self._settings.key_api
        return api.result(command, self._send(api.request(command)))

    def _send(self, request: Request) -> httpx.Response:
        """Send a request, with retries, and return the response with status 200. Raises ClientError."""
        attempt = 0
        while True:
            try:
                return self._send_once(request)
            except ClientError as error:
                delay = delay_before_retry(error, request, attempt, self._settings.retries)
                if delay is None:
                    raise
            time.sleep(delay)
            attempt += 1

    def _send_once(self, request: Request) -> httpx.Response:
        require_open(self._http)
        try:
            response = self._http.post(request.url, content=request.body, headers=request.headers)
        except httpx.RequestError as error:
            raise transport_error(request, error) from error
        check_status(response)
        return response


class ClientV1:
    """The commands of the API of v1, over the connections of a `Client`. They raise the same exceptions."""

    def __init__(self, settings: Settings, send: Callable[[Request], httpx.Response]) -> None:
        self._settings = settings
        self._send = send

    publish = blocking(commands_v1.publish)
    broadcast = blocking(commands_v1.broadcast)
    unsubscribe = blocking(commands_v1.unsubscribe)
    disconnect = blocking(commands_v1.disconnect)
    presence = blocking(commands_v1.presence)
    history = blocking(commands_v1.history)
    channels = blocking(commands_v1.channels)
    stats = blocking(commands_v1.stats)
    node = blocking(commands_v1.node)

    def batch(self, commands: Iterable[Command[T]]) -> list[T | APIError]:
        """Carry out several commands of `gentrifugo.client.commands_v1` with one request, in order.

        Returns a result or an APIError for each command.
        """
        api = self._settings.signed_api
        checked = checked_commands(commands, Origin.V1)
        return api.batch_results(checked, self._send(api.batch_request(checked))) if checked else []

    def _call(self, command: Command[T]) -> T:
        api = self._settings.signed_api
        return api.result(command, self._send(api.request(command)))
