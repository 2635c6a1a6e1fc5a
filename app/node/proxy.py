"""Hooks that send requests to a backend over HTTP in the format of Centrifugo's proxy (docs/proxy.md)."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from ..config.config import Config
from ..http.opening_request import Opening
from ..model.events import user_id
from ..model.subscription_options import OptionFields
from .backend_http import BackendHTTP
from .hooks import DISCONNECT, OCCUPIED, RPC, VACATED, Context, DisconnectClient, RPCError, Undelivered
from .proxy_events import (
    CONNECT_PROXY,
    PUBLISH_PROXY,
    REFRESH_PROXY,
    SUB_REFRESH_PROXY,
    SUBSCRIBE_PROXY,
    AllowedConnection,
    AllowedSubscription,
    ConnectContext,
    Renewal,
)
from .proxy_requests import ask, connection_fields, decode_result, payload_field, payload_of


class Data(msgspec.Struct):
    """A result with a payload for clients: JSON, or any bytes in Base64."""

    data: Raw = Raw()
    b64data: str | None = None


class SubscribeResult(OptionFields):
    """A subscription that the backend allows."""

    expire_at: float | None = None


class ConnectResult(Data):
    """A connection that the backend allows. Without a user, the user is anonymous."""

    user: str | int | None = None
    info: Raw = Raw()
    b64info: str | None = None
    expire_at: float | None = None
    channels: list[str] | None = None
    subs: dict[str, SubscribeResult | None] | None = None


class RefreshResult(msgspec.Struct):
    """The backend's decision about an expired connection or subscription."""

    expired: bool | None = None
    expire_at: float | None = None
    info: Raw = Raw()
    b64info: str | None = None


class PublishResult(Data):
    """The data to publish instead of the data of the client."""

    skip_history: bool | None = None


_connect_result = msgspec.json.Decoder(ConnectResult)
_subscribe_result = msgspec.json.Decoder(SubscribeResult)
_refresh_result = msgspec.json.Decoder(RefreshResult)
_publish_result = msgspec.json.Decoder(PublishResult)
_rpc_result = msgspec.json.Decoder(Data)


class Proxy(ABC):
    """A hook that sends requests to the backend at `url`. Only notifications are repeated, up to `tries` attempts.

    The timeout of a request is `timeout` seconds, or option hook_timeout if it is 0.
    """

    accepts_any_object = False
    """Whether an object without any field of the proxy is a response without a result, and not an invalid one."""

    def __init__(self, url: str, config: Config, tries: int = 1, timeout: float = 0) -> None:
        self._backend = BackendHTTP(url, config, tries, timeout)

    def __str__(self) -> str:
        return self._backend.address

    def limit(self) -> float:
        """Return the maximum total seconds of all requests for one event."""
        return self._backend.limit()

    @abstractmethod
    def __call__(self, context: Context) -> object:
        """Send the request to the backend. Raises RPCError, DisconnectClient and Undelivered."""

    def _ask(self, context: Context, **fields: Any) -> bytes:
        """Return the result for an event of a client; empty if there is none. Raises the exceptions of `__call__`."""
        request = {**connection_fields(context), **fields}
        return ask(self._backend, request, context.opening, self.accepts_any_object)


class ConnectProxy(Proxy):
    """Lets the backend authenticate clients without a token."""

    def __call__(self, context: Context) -> AllowedConnection | None:
        """Return the connection that the backend allows; None if its response has no result.

        Raises RPCError or DisconnectClient if the backend answers with an error or a disconnect, and Undelivered
        without a valid response.
        """
        assert isinstance(context, ConnectContext)
        content = self._ask(
            context,
            name=context.library,
            version=context.library_version,
            channels=list(context.wanted),
            **payload_field(bytes(context.data or b"")),
        )
        if not content:
            return None
        result = decode_result(_connect_result, content)
        wanted: dict[str, SubscribeResult | None] = {**dict.fromkeys(result.channels or ()), **(result.subs or {})}
        return AllowedConnection(
            "" if result.user is None else user_id(result.user),
            payload_of("info", result.info, result.b64info, context.protocol),
            payload_of("data", result.data, result.b64data, context.protocol),
            result.expire_at or 0,
            _subscriptions(wanted, context.protocol),
        )


class SubscribeProxy(Proxy):
    """Lets the backend decide whether a client may subscribe to a channel."""

    def __call__(self, context: Context) -> AllowedSubscription:
        """Return the subscription that the backend allows. Raises RPCError, DisconnectClient and Undelivered."""
        content = self._ask(context, channel=context.channel, **payload_field(bytes(context.data or b"")))
        return _subscription(decode_result(_subscribe_result, content), context.protocol)


class RefreshProxy(Proxy):
    """Lets the backend decide about expired connections."""

    accepts_any_object = True  # what has no result ends the connection

    def __call__(self, context: Context) -> Renewal:
        """Return the decision of the backend; without a result, the connection has expired.

        Raises RPCError, DisconnectClient and Undelivered.
        """
        return _renewal(self._ask(context), context.protocol)


