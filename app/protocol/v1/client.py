"""The connection of a client of protocol version 1: it decodes commands, calls the node, and sends replies.

It uses the node, credentials, subscriptions and the wire format, and does not depend on the kind of transport, such as
WebSocket or SockJS. Specification: docs/protocol.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TypeVar

import msgspec

from ...model.errors import (
    CLOSE_INSUFFICIENT_STATE,
    CLOSE_INVALID_MESSAGE,
    CLOSE_INVALID_TOKEN,
    CLOSE_LIMIT_EXCEEDED,
    CLOSE_METHOD_NOT_FOUND,
    CLOSE_UNAUTHORIZED,
    INTERNAL_ERROR,
    INVALID_MESSAGE,
    PERMISSION_DENIED,
    RETRY,
    Closing,
    Disconnect,
    Error,
    Refused,
)
from ...model.events import Encoding
from ...model.json_codec import InvalidJSON, decode_embedded
from ...net.transport import Transport
from ...node import hooks
from ...node.base_client import UNKNOWN_START, BaseClient, ClosedMeanwhile, ConnectionStart
from ...node.hooks import Context
from ...node.node import Node
from ...node.proxy_events import CONNECT_PROXY, ConnectContext, approved_data
from . import decisions, wire
from .credentials import MAX_LOGGED_USER, signed_at
from .replies import gather
from .subscriptions import SubscriptionsV1
from .typed_commands import ClientCommand, decode_typed, params_of

NOT_SUBSCRIBED = "the client is not subscribed to the channel"
"""The detail of a refused command that only subscribers may send."""

Answered = TypeVar("Answered")

_encodings: dict[Callable[[bytes], bytes], Encoding] = {}
"""One object for each kind of transport, so that all its connections share the bytes of a broadcast."""


def _add_encoding(frame: Callable[[bytes], bytes]) -> Encoding:
    return _encodings.setdefault(frame, Encoding(wire.encode_push, frame))


class ClientV1(BaseClient):
    """One connection of a client of version 1."""

    protocol = "v1"

    __slots__ = ("_signed_user", "_subscriptions")

    def __init__(self, node: Node, transport: Transport, start: ConnectionStart = UNKNOWN_START) -> None:
        super().__init__(node, transport, start)
        self.encoding = _encodings.get(transport.frame) or _add_encoding(transport.frame)
        self._signed_user: str | None = None
        """The user in the token of `connect`, which a hook may have replaced; None without a token."""
        self._subscriptions = SubscriptionsV1(node, self)
        self._count_traffic()

    # -- in

    def _handle(self, message: bytes) -> None:
        if self.closed:
            return
        if len(message) > self.node.config.client_request_max_size:
            raise Closing(CLOSE_LIMIT_EXCEEDED)
        try:
            command = decode_typed(message)
            reply = self._gather_replies(message) if command is None else self._reply(command)
        except InvalidJSON as error:
            raise Closing(CLOSE_INVALID_MESSAGE, str(error)) from None
        if reply is None or not self._can_continue(len(reply)):
            return
        self._send(reply)
        for publication in self._subscriptions.release_held():
            self._send(wire.encode_push(publication))

    def _gather_replies(self, message: bytes) -> bytes | None:
        """Carry out the commands of a message, and return the replies together; None if the connection was closed."""
        commands = wire.decode_commands(message)
        if not commands:
            raise Closing(CLOSE_INVALID_MESSAGE)
        replies = gather(commands, self._reply, self._can_continue)
        if replies is None:
            return None
        return wire.encode_array(replies) if message.startswith(b"[") else replies[0]

    def _can_continue(self, gathered: int) -> bool:
        """Return whether the connection is open. Closes it as slow if replies and outbox have too many bytes."""
        if self.outbox.size + gathered > self.node.config.client_queue_max_size:
            self._close_slow(gathered)
        return not self.closed

    def _reply(self, command: ClientCommand) -> bytes:
        method = command.method or ""
        if not self.authenticated and method != "connect":
            raise Closing(CLOSE_UNAUTHORIZED)
        handler = _HANDLERS.get(method)
        if handler is None:
            raise Closing(CLOSE_METHOD_NOT_FOUND)
        started = time.perf_counter()
        reply = handler(self, command)
        self.node.metrics.breakdowns.client_commands[method].observe(time.perf_counter() - started)
        return reply

    def _error_reply(
        self, command: ClientCommand, channel: str, body: bytes, refused: Refused, error: Error | None = None
    ) -> bytes:
        """Return the reply to a refused command, with `error` if the client gets other advice than in `refused`."""
        method, error = command.method or "", error or refused.error
        self.node.refusals.note_client(self, method, channel, error.text, refused.detail)
        self.node.metrics.breakdowns.note_client_error(self.protocol, method, error.text)
        return wire.encode_reply(command.uid, method, body, error)

    # -- out

    def _send(self, message: bytes) -> None:
        if not self.closed:
            self.outbox.append(self._transport.frame(message))

    def unsubscribe(self, channel: str) -> None:
        """End a subscription at the request of a backend, and notify the client."""
        if not self.closed:
            self._subscriptions.remove(channel)
            self._send(wire.encode_unsubscribe_push(channel))

    def close_too_large(self) -> None:
        """Close the connection because a message is too large. May block."""
        self.close(CLOSE_LIMIT_EXCEEDED)

    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection and release everything; `disconnect` is None if the peer has closed it."""
        self._end(disconnect)

    def _release(self) -> None:
        self._subscriptions.end()

    def recover_again(self, channel: str) -> None:
        """Close the connection: this version has no message that makes a client recover a single channel."""
        self.close(CLOSE_INSUFFICIENT_STATE)

    # -- connect and refresh

    def _connect(self, command: ClientCommand) -> bytes:
        self.node.metrics.counters.client_num_connect += 1
        if self.authenticated:
            raise Closing(CLOSE_INVALID_MESSAGE)
        params = params_of(command, wire.ConnectParams)
        user, info, timestamp = self._identify(params)
        config = self.node.config
        limit = config.user_connection_limit
        if limit > 0 and user and len(self.node.hub.user_connections(user)) >= limit:
            raise Closing(CLOSE_LIMIT_EXCEEDED)
        expires_at = timestamp + config.connection_lifetime
        if config.connection_lifetime > 0 and not config.insecure and expires_at <= time.time():
            self._note_expired("connect", user, timestamp)
            return wire.encode_reply(command.uid, "connect", self._connect_body("", expired=True))
        self._authenticate(user, info, expires_at)
        return wire.encode_reply(command.uid, "connect", self._connect_body(self.uid))

    def _identify(self, params: wire.ConnectParams) -> tuple[str, bytes, float]:
        """Return user, info and time of the signature of a client that connects. Raises Closing if invalid."""
        known = self.node.hooks
        user: str | None = params.user or ""
        info, timestamp = wire.embedded_json(params.info) if params.info else b"", time.time()
        if known.has(hooks.CONNECT, CONNECT_PROXY) and not params.token and not self.node.config.insecure:
            user, info = None, b""  # they are not signed
            if known.has(CONNECT_PROXY):
                name = self.transport_name
                asked = ConnectContext(hooks.CONNECT, client=self.uid, transport=name, opening=self.opening)
                user, info = decisions.identify_with_backend(known, asked)
        elif not self.node.config.insecure:
            timestamp = signed_at(self.node.config.secret, params)
            self._signed_user = user
        if known.has(hooks.CONNECT):
            user, info = self._identify_with_hooks(hooks.CONNECT, user, info)
        if self.closed:
            raise ClosedMeanwhile
        if user is None:
            raise Closing(CLOSE_INVALID_TOKEN, "missing token, and no hook or backend has set a user", is_noted=True)
        return user, info, timestamp

    def _identify_with_hooks(self, event: str, user: str | None, info: bytes) -> tuple[str | None, bytes]:
        """Return the user and info that the hooks have set; raises Closing if a hook refuses."""
        name, decoded = self.transport_name, decode_embedded(info)
        context = Context(event, user, self.uid, info=decoded, transport=name, opening=self.opening)
        decided = decisions.identify_with_hooks(self.node.hooks, context, info)
        if self.closed:
            raise ClosedMeanwhile
        return decided

    def _authenticate(self, user: str, info: bytes, expires_at: float) -> None:
        self._register(user, info)
        if self.node.config.connection_lifetime > 0 and not self.node.config.insecure:
            self.expire_at(expires_at)

    def _refresh(self, command: ClientCommand) -> bytes:
        params = params_of(command, wire.ConnectParams)
        info, timestamp = wire.embedded_json(params.info or ""), time.time()
        is_hooked = self.node.hooks.has(hooks.REFRESH)
        if is_hooked and not params.token:
            info = self.default_info
        else:
            timestamp = signed_at(self.node.config.secret, params)
            self._check_same_user(params.user or "")
        if is_hooked:
            _, info = self._identify_with_hooks(hooks.REFRESH, self.user, info)
        lifetime = self.node.config.connection_lifetime
        expired = False
        if lifetime > 0:
            expired = timestamp + lifetime <= time.time()
            if expired:
                self._note_expired("refresh", params.user or "", timestamp)
            else:
                self.default_info = info
                self.expire_at(timestamp + lifetime)
        return wire.encode_reply(command.uid, "refresh", self._connect_body(self.uid, expired))

    def _check_same_user(self, user: str) -> None:
        """Raise Closing if the token of a `refresh` is for another user than that of the connection."""
        if user not in (self.user, self._signed_user):
            why = f"refresh refused: token of user {user[:MAX_LOGGED_USER]!r}"
            raise Closing(CLOSE_INVALID_TOKEN, why, is_noted=True)

    def _note_expired(self, method: str, user: str, timestamp: float) -> None:
        """Log that a token is too old. The reply says so without an error, and the client gets a new token."""
        age, lifetime = time.time() - timestamp, self.node.config.connection_lifetime
        why = (
            f"token of user {user[:MAX_LOGGED_USER]!r} is {age:.0f} s old, option connection_lifetime is {lifetime:g} s"
        )
        self.node.refusals.note_client(self, method, "", "expired", why)

    def _connect_body(self, client: str, expired: bool = False) -> bytes:
        lifetime = self.node.config.connection_lifetime
        return wire.connect_body(self.node.version, client, lifetime > 0, expired, lifetime)

    def _close_expired(self) -> None:
        if self.node.config.connection_lifetime > 0:  # a reload may have switched expiry off since the timer was set
            super()._close_expired()

    # -- subscriptions

    def _subscribe(self, command: ClientCommand) -> bytes:
        self.node.metrics.counters.client_num_subscribe += 1
        params = params_of(command, wire.SubscribeParams)
        channel = params.channel or ""
        if not channel:
            raise Closing(CLOSE_INVALID_MESSAGE)
        try:
            self._subscriptions.check(channel, params)
            decisions.check_subscribe(self.node, channel, self.context)
            recovered = self._subscriptions.add(channel, params)
        except Refused as refused:
            body = wire.subscribe_body(channel, False)
            return self._error_reply(command, channel, body, refused)
        body = wire.subscribe_body(channel, True, *recovered)
        return wire.encode_reply(command.uid, "subscribe", body)

    def _unsubscribe(self, command: ClientCommand) -> bytes:
        channel = params_of(command, wire.ChannelParams).channel or ""
        if not channel:
            raise Closing(CLOSE_INVALID_MESSAGE)
        try:
            self.node.rules.options(channel)
        except Refused as refused:
            return self._error_reply(command, channel, wire.status_body(channel, False), refused)
        self._subscriptions.remove(channel)
        return wire.encode_reply(command.uid, "unsubscribe", wire.status_body(channel, True))

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        return self._subscriptions.channels

    # -- publish, presence, history, ping

    def _publish(self, command: ClientCommand) -> bytes:
        params = params_of(command, wire.PublishParams)
        channel = params.channel or ""
        try:
            self._check_publish(channel, params)
            data = bytes(params.data)  # type: ignore[arg-type]
            approved = approved_data(self.node, channel, data, self.context)
            if approved is not None:
                data = approved
                self._check_publish(channel, params)  # subscriptions may have changed meanwhile
            self.node.metrics.counters.client_num_msg_published += 1
            self.node.publish(channel, data, self.uid, self._subscriptions.info(channel))
        except Refused as refused:
            error = INTERNAL_ERROR.advise(RETRY) if refused.error == INTERNAL_ERROR else refused.error
            return self._error_reply(command, channel, wire.status_body(channel, False), refused, error)
        return wire.encode_reply(command.uid, "publish", wire.status_body(channel, True))

    def _check_publish(self, channel: str, params: wire.PublishParams) -> None:
        if not channel or params.data is msgspec.UNSET:
            raise Refused(INVALID_MESSAGE)
        if channel not in self._subscriptions.channels:
            raise Refused(PERMISSION_DENIED, NOT_SUBSCRIBED)
        if not (self.node.rules.options(channel).publish or self.node.config.insecure):
            raise Refused(PERMISSION_DENIED, f"option publish is off {self.node.rules.options_place(channel)}")

    def _presence(self, command: ClientCommand) -> bytes:
        return self._query(command, self.node.presence, wire.presence_body)

    def _history(self, command: ClientCommand) -> bytes:
        return self._query(command, self.node.history, wire.history_body)

    def _query(
        self, command: ClientCommand, ask: Callable[[str], Answered], body: Callable[[str, Answered | None], bytes]
    ) -> bytes:
        method, channel = command.method or "", params_of(command, wire.ChannelParams).channel or ""
        if channel not in self._subscriptions.channels:
            refused = Refused(PERMISSION_DENIED, NOT_SUBSCRIBED)
            return self._error_reply(command, channel, body(channel, None), refused)
        try:
            return wire.encode_reply(command.uid, method, body(channel, ask(channel)))
        except Refused as refused:
            return self._error_reply(command, channel, body(channel, None), refused, refused.error.advise(RETRY))

    def _ping(self, command: ClientCommand) -> bytes:
        # Only a ping may have no params.
        has_params = command.params is not msgspec.UNSET
        data = params_of(command, wire.PingParams).data if has_params else None
        return wire.encode_reply(command.uid, "ping", wire.data_body(data) if data else b"")


_HANDLERS: dict[str, Callable[[ClientV1, ClientCommand], bytes]] = {
    "connect": ClientV1._connect,
    "refresh": ClientV1._refresh,
    "subscribe": ClientV1._subscribe,
    "unsubscribe": ClientV1._unsubscribe,
    "publish": ClientV1._publish,
    "presence": ClientV1._presence,
    "history": ClientV1._history,
    "ping": ClientV1._ping,
}
