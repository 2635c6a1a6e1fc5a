"""A client's connection, protocol version 2: commands in, calls on the node, replies and pushes out.

Knows the node, its subscriptions and the messages; whether these travel in JSON or Protobuf is the business of its
format, and whether its transport is a WebSocket or SockJS it does not know. Specification: docs/protocol-v2.md.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

import gevent

from ...http.opening_request import Opening
from ...model import errors as model
from ...model.events import Encoding
from ...model.json_codec import decode_if_json
from ...net.transport import Transport
from ...node import hooks
from ...node.hooks import Context
from ...node.node import Node
from ...node.proxy_events import REFRESH_PROXY
from ...node.user_commands import AddSubscription, RenewConnections, SendMessage
from ...runtime.timers import Timer
from ...runtime.yielding import yield_if_due
from . import channel_commands, connection_commands, renewing, server_commands
from .encodings import encoding
from .errors import (
    CLOSE_BAD_REQUEST,
    CONNECTION_EXPIRED,
    INAPPROPRIATE_PROTOCOL,
    INSUFFICIENT_STATE,
    INTERNAL_SERVER_ERROR,
    NO_PONG,
    SERVER_UNSUBSCRIBE,
    SLOW,
    STALE,
    SUBSCRIPTION_EXPIRED,
    UNSUBSCRIBED_EXPIRED,
    UNSUBSCRIBED_INSUFFICIENT_STATE,
    WRITE_ERROR,
    Closing,
    Disconnect,
    Error,
    Refused,
    Unsubscribed,
    disconnect_of,
    error_of,
)
from .format import Format, InvalidFrame, NotJSON
from .messages import (
    Command,
    Push,
    Reply,
    SubscribeResult,
    Unsubscribe,
)
from .messages import Error as ErrorMessage
from .one_way import disconnect_for
from .pings import Pings
from .served_client import Identity
from .subscriptions import ClosedMeanwhile, Subscriptions, Wanted
from .tokens import TokenVerifier

log = logging.getLogger(__name__)

TOO_LARGE = Disconnect(1009, "")
"""A message of more bytes than client_request_max_size; 1009 is WebSocket's own code for it (RFC 6455 7.4.1)."""