class SubRefreshProxy(Proxy):
    """Lets the backend decide about expired subscriptions."""

    accepts_any_object = True  # what has no result ends the subscription

    def __call__(self, context: Context) -> Renewal:
        """Return the decision of the backend; without a result, the subscription has expired.

        Raises RPCError, DisconnectClient and Undelivered.
        """
        return _renewal(self._ask(context, channel=context.channel), context.protocol)


class PublishProxy(Proxy):
    """Lets the backend decide about a publication of a client, whose data is bytes."""

    def __call__(self, context: Context) -> bytes:
        """Return the data to publish; empty to publish the data of the client.

        Raises RPCError, DisconnectClient and Undelivered.
        """
        content = self._ask(context, channel=context.channel, **payload_field(context.data))
        result = decode_result(_publish_result, content)
        if result.skip_history:
            raise Undelivered("invalid result: skip_history is not supported for publications of clients")
        return payload_of("data", result.data, result.b64data, context.protocol, keeps_null=True)


class RPCProxy(Proxy):
    """Answers calls of clients with the result of the backend. A call is sent once, and never repeated."""

    def __call__(self, context: Context) -> Raw | None:
        """Return the data of the result; None if it has no data. Raises RPCError, DisconnectClient and Undelivered."""
        content = self._ask(context, method=context.method, **payload_field(bytes(context.data)))
        result = decode_result(_rpc_result, content)
        data = payload_of("data", result.data, result.b64data, context.protocol, keeps_null=True)
        return Raw(data) if data else None


class DisconnectProxy(Proxy):
    """Notifies the backend that the connection of a client has ended."""

    def __call__(self, context: Context) -> None:
        """Send the event. Raises Undelivered if the backend does not accept it."""
        _notify(self._backend, {**connection_fields(context), "reason": context.reason}, context.opening)


class ChannelStateProxy(Proxy):
    """Notifies the backend that a channel is occupied or vacated."""

    def __call__(self, context: Context) -> None:
        """Send the event. Raises Undelivered if the backend does not accept it."""
        kind = "occupied" if context.event == OCCUPIED else "vacated"
        event = {"time_ms": int(time.time() * 1000), "type": kind, "channel": context.channel}
        _notify(self._backend, {"events": [event]}, None)


_DECISIONS: Mapping[str, tuple[str, type[Proxy]]] = {
    "proxy_connect_endpoint": (CONNECT_PROXY, ConnectProxy),
    "proxy_refresh_endpoint": (REFRESH_PROXY, RefreshProxy),
    "proxy_subscribe_endpoint": (SUBSCRIBE_PROXY, SubscribeProxy),
    "proxy_sub_refresh_endpoint": (SUB_REFRESH_PROXY, SubRefreshProxy),
    "proxy_publish_endpoint": (PUBLISH_PROXY, PublishProxy),
    "proxy_rpc_endpoint": (RPC, RPCProxy),
}
"""The event and the hook for each option with the URL of a backend that decides."""


def proxies(config: Config) -> Iterator[tuple[str, Proxy]]:
    """Yield an event and its hook for each option `proxy_…_endpoint` that is set.

    The hook sends a request to the URL in the option: for a decision once, for a notification up to hook_tries times.
    """
    for option, (event, proxy) in _DECISIONS.items():
        if url := getattr(config, option):
            yield event, proxy(url, config, timeout=getattr(config, option.replace("_endpoint", "_timeout")))
    if url := config.proxy_disconnect_endpoint:
        yield DISCONNECT, DisconnectProxy(url, config, config.hook_tries)
    if url := config.proxy_channel_state_endpoint:
        channel_state = ChannelStateProxy(url, config, config.hook_tries)
        yield OCCUPIED, channel_state
        yield VACATED, channel_state


def _notify(backend: BackendHTTP, request: dict[str, Any], opening: Opening | None) -> None:
    """Notify a backend of an event. Raises Undelivered, also if the backend answers with an error."""
    try:
        ask(backend, request, opening, accepts_any_object=True)
    except (RPCError, DisconnectClient) as error:
        raise Undelivered(f"the backend refused an event that cannot be refused: {error}") from None


def _subscription(result: SubscribeResult, protocol: str) -> AllowedSubscription:
    return AllowedSubscription(result.options(partial(payload_of, protocol=protocol)), result.expire_at or 0)


def _subscriptions(results: Mapping[str, SubscribeResult | None], protocol: str) -> dict[str, AllowedSubscription]:
    if "" in results:
        raise Undelivered("invalid result: empty channel name")
    return {name: _subscription(result or SubscribeResult(), protocol) for name, result in results.items()}


def _renewal(content: bytes, protocol: str) -> Renewal:
    if not content:
        return Renewal(is_expired=True)
    result = decode_result(_refresh_result, content)
    info = payload_of("info", result.info, result.b64info, protocol)
    return Renewal(bool(result.expired), result.expire_at or 0, info)
