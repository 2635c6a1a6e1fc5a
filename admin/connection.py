"""One admin socket with the protocol of Centrifugo v1: API commands, and a few commands of its own.

Replies are arrays, pushed messages are objects. A client that connects with `batch`, which v1
does not have, gets messages in arrays, with the number of those that were left out.
Specification: docs/admin.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import gevent
import msgspec

from ..app.config.visible_options import visible_options
from ..app.model.errors import (
    CLOSE_EXPIRED,
    CLOSE_INTERNAL_ERROR,
    CLOSE_INVALID_MESSAGE,
    CLOSE_LIMIT_EXCEEDED,
    CLOSE_METHOD_NOT_FOUND,
    CLOSE_PING_ERROR,
    CLOSE_SLOW,
    CLOSE_STALE,
    CLOSE_UNAUTHORIZED,
    Closing,
    Disconnect,
)
from ..app.model.json_codec import InvalidJSON
from ..app.net.transport import Transport
from ..app.node.node import Node
from ..app.node.rings import MAX_WINDOW, times_of
from ..app.protocol.v1 import wire
from ..app.protocol.v1.api import API_COMMANDS, BadRequest, CommandAPI
from ..app.protocol.v1.replies import gather
from ..app.protocol.v1.wire import Command, Text, encode_api_reply
from ..app.runtime.timers import Timer
from .access import Access
from .operator_commands import OPERATOR_COMMANDS, answer_operator

log = logging.getLogger(__name__)

MAX_WAITING_BYTES = 1 << 20
"""Maximum bytes that wait for a client; further messages are left out until it has read them."""
AUTHENTICATION_TIME = 10.0
"""Seconds in which a new connection must send a valid token, or stale_connection_close_delay if that is shorter."""


class AdminConnectParams(msgspec.Struct):
    """Params of the command `connect`."""

    token: Text = None
    watch: bool | None = None
    batch: bool | None = None


class ConnectionsParams(msgspec.Struct):
    """Params of the command `connections`."""

    user: Text = None


class SubscribersParams(msgspec.Struct):
    """Params of the command `subscribers`; `channel` is a part of the names of channels."""

    channel: Text = None


class SamplesParams(msgspec.Struct):
    """Params of the command `samples`: the last `window` seconds, but only samples newer than `since`."""

    window: Annotated[float, msgspec.Meta(gt=0, le=MAX_WINDOW)] = 900.0
    since: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """In seconds since 1970."""
    about: Literal["node", "clients", "channel"] = "node"
    channel: str = ""


_connect_params = msgspec.json.Decoder(AdminConnectParams)
_user_params = msgspec.json.Decoder(ConnectionsParams)
_samples_params = msgspec.json.Decoder(SamplesParams)
_subscribers_params = msgspec.json.Decoder(SubscribersParams)


class AdminConnection:
    """One admin connection. `handle` is called with one message at a time; `close` may be called at any time.

    `admit` is called with the connection when it has sent a valid token; it raises Closing to refuse it. `session` is
    the token of a client that sends none in `connect`.
    """

    def __init__(
        self,
        node: Node,
        access: Access,
        transport: Transport,
        admit: Callable[[AdminConnection], None],
        session: str = "",
    ) -> None:
        self._node = node
        self._api = CommandAPI(node, notes_refusals=False)
        self._access = access
        self._transport = transport
        self._admit = admit
        self._session = session
        self._closed = False
        self._batch = False
        self._missed = 0
        self._timer: Timer | None = None
        self.authenticated = node.config.insecure_admin
        if not self.authenticated:
            delay = node.config.stale_connection_close_delay or AUTHENTICATION_TIME
            self._timer = node.timers.after(min(delay, AUTHENTICATION_TIME), self._close_stale)

    # -- in

    def handle(self, message: bytes) -> None:
        """Carry out a command or an array of commands. An invalid one closes the connection."""
        try:
            replies = gather(wire.decode_commands(message), self._reply, self._can_continue)
            if replies is not None:
                self._send(wire.encode_array(replies))
        except Closing as closing:
            self.close(closing.disconnect)
        except (InvalidJSON, BadRequest) as error:
            log.debug("admin connection: closing: %s", error)
            self.close(CLOSE_INVALID_MESSAGE)

    def _can_continue(self, gathered: int) -> bool:
        """Return whether the connection is open. Closes it as slow if `gathered` bytes and its outbox are too large."""
        if self._transport.outbox.size + gathered > self._node.config.client_queue_max_size:
            self._close_slow()
        return not self._closed

    def _reply(self, command: Command) -> bytes:
        method = command.method or ""
        if not self.authenticated and method != "connect":
            raise Closing(CLOSE_UNAUTHORIZED)
        handler = _HANDLERS.get(method)
        if handler is not None:
            return handler(self, command)
        if method in OPERATOR_COMMANDS:
            return answer_operator(self._node, command)
        if method not in API_COMMANDS:
            raise Closing(CLOSE_METHOD_NOT_FOUND)
        return self._api.reply(command)

    def _connect(self, command: Command) -> bytes:
        params = wire.decode_with(_connect_params, command)
        remaining = self._access.remaining(params.token or self._session)
        if remaining is None:
            raise Closing(CLOSE_UNAUTHORIZED)
        self._admit(self)
        self.authenticated = True
        self._batch = bool(params.batch)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._node.timers.after(remaining, self._close_expired)
        if params.watch:
            self._node.cluster.watched.add(self)
        else:
            self._node.cluster.watched.remove(self)
        return encode_api_reply(command.uid, "connect", b"true")

    @staticmethod
    def _ping(command: Command) -> bytes:
        return encode_api_reply(command.uid, "ping", b'"pong"')

    def _info(self, command: Command) -> bytes:
        node = self._node
        data = {"version": node.version, "engine": node.engine_name, "config": visible_options(node.config)}
        return encode_api_reply(command.uid, "info", wire.data_body(data))

    # -- commands that v1 does not have

    def _nodes(self, command: Command) -> bytes:
        return encode_api_reply(command.uid, "nodes", wire.data_body(self._node.cluster.surveys.nodes()))

    def _connections(self, command: Command) -> bytes:
        user = wire.decode_with(_user_params, command).user or ""
        connections = self._node.cluster.surveys.connections(user)
        return encode_api_reply(command.uid, "connections", wire.data_body(connections))

    def _subscribers(self, command: Command) -> bytes:
        part = wire.decode_with(_subscribers_params, command).channel or ""
        subscribers = self._node.cluster.surveys.subscribers(part)
        return encode_api_reply(command.uid, "subscribers", wire.data_body(subscribers))

    def _samples(self, command: Command) -> bytes:
        params = wire.decode_with(_samples_params, command)
        wanted = self._node.cluster.samples.window(params.window, params.since)
        wanted.about, wanted.channel = params.about, params.channel
        nodes = self._node.cluster.surveys.samples(wanted)
        data = {"now": time.time(), "step": wanted.step, "times": list(times_of(wanted)), "nodes": nodes}
        return encode_api_reply(command.uid, "samples", wire.data_body(data))

    # -- out

    def show(self, messages: Sequence[bytes], missed: int) -> None:
        """Send watched messages, unless too many bytes wait; those left out are counted (watched.Watcher)."""
        self._missed += missed
        if self._transport.outbox.size > MAX_WAITING_BYTES:
            self._missed += len(messages)
            return
        pushes = [encode_api_reply(None, "message", message) for message in messages]
        if not self._batch:
            for push in pushes:
                self._send(push)
            return
        if self._missed:
            pushes.append(encode_api_reply(None, "missed", b"%d" % self._missed))
            self._missed = 0
        self._send(wire.encode_array(pushes))

    def _send(self, message: bytes) -> None:
        if not self._closed:
            self._transport.outbox.append(self._transport.frame(message))

    # -- ends

    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection; `disconnect` is None if the peer has closed it."""
        if self._closed:
            return
        self._closed = True
        self.authenticated = False
        self._node.cluster.watched.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        if disconnect is not None:
            self._transport.close(disconnect.code, disconnect.close_reason)

    def close_slow(self) -> None:
        """Close a slow client whose outbox is full (net.transport.TransportOwner)."""
        gevent.spawn(self._close_slow)

    def close_silent(self) -> None:
        """Close after a ping without an answer (net.transport.TransportOwner)."""
        self.close(CLOSE_PING_ERROR)

    def close_too_large(self) -> None:
        """Close after a message that is too large (net.transport.TransportOwner)."""
        self.close(CLOSE_LIMIT_EXCEEDED)

    def _close_slow(self) -> None:
        # In another greenlet, because the caller that fills the queue must not block.
        if not self._closed:
            self._transport.outbox.drop_waiting()
            self.close(CLOSE_SLOW)

    def close_failed(self, reason: str) -> None:
        """Close after the socket failed to write (net.transport.TransportOwner)."""
        log.debug("admin connection: %s", reason)
        self.close()

    def close_broken(self, error: Exception) -> None:
        """Log an unexpected error, and close with the advice to reconnect."""
        log.error("admin connection: internal error, closing connection", exc_info=error)
        self.close(CLOSE_INTERNAL_ERROR)

    def _close_stale(self) -> None:
        self.close(CLOSE_STALE)

    def _close_expired(self) -> None:
        self.close(CLOSE_EXPIRED)


_HANDLERS: dict[str, Callable[[AdminConnection, Command], bytes]] = {
    "connect": AdminConnection._connect,
    "ping": lambda self, command: AdminConnection._ping(command),
    "info": AdminConnection._info,
    "nodes": AdminConnection._nodes,
    "connections": AdminConnection._connections,
    "samples": AdminConnection._samples,
    "subscribers": AdminConnection._subscribers,
}