class Client:
    """One connection. `handle` is called with one frame at a time; `close` any time, by anybody.

    `has_own_pings` says that the client wants pings of WebSocket instead of empty messages. `session` is the secret
    that requests with commands for this connection must name; empty if all commands come over the connection itself.
    """

    __slots__ = (
        "authenticated",
        "closed",
        "default_info",
        "encoding",
        "format",
        "frame",
        "library",
        "node",
        "opening",
        "outbox",
        "session",
        "subscriptions",
        "tokens",
        "uid",
        "user",
        "_expires_at",
        "_handling",
        "_has_own_pings",
        "_is_refused",
        "_pings",
        "_request",
        "_timer",
        "_transport",
    )

    def __init__(
        self,
        node: Node,
        tokens: TokenVerifier,
        transport: Transport,
        format_: Format,
        opening: Opening | None = None,
        request: str = "",
        has_own_pings: bool = False,
        session: str = "",
    ) -> None:
        self.uid = str(uuid.uuid4())
        self.user = ""
        self.authenticated = False
        self.closed = False
        self.default_info = b""
        self.library = ""  # name and version, as the client tells them
        self.session = session
        self.node = node
        self.tokens = tokens
        self.format = format_
        self.frame: Callable[[bytes], bytes] = (format_.is_binary and transport.binary_frame) or transport.frame
        self.outbox = transport.outbox
        self.encoding: Encoding = encoding(format_, self.frame, has_joins=False, is_positioned=False)
        self.opening = opening
        self.subscriptions = Subscriptions(node, self, self._end_expired)
        self._request = request
        self._transport = transport
        self._expires_at = 0.0
        self._handling = False
        self._has_own_pings = has_own_pings
        self._is_refused = False
        self._pings: Pings | None = None
        self._timer: Timer | None = None  # until the connect: stale; from then on: expiry
        if not has_own_pings:
            transport.stop_pings()
        node.hub.open.add(self)
        delay = node.config.stale_connection_close_delay
        if delay > 0:
            self._timer = node.timers.after(delay, self._close_if_stale)

    # -- in

    def handle(self, frame: bytes) -> None:
        """Carry out the commands of one frame, in order; what cannot go on closes the connection."""
        started = time.perf_counter()
        metrics = self.node.metrics
        metrics.counters.client_api_num_requests += 1
        metrics.counters.client_bytes_in += len(frame)
        self._handling = True
        try:
            self._handle(frame)
        except ClosedMeanwhile:
            pass
        except Closing as closing:
            log.debug("client %s (user %r): %s", self.uid, self.user, closing, extra=self.ids)
            self.disconnect(closing.disconnect)
        except model.Closing as closing:
            log.debug("client %s (user %r): closed by a hook: %s", self.uid, self.user, closing, extra=self.ids)
            self.close(closing.disconnect)
        except InvalidFrame as error:
            log.debug("client %s (user %r): invalid frame: %s", self.uid, self.user, error, extra=self.ids)
            self.disconnect(CLOSE_BAD_REQUEST)
        finally:
            self._handling = False
        metrics.client_api.record(time.perf_counter() - started)

    def handle_text(self, message: str) -> None:
        """Carry out the commands of one message of SockJS. Lone surrogates become their JSON escapes."""
        self.handle(message.encode("utf-8", "backslashreplace"))

    def _handle(self, frame: bytes) -> None:
        if self.closed:
            return
        if len(frame) > self.node.config.client_request_max_size:
            raise Closing(TOO_LARGE)
        for command in self.format.decode_commands(frame):
            if self.closed or self._is_refused:
                return
            self._carry_out(command)
            yield_if_due()

    def _carry_out(self, command: Command) -> None:
        method = command.method
        if not self.authenticated and method != "connect":
            raise Closing(CLOSE_BAD_REQUEST, "a command before connect")
        if not command.id:
            self._handle_unnumbered(method, command)
            return
        handler = _HANDLERS.get(method)
        if handler is None:
            raise Closing(CLOSE_BAD_REQUEST, "a command without a method")
        try:
            handler(self, command.id, getattr(command, method))
        except Refused as refused:
            self.reply_error(command.id, refused.error)
        except model.Refused as refused:
            self.reply_error(command.id, error_of(refused.error))

    def _handle_unnumbered(self, method: str, command: Command) -> None:
        """Handle what needs no reply: the answer to a ping, and messages to the application."""
        if command.send is not None and method == "send":
            connection_commands.message(self, command.send)
        elif method or self._pings is None or not self._pings.answered():
            raise Closing(CLOSE_BAD_REQUEST, "a command without an id, or the answer to a ping that was not sent")

    # -- out

    def reply(self, reply: Reply) -> None:
        """Queue one reply or push. Raises Closing when it holds a payload that the format cannot carry."""
        if self.closed:
            return
        try:
            self._send(self.format.encode_reply(reply))
        except NotJSON as error:
            raise Closing(INAPPROPRIATE_PROTOCOL, str(error)) from None

    def reply_error(self, id_: int, error: Error) -> None:
        """Queue the error of the command with this id. A one-way connection is closed instead, by raising Closing."""
        if self.format.is_one_way:
            raise Closing(disconnect_for(error), error.message)
        self.reply(Reply(id_, error=ErrorMessage(error.code, error.message, error.temporary)))

    def push(self, push: Push) -> None:
        """Queue one push for the client."""
        self.reply(Reply(push=push))

    def _send(self, message: bytes) -> None:
        if not self.closed:
            self.outbox.append(self.frame(message))

    # -- the end of a subscription, and of the connection

    def unsubscribe(self, channel: str) -> None:
        """End a subscription because a backend wants it; the client is told so even if it has none."""
        self.end_subscription(channel, SERVER_UNSUBSCRIBE)

    def end_subscription(self, channel: str, why: Unsubscribed) -> None:
        """End a subscription, and tell the client. May block."""
        if not self.closed:
            self.subscriptions.remove(channel)
            self.push(Push(channel, unsubscribe=Unsubscribe(why.code, why.reason)))

    def recover_again(self, channel: str) -> None:
        """End a subscription of which publications may be missing; the client subscribes again and recovers."""
        self._end_by_kind(channel, UNSUBSCRIBED_INSUFFICIENT_STATE, INSUFFICIENT_STATE)

    def _end_expired(self, channel: str) -> None:
        if not renewing.renew_subscription(self, channel):
            self._end_by_kind(channel, UNSUBSCRIBED_EXPIRED, SUBSCRIPTION_EXPIRED)

    def _end_by_kind(self, channel: str, why: Unsubscribed, disconnect: Disconnect) -> None:
        """End a subscription of the client; a connection whose server-side subscription ends is closed."""
        subscription = self.subscriptions.channels.get(channel)
        if subscription is None:
            return
        if subscription.is_server_side:
            self.disconnect(disconnect)
        else:
            self.end_subscription(channel, why)

    def close(self, disconnect: model.Disconnect | None = None) -> None:
        """End the connection and everything it holds; `disconnect` is None when the peer has disconnected."""
        self.disconnect(None if disconnect is None else disconnect_of(disconnect))

    def disconnect(self, disconnect: Disconnect | None) -> None:
        """End the connection as `close` does, with a close code of this version."""
        if self.closed:
            return
        self.closed = True
        self.node.hub.open.discard(self)
        if disconnect is not None:
            log.debug("client %s (user %r) is closed: %s", self.uid, self.user, disconnect.reason, extra=self.ids)
            self._transport.close(disconnect.code, disconnect.reason)
        if self._timer is not None:
            self._timer.cancel()
        if self._pings is not None:
            self._pings.stop()
        self.subscriptions.end()
        if self.authenticated:
            self.node.remove_connection(self)
        if self.authenticated and self.node.hooks.has(hooks.DISCONNECT):
            context = self.context(hooks.DISCONNECT)
            context.reason = "" if disconnect is None else disconnect.reason
            self.node.hooks.notify_later(context)

    def disconnect_later(self, disconnect: Disconnect) -> None:
        """Disconnect in a greenlet of its own: for callers that must not block."""
        gevent.spawn(self.disconnect, disconnect)

    # -- failures of the transport, and of the server (websocket.connection.Owner)

    def close_slow(self) -> None:
        """More waits to be written than client_queue_max_size."""
        gevent.spawn(self._close_slow)

    def close_silent(self) -> None:
        """The client has not answered a ping."""
        self.node.metrics.counters.client_num_closed_ping_error += 1
        self.disconnect_later(NO_PONG)

    def close_failed(self, reason: str) -> None:
        """The transport cannot write any more."""
        log.debug("client %s (user %r): %s", self.uid, self.user, reason, extra=self.ids)
        self.node.metrics.counters.client_num_closed_send_error += 1
        self.disconnect_later(WRITE_ERROR)

    def close_broken(self, error: Exception) -> None:
        """Log an unexpected error, and close with the advice to reconnect."""
        reason = "internal error, closing client %s (user %r)"
        log.error(reason, self.uid, self.user, extra=self.ids, exc_info=error)
        self.disconnect(INTERNAL_SERVER_ERROR)

    def _close_slow(self) -> None:
        if not self.closed:  # else what waits ends with the close frame
            self.node.note_slow(self)
            self.outbox.drop_waiting()
            self.disconnect(SLOW)

    def _close_if_stale(self) -> None:
        if not self.authenticated:
            self.disconnect_later(STALE)

    # -- connect, and expiry

    def authenticate(self, identity: Identity, library: str) -> None:
        """Register the client as the user that it has proved to be."""
        self.user = identity.user
        self.default_info = identity.info
        self.library = library
        self.authenticated = True
        self.node.add_connection(self)
        self.expire_at(identity.expires_at)

    def refuse(self) -> None:
        """Read nothing more: the client needs another token, and comes back with it over another connection."""
        self._is_refused = True

    @property
    def has_pings(self) -> bool:
        """Whether the server sends empty messages as pings."""
        return not self._has_own_pings and self.node.config.ping_interval > 0

    def start_pings(self) -> None:
        """Begin to send pings, if the client is to get any."""
        if self.has_pings and not self.closed:
            self._pings = Pings(
                self.node.timers,
                self.node.config,
                lambda: self._send(self.format.ping),
                lambda: self._handling,
                self.close_silent,
                awaits_answers=not self.format.is_one_way,
            )

    def expire_at(self, when: float) -> None:
        """Let the connection expire at a time since 1970; 0 for never."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expires_at = when
        if when > 0:
            grace = 0 if self.node.hooks.has(REFRESH_PROXY) else self.node.config.expired_connection_close_delay
            delay = when - time.time() + grace
            self._timer = self.node.timers.after(max(delay, 0), self._close_if_expired)

    def _close_if_expired(self) -> None:
        if 0 < self._expires_at <= time.time():
            gevent.spawn(self._end_unless_renewed)

    def _end_unless_renewed(self) -> None:
        if not renewing.renew_connection(self):
            self.disconnect(CONNECTION_EXPIRED)

    # -- subscriptions

    def subscribe(self, wanted: Wanted) -> SubscribeResult:
        """Subscribe to a channel; what is returned is to be sent before `go_live` is called. May block."""
        self.node.metrics.counters.client_num_subscribe += 1
        return self.subscriptions.add(wanted)

    def go_live(self, channel: str) -> None:
        """Send what was published since the reply to a subscription was made, and announce the client. May block.

        Raises Closing when it holds a payload that the format cannot carry.
        """
        messages = self.subscriptions.go_live(channel)
        if messages is None:
            self.recover_again(channel)
            return
        for message in messages:
            self._send(message)
        self.subscriptions.announce(channel)

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        return self.subscriptions.names

    @property
    def protocol(self) -> str:
        """Version of the protocol and format, as operators see it."""
        return f"v2 {self.format.name}"

    @property
    def ids(self) -> dict[str, str]:
        """Whose lines these are, for a log that programs read."""
        ids = {"client": self.uid, "user": self.user}
        return {**ids, "request": self._request} if self._request else ids

    def context(self, event: str, channel: str = "") -> Context:
        """What a hook learns about this client."""
        info = decode_if_json(self.default_info)
        protocol = self.format.name
        return Context(event, self.user, self.uid, channel, info=info, protocol=protocol, opening=self.opening)

    # -- commands of backends (node.user_commands.ServerControlled)

    def subscribe_from_server(self, command: AddSubscription) -> None:
        """Subscribe the client to a channel, and tell it. May block."""
        server_commands.subscribe(self, command)

    def renew_from_server(self, command: RenewConnections) -> None:
        """Let the connection expire at another time, or now, and tell the client. May block."""
        server_commands.renew(self, command)

    def send_from_server(self, command: SendMessage) -> None:
        """Send the client a message that belongs to no channel."""
        server_commands.send(self, command)


_HANDLERS: Mapping[str, Callable[[Client, int, Any], None]] = {
    **connection_commands.HANDLERS,
    **channel_commands.HANDLERS,
}
