"""The hooks that ask a backend over HTTP with the requests and responses of Centrifugo's proxy (docs/rpc.md)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from ..config.config import Config
from ..http.opening_request import Opening
from ..model.json_codec import InvalidJSON, decode, decode_value, is_json
from .backend_http import BackendHTTP
from .hooks import DISCONNECT, OCCUPIED, PUBLISH, RPC, VACATED, Context, DisconnectClient, RPCError, Undelivered

WEBSOCKET = "/connection/websocket"


class AnswerError(msgspec.Struct):
    """What the client gets instead of a result."""

    code: int = 0
    message: str = ""
    temporary: bool = False


class AnswerDisconnect(msgspec.Struct):
    """Closes the connection of the client."""

    code: int = 0
    reason: str = ""


class Answer(msgspec.Struct):
    """The body of a response: one of these."""

    result: Raw = Raw()
    error: AnswerError | None = None
    disconnect: AnswerDisconnect | None = None


class RPCResult(msgspec.Struct):
    """What a method returns: JSON, or any bytes in Base64."""

    data: Raw = Raw()
    b64data: str = ""


_answer = msgspec.json.Decoder(Answer)
_rpc_result = msgspec.json.Decoder(RPCResult)


class PublishResult(msgspec.Struct):
    """What is published instead of the data of the client; JSON, or the same in Base64."""

    data: Raw = Raw()
    b64data: str = ""
    skip_history: bool = False


_publish_result = msgspec.json.Decoder(PublishResult)


class Proxy(ABC):
    """A hook that asks the backend at `url`."""

    def __init__(self, url: str, config: Config, tries: int = 1) -> None:
        self._backend = BackendHTTP(url, config, tries)

    def __str__(self) -> str:
        return self._backend.url

    def limit(self) -> float:
        """The most seconds that all requests for one event take."""
        return self._backend.limit()

    @abstractmethod
    def __call__(self, context: Context) -> object:
        """Ask the backend. Raises RPCError, DisconnectClient and Undelivered."""


class RPCProxy(Proxy):
    """Answers calls of clients with the result of the backend. A call is sent once, and never repeated."""

    def __call__(self, context: Context) -> Raw | None:
        """The result, or None when there is no data in it.

        Raises RPCError and DisconnectClient when the backend answers with them, and Undelivered without a valid
        response.
        """
        request = {**_connection(context), "method": context.method, **_data(bytes(context.data))}
        return _rpc_data(_asked(self._backend, request, context.opening), context)


class PublishProxy(Proxy):
    """Lets the backend decide about a publication of a client."""

    def __call__(self, context: Context) -> None:
        """Set the data that the backend wants to be published. Raises as `RPCProxy`."""
        request = {**_connection(context), "channel": context.channel, "data": context.data}
        content = _asked(self._backend, request, context.opening)
        try:
            result = decode(_publish_result, content)
            data = b64decode(result.b64data, validate=True) if result.b64data else bytes(result.data)
            if data:
                context.data = decode_value(data)
        except (InvalidJSON, Base64Error) as error:
            raise Undelivered(f"the result cannot be used: {error}") from None
        if result.skip_history:
            raise Undelivered("the result has skip_history, which is not possible for publications of clients")


class DisconnectProxy(Proxy):
    """Tells the backend that the connection of a client has ended."""

    def __call__(self, context: Context) -> None:
        """Raises Undelivered when the backend cannot be told."""
        _notify(self._backend, {**_connection(context), "reason": context.reason}, context.opening)


class ChannelStateProxy(Proxy):
    """Tells the backend that a channel is occupied or vacated."""

    def __call__(self, context: Context) -> None:
        """Raises Undelivered when the backend cannot be told."""
        kind = "occupied" if context.event == OCCUPIED else "vacated"
        event = {"time_ms": int(time.time() * 1000), "type": kind, "channel": context.channel}
        _notify(self._backend, {"events": [event]}, None)


def proxies(config: Config) -> Iterator[tuple[str, Proxy]]:
    """The events that backends are asked about, and what asks.

    An event that has happened is sent up to hook_tries times.
    """
    tries = config.hook_tries
    if url := config.proxy_rpc_endpoint:
        yield RPC, RPCProxy(url, config)
    if url := config.proxy_publish_endpoint:
        yield PUBLISH, PublishProxy(url, config)
    if url := config.proxy_disconnect_endpoint:
        yield DISCONNECT, DisconnectProxy(url, config, tries)
    if url := config.proxy_channel_state_endpoint:
        channel_state = ChannelStateProxy(url, config, tries)
        yield OCCUPIED, channel_state
        yield VACATED, channel_state


def _notify(backend: BackendHTTP, request: dict[str, Any], opening: Opening | None) -> None:
    """Send an event that has happened. Raises Undelivered, also when the backend answers with an error."""
    try:
        _asked(backend, request, opening)
    except (RPCError, DisconnectClient) as error:
        raise Undelivered(f"the backend answered an event that has happened with {error}") from None


def _asked(backend: BackendHTTP, request: dict[str, Any], opening: Opening | None) -> bytes:
    """The result in the answer of a backend, as JSON. Raises RPCError, DisconnectClient and Undelivered."""
    body = msgspec.json.encode({name: value for name, value in request.items() if value != ""})
    status, content = backend.post(body, opening, {})
    if content.lstrip()[:1] == b"<":
        raise Undelivered(f"the backend answered with status {status} and an HTML page, not with JSON")
    if status != 200:
        raise Undelivered(f"the backend answered with status {status}")
    try:
        answer = decode(_answer, content)
        if answer.error is not None:
            raise RPCError(answer.error.code, answer.error.message, answer.error.temporary)
        if answer.disconnect is not None:
            raise DisconnectClient(answer.disconnect.code, answer.disconnect.reason)
    except ValueError as error:  # not JSON, or a code that must not be sent
        raise Undelivered(f"the answer cannot be used: {error}") from None
    result = bytes(answer.result)
    return b"{}" if result in (b"", b"null") else result


def _connection(context: Context) -> dict[str, Any]:
    """The fields of every request."""
    return {
        "client": context.client,
        "transport": _transport(context.opening),
        "protocol": context.protocol,
        "encoding": "json" if context.protocol == "json" else "binary",
        "user": context.user,
    }


def _transport(opening: Opening | None) -> str:
    path = "" if opening is None else opening.target.partition("?")[0]
    return "websocket" if opening is None or path.endswith(WEBSOCKET) else "sockjs"


def _data(data: bytes) -> dict[str, Any]:
    """A payload of a client as a field of a request; none without a payload."""
    if not data:
        return {}
    return {"data": Raw(data)} if is_json(data) else {"b64data": b64encode(data).decode()}


def _rpc_data(content: bytes, context: Context) -> Raw | None:
    """Raises Undelivered for a result that is not valid, or that the client has no way to receive."""
    try:
        result = decode(_rpc_result, content)
        if not result.b64data:
            return result.data or None
        data = b64decode(result.b64data, validate=True)
    except (InvalidJSON, Base64Error) as error:
        raise Undelivered(f"the result cannot be used: {error}") from None
    if context.protocol == "json" and not is_json(data):
        raise Undelivered("the result is not JSON, and the client uses JSON")
    return Raw(data)
