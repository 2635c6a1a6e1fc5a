"""The connection of a client of protocol version 1: it decodes commands, calls the node, and sends replies.

It knows the node, credentials, subscriptions and the wire format, but not whether its
transport is a WebSocket or SockJS. Specification: docs/protocol.md.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection
from typing import TypeVar

import gevent
import msgspec

from ...http.opening_request import Opening
from ...model.errors import (
    CLOSE_EXPIRED,
    CLOSE_INSUFFICIENT_STATE,
    CLOSE_INTERNAL_ERROR,
    CLOSE_INVALID_MESSAGE,
    CLOSE_INVALID_TOKEN,
    CLOSE_LIMIT_EXCEEDED,
    CLOSE_METHOD_NOT_FOUND,
    CLOSE_PING_ERROR,
    CLOSE_SEND_ERROR,
    CLOSE_SLOW,
    CLOSE_STALE,
    CLOSE_UNAUTHORIZED,
    INTERNAL_ERROR,
    INVALID_MESSAGE,
    PERMISSION_DENIED,
    RETRY,
    Closing,
    Disconnect,
    Refused,
)
from ...model.events import Encoding
from ...model.json_codec import InvalidJSON, decode_embedded
from ...net.transport import Transport
from ...node import hooks
from ...node.hooks import Context
from ...node.node import Node
from ...node.proxy_events import CONNECT_PROXY, ConnectContext
from ...runtime.timers import Timer
from . import decisions, wire
from .credentials import SHOWN_OF_USER, signed_at
from .replies import gather
from .subscriptions import ClosedMeanwhile, Subscriptions

log = logging.getLogger(__name__)

Answered = TypeVar("Answered")


# One object for each kind of transport, so that all its connections share the bytes of a broadcast.
_encodings: dict[Callable[[bytes], bytes], Encoding] = {}


class Client:
    """One connection. `handle` is called with one message at a time; `close` may be called at any time."""

    protocol = "v1"
    library = ""

    __slots__ = (
        "authenticated",
        "closed",
        "default_info",
        "encoding",
        "outbox",
        "uid",
        "user",
        "_expires_at",
        "_node",
        "_opening",
        "_request",
        "_signed_user",
        "_subscriptions",
        "_timer",
        "_transport",
    )

    def __init__(self, node: Node, transport: Transport, opening: Opening | None = None, request: str = "") -> None:
        self.uid = str(uuid.uuid4())
        self.user = ""
        self.authenticated = False
        self.closed = False
        self.default_info = b""
        self.outbox = transport.outbox
        self.encoding = _encodings.setdefault(transport.frame, Encoding(wire.encode_push, transport.frame))
        self._node = node
        self._opening = opening
        self._request = request
        # The user that the token of `connect` named, which a hook may have replaced. None without a token.
        self._signed_user: str | None = None
        self._transport = transport
        self._subscriptions = Subscriptions(node, self)
        self._expires_at = 0.0
        self._timer: Timer | None = None  # until the connect: stale; from then on: expiry
        node.hub.open.add(self)
        delay = node.config.stale_connection_close_delay
        if delay > 0:
            self._timer = node.timers.after(delay, self._close_if_stale)

    # -- in

    def handle(self, message: bytes) -> None:
        """Carry out one request of the client and queue the reply; an invalid request closes the connection."""
        started = time.perf_counter()
        metrics = self._node.metrics
        metrics.counters.client_api_num_requests += 1
        metrics.counters.client_bytes_in += len(message)
        try:
            self._handle(message)
        except ClosedMeanwhile:
            pass
        except Closing as closing:
            log.debug("client %s (user %r): %s", self.uid, self.user, closing, extra=self.ids)
            self.close(closing.disconnect)
        except InvalidJSON as error:
            log.debug("client %s (user %r): invalid message: %s", self.uid, self.user, error, extra=self.ids)
            self.close(CLOSE_INVALID_MESSAGE)
        metrics.client_api.record(time.perf_counter() - started)

    def handle_text(self, message: str) -> None:
        """Handle a message given as text. Half of a surrogate pair, which UTF-8 cannot encode, is escaped."""
        self.handle(message.encode("utf-8", "backslashreplace"))

    def _handle(self, message: bytes) -> None:
        if self.closed:
            return
        if len(message) > self._node.config.client_request_max_size:
            raise Closing(CLOSE_LIMIT_EXCEEDED)
        commands = wire.decode_commands(message)
        if not commands:
            raise Closing(CLOSE_INVALID_MESSAGE)
        replies = gather(commands, self._reply, self._may_go_on)
        if replies is None:
            return
        self._send(wire.encode_array(replies) if message.startswith(b"[") else replies[0])
        for publication in self._subscriptions.release_held():
            self._send(wire.encode_push(publication))

    def _may_go_on(self, gathered: int) -> bool:
        """Whether the client is open. It is closed as slow if these bytes of replies and its outbox are too many."""
        if self.outbox.size + gathered > self._node.config.client_queue_max_size:
            self._close_slow(gathered)
        return not self.closed

    def _reply(self, command: wire.Command) -> bytes:
        method = command.method or ""
        if not self.authenticated and method != "connect":
            raise Closing(CLOSE_UNAUTHORIZED)
        handler = _HANDLERS.get(method)
        if handler is None:
            raise Closing(CLOSE_METHOD_NOT_FOUND)
        return handler(self, command)

    # -- out

    def _send(self, message: bytes) -> None:
        if not self.closed:
            self.outbox.append(self._transport.frame(message))

    def unsubscribe(self, channel: str) -> None:
        """End a subscription at the request of a backend, and notify the client."""
        if not self.closed:
            self._subscriptions.remove(channel)
            self._send(wire.encode_unsubscribe_push(channel))

    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection and release everything; `disconnect` is None if the peer has closed it."""
        if self.closed:
            return
        self.closed = True
        self._node.hub.open.discard(self)
        if disconnect is not None:
            # First of all, so that an unavailable engine does not delay the client's reconnection to another node.
            log.debug("client %s (user %r): closing: %s", self.uid, self.user, disconnect.reason, extra=self.ids)
            self._transport.close(disconnect.code, disconnect.close_reason)
        if self._timer is not None:
            self._timer.cancel()
        self._subscriptions.end()
        if self.authenticated:
            self._node.remove_connection(self)
        if self.authenticated and self._node.hooks.has(hooks.DISCONNECT):
            context = self._context(hooks.DISCONNECT)
            context.reason = "" if disconnect is None else disconnect.reason
            self._node.hooks.notify_later(context)

    def recover_again(self, channel: str) -> None:
        """Close the connection: this version has no message that makes a client recover a single channel."""
        self.close(CLOSE_INSUFFICIENT_STATE)

    def close_later(self, disconnect: Disconnect) -> None:
        """Close in another greenlet, for callers that must not block, such as a broadcast."""
        gevent.spawn(self.close, disconnect)

    # -- failures of the transport, and of the server (websocket.connection.Owner)

    def close_slow(self) -> None:
        """Close a slow client: more data waits to be written than client_queue_max_size."""
        gevent.spawn(self._close_slow)

    def close_silent(self) -> None:
        """Close the connection of a client that has not answered a ping."""
        self._node.metrics.counters.client_num_closed_ping_error += 1
        self.close_later(CLOSE_PING_ERROR)

    def close_failed(self, reason: str) -> None:
        """Close the connection after the transport failed to write."""
        log.debug("client %s (user %r): %s", self.uid, self.user, reason, extra=self.ids)
        self._node.metrics.counters.client_num_closed_send_error += 1
        self.close_later(CLOSE_SEND_ERROR)

    def close_broken(self, error: Exception) -> None:
        """Log an unexpected error, and close with the advice to reconnect."""
        reason = "client %s (user %r): internal error, closing connection"
        log.error(reason, self.uid, self.user, extra=self.ids, exc_info=error)
        self.close(CLOSE_INTERNAL_ERROR)

    def _close_slow(self, gathered: int = 0) -> None:
        if not self.closed:  # otherwise the outbox ends with the reason of the close
            self._node.note_slow(self, gathered)
            self.outbox.drop_waiting()
            self.close(CLOSE_SLOW)

    # -- connect and refresh

    def _connect(self, command: wire.Command) -> bytes:
        self._node.metrics.counters.client_num_connect += 1
        if self.authenticated:
            raise Closing(CLOSE_INVALID_MESSAGE)
        params = wire.decode_params(command, wire.ConnectParams)
        user, info, timestamp = self._identify(params)
        config = self._node.config
        limit = config.user_connection_limit
        if limit > 0 and user and len(self._node.hub.user_connections(user)) >= limit:
            raise Closing(CLOSE_LIMIT_EXCEEDED)
        expires_at = timestamp + config.connection_lifetime
        if config.connection_lifetime > 0 and not config.insecure and expires_at <= time.time():
            return wire.encode_reply(command.uid, "connect", self._connect_body("", expired=True))
        self._authenticate(user, info, expires_at)
        return wire.encode_reply(command.uid, "connect", self._connect_body(self.uid))

    def _identify(self, params: wire.ConnectParams) -> tuple[str, bytes, float]:
        """Return user, info and time of the signature of a client that connects. Raises Closing if invalid."""
        known = self._node.hooks
        user: str | None = params.user or ""
        info, timestamp = wire.embedded_json(params.info or ""), time.time()
        if known.has(hooks.CONNECT, CONNECT_PROXY) and not params.token and not self._node.config.insecure:
            user, info = None, b""  # they are not signed
            if known.has(CONNECT_PROXY):
                asked = ConnectContext(hooks.CONNECT, client=self.uid, opening=self._opening)
                user, info = decisions.who_by_backend(known, asked)
        elif not self._node.config.insecure:
            timestamp = signed_at(self._node.config.secret, params)
            self._signed_user = user
        if known.has(hooks.CONNECT):
            user, info = self._ask_who(hooks.CONNECT, user, info)
        if self.closed:
            raise ClosedMeanwhile
        if user is None:
            raise Closing(CLOSE_INVALID_TOKEN, "the request has no token, and no hook or backend has set a user")
        return user, info, timestamp

    def _ask_who(self, event: str, user: str | None, info: bytes) -> tuple[str | None, bytes]:
        """Return the user and info that the hooks have set; raises Closing if a hook refuses."""
        context = Context(event, user, self.uid, info=decode_embedded(info), opening=self._opening)
        decided = decisions.who_by_hooks(self._node.hooks, context, info)
        if self.closed:
            raise ClosedMeanwhile
        return decided

    def _authenticate(self, user: str, info: bytes, expires_at: float) -> None:
        self.user = user
        self.authenticated = True
        self.default_info = info
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._node.add_connection(self)
        if self._node.config.connection_lifetime > 0 and not self._node.config.insecure:
            self._expire_at(expires_at)

    def _refresh(self, command: wire.Command) -> bytes:
        params = wire.decode_params(command, wire.ConnectParams)
        info, timestamp = wire.embedded_json(params.info or ""), time.time()
        is_hooked = self._node.hooks.has(hooks.REFRESH)
        if is_hooked and not params.token:
            info = self.default_info
        else:
            timestamp = signed_at(self._node.config.secret, params)
            self._check_same_user(params.user or "")
        if is_hooked:
            _, info = self._ask_who(hooks.REFRESH, self.user, info)
        lifetime = self._node.config.connection_lifetime
        expired = False
        if lifetime > 0:
            expired = timestamp + lifetime <= time.time()
            if not expired:
                self.default_info = info
                self._expire_at(timestamp + lifetime)
        return wire.encode_reply(command.uid, "refresh", self._connect_body(self.uid, expired))

    def _check_same_user(self, user: str) -> None:
        """Raise Closing if the token of a `refresh` is for another user than that of the connection."""
        if user not in (self.user, self._signed_user):
            raise Closing(CLOSE_INVALID_TOKEN, f"refresh with a token of user {user[:SHOWN_OF_USER]!r}")

    def _connect_body(self, client: str, expired: bool = False) -> bytes:
        lifetime = self._node.config.connection_lifetime
        return wire.connect_body(self._node.version, client, lifetime > 0, expired, lifetime)

    def _close_if_stale(self) -> None:
        if not self.authenticated:
            self.close_later(CLOSE_STALE)

    def _expire_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._expires_at = when
        delay = when + self._node.config.expired_connection_close_delay - time.time()
        self._timer = self._node.timers.after(delay, self._close_if_expired)

    def _close_if_expired(self) -> None:
        # A reload may have switched expiry off since the timer was set.
        if self._node.config.connection_lifetime > 0 and self._expires_at <= time.time():
            self.close_later(CLOSE_EXPIRED)

    # -- subscriptions

    def _subscribe(self, command: wire.Command) -> bytes:
        self._node.metrics.counters.client_num_subscribe += 1
        params = wire.decode_params(command, wire.SubscribeParams)
        channel = params.channel or ""
        if not channel:
            raise Closing(CLOSE_INVALID_MESSAGE)
        try:
            self._subscriptions.check(channel, params)
            decisions.check_subscribe(self._node, channel, self._context)
            recovered = self._subscriptions.add(channel, params)
        except Refused as refused:
            body = wire.subscribe_body(channel, False)
            return wire.encode_reply(command.uid, "subscribe", body, refused.error)
        body = wire.subscribe_body(channel, True, *recovered)
        return wire.encode_reply(command.uid, "subscribe", body)

    def _unsubscribe(self, command: wire.Command) -> bytes:
        channel = wire.decode_params(command, wire.ChannelParams).channel or ""
        if not channel:
            raise Closing(CLOSE_INVALID_MESSAGE)
        try:
            self._node.rules.options(channel)
        except Refused as refused:
            return wire.encode_reply(command.uid, "unsubscribe", wire.status_body(channel, False), refused.error)
        self._subscriptions.remove(channel)
        return wire.encode_reply(command.uid, "unsubscribe", wire.status_body(channel, True))

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        return self._subscriptions.channels

    @property
    def ids(self) -> dict[str, str]:
        """The IDs of the client and user, for structured log lines."""
        ids = {"client": self.uid, "user": self.user}
        return {**ids, "request": self._request} if self._request else ids

    def _context(self, event: str, channel: str = "") -> Context:
        info = decode_embedded(self.default_info)
        return Context(event, self.user, self.uid, channel, info=info, opening=self._opening)

    # -- publish, presence, history, ping

    def _publish(self, command: wire.Command) -> bytes:
        params = wire.decode_params(command, wire.PublishParams)
        channel = params.channel or ""
        try:
            self._check_publish(channel, params)
            data = bytes(params.data)  # type: ignore[arg-type]
            approved = decisions.approved_data(self._node, channel, data, self._context)
            if approved is not None:
                data = approved
                self._check_publish(channel, params)  # subscriptions may have changed meanwhile
            self._node.metrics.counters.client_num_msg_published += 1
            self._node.publish(channel, data, self.uid, self._subscriptions.info(channel))
        except Refused as refused:
            error = INTERNAL_ERROR.advise(RETRY) if refused.error == INTERNAL_ERROR else refused.error
            return wire.encode_reply(command.uid, "publish", wire.status_body(channel, False), error)
        return wire.encode_reply(command.uid, "publish", wire.status_body(channel, True))

    def _check_publish(self, channel: str, params: wire.PublishParams) -> None:
        if not channel or params.data is msgspec.UNSET:
            raise Refused(INVALID_MESSAGE)
        if channel not in self._subscriptions.channels:
            raise Refused(PERMISSION_DENIED)
        if not (self._node.rules.options(channel).publish or self._node.config.insecure):
            raise Refused(PERMISSION_DENIED)

    def _presence(self, command: wire.Command) -> bytes:
        return self._query(command, self._node.presence, wire.presence_body)

    def _history(self, command: wire.Command) -> bytes:
        return self._query(command, self._node.history, wire.history_body)

    def _query(
        self, command: wire.Command, ask: Callable[[str], Answered], body: Callable[[str, Answered | None], bytes]
    ) -> bytes:
        method, channel = command.method or "", wire.decode_params(command, wire.ChannelParams).channel or ""
        if channel not in self._subscriptions.channels:
            return wire.encode_reply(command.uid, method, body(channel, None), PERMISSION_DENIED)
        try:
            return wire.encode_reply(command.uid, method, body(channel, ask(channel)))
        except Refused as refused:
            return wire.encode_reply(command.uid, method, body(channel, None), refused.error.advise(RETRY))

    def _ping(self, command: wire.Command) -> bytes:
        # Only a ping may have no params.
        has_params = command.params is not msgspec.UNSET
        data = wire.decode_params(command, wire.PingParams).data if has_params else None
        return wire.encode_reply(command.uid, "ping", wire.data_body(data) if data else b"")


_HANDLERS: dict[str, Callable[[Client, wire.Command], bytes]] = {
    "connect": Client._connect,
    "refresh": Client._refresh,
    "subscribe": Client._subscribe,
    "unsubscribe": Client._unsubscribe,
    "publish": Client._publish,
    "presence": Client._presence,
    "history": Client._history,
    "ping": Client._ping,
}
