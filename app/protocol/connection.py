"""A client's connection until its first message, which determines the version of the protocol.

After that, all calls go to the client object of that version.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

import gevent
import msgspec

from ..http.opening_request import Opening
from ..http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from ..model.errors import CLOSE_INTERNAL_ERROR, CLOSE_PING_ERROR, CLOSE_SEND_ERROR, CLOSE_STALE, Disconnect
from ..net.outbox import Queue
from ..net.transport import Transport
from ..node.base_client import ConnectionStart
from ..node.breakdowns import PEER_CLOSED, UNKNOWN_PROTOCOL
from ..runtime.timers import Timer
from .v1.client import ClientV1
from .v2.client import ClientServices, ClientV2
from .v2.errors import CLOSE_BAD_REQUEST, disconnect_of
from .v2.format import Format
from .v2.json_format import JSON
from .v2.other_format import MismatchTexts, format_mismatch
from .v2.protobuf_format import PROTOBUF

log = logging.getLogger(__name__)

FRAME_MISMATCH = MismatchTexts(
    json="the frame is JSON, but the address asks for Protobuf (format=protobuf)",
    protobuf="the frame is Protobuf, but the address does not ask for it (format=protobuf)",
)
_FORMATS: dict[str, Format] = {format_.name: format_ for format_ in (JSON, PROTOBUF)}


class _FirstCommand(msgspec.Struct):
    """The fields of a first command that distinguish the versions."""

    id: msgspec.Raw = msgspec.Raw()
    method: msgspec.Raw = msgspec.Raw()
    connect: msgspec.Raw = msgspec.Raw()


_first_command = msgspec.json.Decoder(_FirstCommand)


def version_of(message: bytes) -> int:
    """Return the version of the protocol of a first text message: 1, 2, or 0 if it is not a command of either.

    Commands of version 1 have the method in a field, and may be in arrays. Commands of version 2 have a number as their
    ID, and the method as a key.
    """
    if message.startswith(b"["):
        return 1
    try:
        command = _first_command.decode(message.partition(b"\n")[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    if command.method:
        return 1
    return 2 if command.connect or bytes(command.id)[:1].isdigit() else 0


class ClientConnection:
    """One connection. `handle` is called with one message at a time; `close` may be called at any time."""

    __slots__ = (
        "outbox",
        "_client",
        "_closed",
        "_opening",
        "_request",
        "_requested",
        "_services",
        "_timer",
        "_transport",
    )

    def __init__(
        self,
        services: ClientServices,
        transport: Transport,
        opening: Opening | None = None,
        request: str = "",
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> None:
        self.outbox: Queue = transport.outbox
        self._client: ClientV1 | ClientV2 | None = None
        self._closed = False
        self._opening = opening
        self._services = services
        self._request = request
        self._transport = transport
        self._timer: Timer | None = None
        self._requested = requested
        node = services.node
        if requested.format or self._default_version == 2:
            transport.stop_pings()
        node.hub.open.add(self)
        delay = node.config.stale_connection_close_delay
        if delay > 0:
            self._timer = node.timers.after(delay, self._close_if_stale)

    # -- messages

    def handle(self, message: bytes) -> None:
        """Carry out one message of the client. The first one determines the version."""
        client = self._client or self._decide(message)
        if client is not None:
            client.handle(message)

    def handle_text(self, message: str) -> None:
        """Carry out one message given as text. Half of a surrogate pair, which UTF-8 cannot encode, is escaped."""
        self.handle(message.encode("utf-8", "backslashreplace"))

    def _decide(self, message: bytes) -> ClientV1 | ClientV2 | None:
        """Create the client for the version of `message`; None if the connection is closed already."""
        if self._closed:
            return None
        node, transport = self._services.node, self._transport
        node.hub.open.discard(self)
        start = ConnectionStart(self._opening, self._request, self._timer)
        self._timer = None
        format_ = _FORMATS.get(self._requested.format) if transport.binary_frame else None
        if format_ is None and (version_of(message) or self._default_version) == 2:
            format_ = JSON
        if format_ is None:
            self._client = ClientV1(node, transport, start)
        else:
            self._client = ClientV2(self._services, transport, format_, start, self._requested.has_own_pings)
        mismatch = format_mismatch(format_, message, FRAME_MISMATCH)
        if mismatch:  # the client closes the connection, because it cannot decode the message
            node.refusals.note_closed(self._client, f"{CLOSE_BAD_REQUEST.reason}: {mismatch}")
        return self._client

    @property
    def _default_version(self) -> int:
        """The version of a client that has sent nothing yet: 1, unless the server only has keys of version 2."""
        config = self._services.node.config
        return 2 if config.checks_tokens and not config.secret and not config.insecure else 1

    def _leave(self) -> None:
        """Unregister, because the connection ends."""
        self._services.node.hub.open.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    # -- for the hub and the node, before the first message

    @property
    def channels(self) -> Collection[str]:
        """The channels of the client; always empty before its first message."""
        return ()

    def recover_again(self, channel: str) -> None:
        """Do nothing, because there are no subscriptions."""

    # -- the end

    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection; `disconnect` is None if the peer has closed it."""
        if self._client is not None:
            self._client.close(disconnect)
        elif not self._closed:
            self._closed = True
            self._leave()
            self._note_close(disconnect)
            if disconnect is not None:
                self._close_transport(disconnect)

    def _note_close(self, disconnect: Disconnect | None) -> None:
        breakdowns = self._services.node.metrics.breakdowns
        if disconnect is None:
            breakdowns.note_close(UNKNOWN_PROTOCOL, 0, PEER_CLOSED)
        else:
            breakdowns.note_close(UNKNOWN_PROTOCOL, disconnect_of(disconnect).code, disconnect.reason)

    def _close_transport(self, disconnect: Disconnect) -> None:
        if not self._requested.format and self._default_version == 1:
            self._transport.close(disconnect.code, disconnect.close_reason)
        else:
            translated = disconnect_of(disconnect)
            self._transport.close(translated.code, translated.reason)

    def close_slow(self) -> None:
        """Close a slow client: more data waits to be written than client_queue_max_size."""
        if self._client is not None:  # else nothing has been sent
            self._client.close_slow()

    def close_silent(self) -> None:
        """Close the connection of a client that has not answered a ping."""
        if self._client is not None:
            self._client.close_silent()
        else:
            self._services.node.metrics.counters.client_num_closed_ping_error += 1
            gevent.spawn(self.close, CLOSE_PING_ERROR)

    def close_failed(self, reason: str) -> None:
        """Close the connection after the transport failed to write."""
        if self._client is not None:
            self._client.close_failed(reason)
        else:
            self._services.node.metrics.counters.client_num_closed_send_error += 1
            gevent.spawn(self.close, CLOSE_SEND_ERROR)

    def close_too_large(self) -> None:
        """Close the connection because a message is too large. May block."""
        client = self._client or self._decide(b"")
        if client is not None:
            client.close_too_large()

    def close_broken(self, error: Exception) -> None:
        """Log an unexpected error, and close with the advice to reconnect."""
        if self._client is not None:
            self._client.close_broken(error)
        else:
            log.error("internal error, closing a connection before its first command", exc_info=error)
            self.close(CLOSE_INTERNAL_ERROR)

    def _close_if_stale(self) -> None:
        gevent.spawn(self.close, CLOSE_STALE)
