"""The connection of a client of protocol version 2: receives commands, calls the node, sends replies and pushes.

Uses the node, subscriptions and messages; its `Format` is JSON or Protobuf. Does not depend on the kind of transport,
such as WebSocket or SockJS. Specification: docs/protocol-v2.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import gevent

from ...model.errors import CLOSE_EXPIRED, Closing, Disconnect, Refused
from ...model.events import StreamPosition
from ...model.json_codec import decode_if_json
from ...net.transport import Transport
from ...node.base_client import UNKNOWN_START, BaseClient, ConnectionStart
from ...node.hooks import Context
from ...node.node import Node
from ...node.proxy_events import REFRESH_PROXY
from ...node.user_commands import AddSubscription, RenewConnections, SendMessage
from ...runtime.yielding import yield_if_due
from . import channel_commands, connection_commands, renewing, server_commands
from .encodings import encoding
from .errors import (
    CLOSE_BAD_REQUEST,
    INSUFFICIENT_STATE,
    SERVER_UNSUBSCRIBE,
    SUBSCRIPTION_EXPIRED,
    UNSUBSCRIBED_EXPIRED,
    UNSUBSCRIBED_INSUFFICIENT_STATE,
    CodedClosing,
    CodedDisconnect,
    CodedError,
    CodedRefusal,
    Unsubscribed,
    disconnect_of,
    error_of,
)
from .event_positions import EventPositions, LastEvent
from .format import Format, InvalidFrame, NotJSON
from .messages import (
    Command,
    Publication,
    Push,
    Reply,
    SubscribeResult,
    Unsubscribe,
)
from .messages import Error as ErrorMessage
from .one_way import disconnect_for
from .pings import Pings
from .served_client import Identity
from .subscriptions import GrantedSubscription, Subscription, SubscriptionsV2
from .tokens import TokenVerifier
from .unsendable import channel_of_unsendable, close_unsendable

MESSAGE_TOO_LARGE = CodedDisconnect(1009, "message too large", is_code_enough=True)
"""A message of more bytes than client_request_max_size; 1009 is WebSocket's own code for it (RFC 6455 7.4.1)."""
EARLIER_PROTOCOL = (
    "first command without a method; libraries for the servers Centrifugo 2 and 3, such as centrifuge-js 2, have a "
    "protocol that this server does not have"
)
"""Why the first command of such a client is refused; only logged."""
MAX_LIBRARY_LENGTH = 100
"""Characters that are kept of the name and version of a client library."""


class ClientServices(Protocol):
    """The objects that the clients of one process share."""

    @property
    def node(self) -> Node:
        """The node of this process."""
        ...

    @property
    def tokens(self) -> TokenVerifier:
        """The verifier of tokens of protocol v2."""
        ...


class StreamSession(NamedTuple):
    """What connects a stream with other requests of the same client, before and beside it."""

    secret: str = ""
    """What a separate request with commands for the connection must contain; empty if all come over the connection."""
    has_ids: bool = False
    """Whether messages have the ids of event_positions.py, with which the client may reconnect."""
    last_event: LastEvent | None = None
    """The id with which the client has reconnected; None if it has sent none."""


NO_STREAM = StreamSession()


class ClientV2(BaseClient):
    """One connection of a client of version 2.

    With `has_own_pings` the client receives pings of WebSocket instead of empty messages.
    """

    __slots__ = (
        "format",
        "frame",
        "last_event",
        "library",
        "meta",
        "positions",
        "session",
        "subscriptions",
        "tokens",
        "is_busy",
        "_has_own_pings",
        "_is_connected",
        "_is_refused",
        "_pings",
    )

    def __init__(
        self,
        services: ClientServices,
        transport: Transport,
        format_: Format,
        start: ConnectionStart = UNKNOWN_START,
        has_own_pings: bool = False,
        stream: StreamSession = NO_STREAM,
    ) -> None:
        node = services.node
        super().__init__(node, transport, start)
        self.session, has_ids, self.last_event = stream
        self.library = ""
        self.meta = b""
        self.tokens = services.tokens
        self.format = format_
        self.frame: Callable[[bytes], bytes] = (format_.is_binary and transport.binary_frame) or transport.frame
        self.positions = EventPositions(self.frame) if has_ids else None
        self.encoding = encoding(format_, self.frame, has_joins=False, is_positioned=False)
        self.subscriptions = SubscriptionsV2(node, self)
        self.is_busy = False
        """Whether a command of the client is being carried out."""
        self._has_own_pings = has_own_pings
        self._is_connected = False
        self._is_refused = False
        self._pings: Pings | None = None
        if not has_own_pings:
            transport.stop_pings()
        self._count_traffic()

    # -- in

    def _handle(self, frame: bytes) -> None:
        if self.closed:
            return
        if len(frame) > (limit := self.node.config.client_request_max_size):
            why = f"it has {len(frame)} bytes, and option client_request_max_size is {limit}"
            raise CodedClosing(MESSAGE_TOO_LARGE, why, is_noted=True)
        self.is_busy = True
        try:
            for number, command in enumerate(self.format.decode_commands(frame)):
                if number:  # frames with several commands are rare
                    yield_if_due()
                if self.closed or self._is_refused:
                    return
                self._carry_out(command)
        except InvalidFrame as error:
            raise CodedClosing(CLOSE_BAD_REQUEST, f"invalid frame: {error}") from None
        except Closing as closing:
            raise CodedClosing(disconnect_of(closing.disconnect), "a hook or a backend closes the connection") from None
        finally:
            self.is_busy = False

    def _carry_out(self, command: Command) -> None:
        method = command.method
        if not self.authenticated and method != "connect":
            raise CodedClosing(CLOSE_BAD_REQUEST, "command before connect" if method else EARLIER_PROTOCOL, not method)
        if not command.id:
            self._handle_unnumbered(method, command)
            return
        handler = _HANDLERS.get(method)
        if handler is None:
            raise CodedClosing(CLOSE_BAD_REQUEST, "command without a method")
        started = time.perf_counter()
        try:
            handler(self, command.id, getattr(command, method))
        except CodedRefusal as refused:
            self._refuse(method, command, refused.error, refused.detail)
        except Refused as refused:
            self._refuse(method, command, error_of(refused.error), refused.detail)
        self.node.metrics.breakdowns.client_commands[method].observe(time.perf_counter() - started)

    def _refuse(self, method: str, command: Command, error: CodedError, detail: str) -> None:
        channel = getattr(getattr(command, method), "channel", "")
        self.node.refusals.note_client(self, method, channel, error.message, detail)
        self.node.metrics.breakdowns.note_client_error(self.protocol, method, str(error.code))
        self.reply_error(command.id, error)

    def _handle_unnumbered(self, method: str, command: Command) -> None:
        """Handle a command without an ID, which needs no reply: a pong, or a message to the application."""
        if command.send is not None and method == "send":
            connection_commands.message(self, command.send)
        elif method or self._pings is None or not self._pings.note_answer():
            raise CodedClosing(CLOSE_BAD_REQUEST, "command without an ID, or pong without a ping")

    # -- out

    def reply(self, reply: Reply, channel: str = "") -> None:
        """Queue one reply or push. Raises CodedClosing if it contains a payload that the format cannot carry.

        `channel` is logged then, for replies that do not contain it.
        """
        if self.closed:
            return
        try:
            self._send(self.format.encode_reply(reply))
        except NotJSON as error:
            raise close_unsendable(self, channel or channel_of_unsendable(reply), error) from None

    def reply_error(self, id_: int, error: CodedError) -> None:
        """Queue the error of the command with this ID. Raises CodedClosing for a one-way connection."""
        if self.format.is_one_way:
            raise CodedClosing(disconnect_for(error), error.message)
        self.reply(Reply(id_, error=ErrorMessage(error.code, error.message, error.temporary)))

    def push(self, push: Push) -> None:
        """Queue one push for the client."""
        self.reply(Reply(push=push))

    def _send(self, message: bytes) -> None:
        if not self.closed:
            frame = self.frame if self.positions is None else self.positions.frame
            self.outbox.append(frame(message))

    # -- the end of a subscription, and of the connection

    def unsubscribe(self, channel: str) -> None:
        """End a subscription at the request of a backend. The client receives a push even if it is not subscribed."""
        self.end_subscription(channel, SERVER_UNSUBSCRIBE)

    def end_subscription(self, channel: str, why: Unsubscribed) -> None:
        """End a subscription and notify the client, even if it is not subscribed. May block."""
        if not self.closed:
            self.subscriptions.remove(channel)
            self._notify_of_end(channel, why)

    def _notify_of_end(self, channel: str, why: Unsubscribed) -> None:
        self.node.metrics.breakdowns.note_unsubscribe(why.code)
        if self.positions is not None:
            self.positions.end(channel)
        self.push(Push(channel, unsubscribe=Unsubscribe(why.code, why.reason)))

    def recover_again(self, channel: str) -> None:
        """End a subscription in which publications may be missing, so that the client resubscribes and recovers."""
        found = self.subscriptions.channels.get(channel)
        self._end_by_kind(
            channel, UNSUBSCRIBED_INSUFFICIENT_STATE, INSUFFICIENT_STATE, lambda current: current is found
        )

    def end_expired(self, channel: str, expired_at: float) -> None:
        """Renew a subscription that has expired at that time, or end it and notify the client. May block."""
        if not renewing.renew_subscription(self, channel):
            self._end_by_kind(
                channel,
                UNSUBSCRIBED_EXPIRED,
                SUBSCRIPTION_EXPIRED,
                lambda each: each.expires_at == expired_at,  # it was not renewed since
            )

    def _end_by_kind(
        self, channel: str, why: Unsubscribed, disconnect: CodedDisconnect, is_meant: Callable[[Subscription], bool]
    ) -> None:
        """End a subscription of the client, or close the connection if it is a server-side subscription."""
        subscription = self.subscriptions.channels.get(channel)
        if subscription is None or not is_meant(subscription):
            return
        if subscription.is_server_side:
            self.disconnect(disconnect)
        elif self.subscriptions.remove(channel, is_meant):
            self._notify_of_end(channel, why)

    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection and end its subscriptions; `disconnect` is None if the peer has closed it."""
        self.disconnect(None if disconnect is None else disconnect_of(disconnect))

    def close_too_large(self) -> None:
        """Close the connection because a message is too large. May block."""
        limit = self.node.config.client_request_max_size
        why = f"it is larger than the {limit} bytes of option client_request_max_size"
        self.node.refusals.note_closed(self, f"{MESSAGE_TOO_LARGE.reason}: {why}")
        self.disconnect(MESSAGE_TOO_LARGE)

    def disconnect(self, disconnect: CodedDisconnect | None) -> None:
        """Close the connection as `close` does, with a close code of this version."""
        self._end(disconnect)

    def disconnect_later(self, disconnect: CodedDisconnect) -> None:
        """Disconnect in another greenlet, for callers that must not block."""
        gevent.spawn(self.disconnect, disconnect)

    def _release(self) -> None:
        if self._pings is not None:
            self._pings.stop()
            self._pings = None  # its callbacks refer to the client
        self.subscriptions.end()

    # -- connect, and expiry

    def authenticate(self, identity: Identity, library: str) -> None:
        """Register the client as an authenticated user."""
        self.library = library[:MAX_LIBRARY_LENGTH]
        self.meta = identity.meta
        self._register(identity.user, identity.info)
        self.expire_at(identity.expires_at)

    def refuse(self) -> None:
        """Ignore further commands: the client must request another token and then reconnect."""
        self._is_refused = True

    @property
    def has_pings(self) -> bool:
        """Whether the server sends empty messages as pings to this client."""
        return not self._has_own_pings and self.node.config.ping_interval > 0

    def start_pings(self) -> None:
        """Start sending pings, if this client receives them: it has received the reply to connect."""
        self._is_connected = True
        if self.has_pings and not self.closed:
            self._pings = Pings(self.node.timers, self.node.config, self, not self.format.is_one_way)

    def send_ping(self) -> None:
        """Queue one ping, which is an empty reply."""
        self._send(self.format.ping)

    def _grace_period(self) -> float:
        # The client does not refresh its token if a backend renews connections, so there is nothing to wait for.
        return 0 if self.node.hooks.has(REFRESH_PROXY) else super()._grace_period()

    def _close_expired(self) -> None:
        gevent.spawn(self._end_unless_renewed)

    def _end_unless_renewed(self) -> None:
        if not renewing.renew_connection(self):
            self.close(CLOSE_EXPIRED)

    # -- subscriptions

    def subscribe(self, wanted: GrantedSubscription) -> SubscribeResult:
        """Subscribe to a channel. The caller sends the returned reply, and then calls `go_live`. May block."""
        self.node.metrics.counters.client_num_subscribe += 1
        return self.subscriptions.add(wanted)

    def subscribe_all(self, wanted: Sequence[GrantedSubscription]) -> dict[str, SubscribeResult]:
        """Subscribe to channels as `subscribe` does, before any command of a backend is carried out. May block."""
        self.node.metrics.counters.client_num_subscribe += len(wanted)
        return self.subscriptions.add_all(wanted)

    def note_positions(self, results: Mapping[str, SubscribeResult]) -> None:
        """Add the positions of new subscriptions to the id of the next message, if messages have ids."""
        started = {name: result.reached for name, result in results.items() if result.recoverable}
        if self.positions is not None and started:
            self.subscriptions.start_positions(self.positions, started)

    def send_missed(self, channel: str, result: SubscribeResult, missed: Iterable[Publication]) -> None:
        """Send the publications that a new subscription has recovered, as if they had been published just now.

        Raises CodedClosing when one holds a payload that the format cannot carry.
        """
        for publication in missed:
            position = StreamPosition(publication.offset, result.epoch)
            if self.positions is not None and result.recoverable:
                self.positions.start({channel: position})
            self.push(Push(channel, pub=publication))
            yield_if_due()

    def go_live(self, channel: str, result: SubscribeResult) -> None:
        """Send the publications that were held until this result was sent, and publish the join. May block.

        Does nothing if the subscription has ended meanwhile. Raises CodedClosing if a publication contains a payload
        that the format cannot carry.
        """
        if not self.subscriptions.awaits(channel, result):
            return
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
        """Version of the protocol and format, as the admin interface shows it."""
        return f"v2 {self.format.name}"

    def context(self, event: str, channel: str = "") -> Context:
        """Create the context with which hooks are called for an event of this client."""
        context = super().context(event, channel)
        context.protocol, context.meta = self.format.name, decode_if_json(self.meta)
        return context

    # -- commands of backends (node.user_commands.ServerControlled)

    def subscribe_from_server(self, command: AddSubscription) -> None:
        """Subscribe the client to a channel and notify it. May block."""
        server_commands.subscribe(self, command)

    def renew_from_server(self, command: RenewConnections) -> None:
        """Change when the connection expires, or close it as expired, and notify the client. May block."""
        self._await_connect()
        server_commands.renew(self, command)

    def send_from_server(self, command: SendMessage) -> None:
        """Send the client a message without a channel. May block."""
        self._await_connect()
        server_commands.send(self, command)

    def _await_connect(self) -> None:
        """Wait until the reply to connect has been sent, which precedes all pushes."""
        if not self._is_connected:
            self.subscriptions.await_others()


_HANDLERS: Mapping[str, Callable[[ClientV2, int, Any], None]] = {
    **connection_commands.CONNECTION_COMMANDS,
    **channel_commands.CHANNEL_COMMANDS,
}
