"""A WebSocket connection after the handshake: receives messages, sends frames, and closes the connection.

One greenlet receives; any greenlet may append to the outbox and call `close`. Independent of the content of messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, Protocol

from ..net.direct_socket import RECV_SIZE
from ..net.direct_tls import raw_of
from ..net.flusher import Flusher
from ..net.linger import linger
from ..net.outbox import Outbox, OutboxLimits
from ..net.read_allowance import ReadAllowance
from ..net.socket_queues import unread_bytes
from ..net.transport import TransportOwner
from ..runtime.running_clock import TimeLimit, running_time
from ..runtime.timers import RoughDelay, Timer, Timers, first_delay
from ..runtime.yielding import yield_if_due
from .compression import Deflate, inflate_extension
from .frame_reader import FrameReader, WebSocketMessage
from .frames import PING_FRAME, binary_frame, close_frame, data_frame, text_frame

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Seconds for writing the remaining frames and for the peer's answer to a close frame."""
MESSAGE_TIME = 10.0
"""Seconds that the rest of a message may take, plus the time for the bytes that arrive (net/read_allowance.py)."""
ARRIVED_DATA_TIMEOUT = 0.05
"""Seconds in which the event loop detects data that has already arrived."""
INFLATE_BATCH_SIZE = 1024
"""Bytes of compressed frames that are parsed before their messages are handled: about 12 messages of 64 KB."""
NO_STATUS = 1005
"""The code for a close frame without a code (RFC 6455 7.4.1); it is never sent."""


class _MessageTimeout(BaseException):
    """The rest of a message has taken too long to arrive."""


class WebSocketLimits(OutboxLimits, Protocol):
    """The options of the configuration that apply to a WebSocket."""

    @property
    def ping_interval(self) -> float:
        """Seconds between two pings; 0 sends no pings."""


class WebSocket:
    """A WebSocket connection. `recv` reads from the socket, or first returns data that was already read.

    A peer that always sends must not keep the other greenlets from running, so `recv` must let them run when it is due.

    `max_size` is the maximum size of a message in bytes; for a larger one the owner closes the connection. With
    `deflate`, which the handshake has negotiated, messages are compressed.
    """

    name = "websocket"

    __slots__ = (
        "binary_frame",
        "frame",
        "outbox",
        "_allowance",
        "_close_timer",
        "_closing",
        "_data_frame",
        "_ended",
        "_messages",
        "_owner",
        "_ping_interval",
        "_ping_timer",
        "_pongs_before",
        "_reader",
        "_recv",
        "_socket",
        "_timers",
        "_unparsed",
    )

    def __init__(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        flusher: Flusher,
        timers: Timers,
        limits: WebSocketLimits,
        max_size: int,
        deflate: Deflate | None = None,
    ) -> None:
        self._owner: TransportOwner | None = None
        self.outbox = Outbox(
            flusher,
            raw_of(socket),  # gevent's socket waits; the flusher must not
            limits.client_queue_max_size,
            self._handle_overflow,
            self._handle_write_error,
            limits.client_message_write_timeout,
        )
        self.frame: Callable[[bytes], bytes] = deflate.frame if deflate else text_frame
        """Encodes a text message for the outbox; the same function for all connections with the same compression."""
        self.binary_frame: Callable[[bytes], bytes] = deflate.binary_frame if deflate else binary_frame
        """Encodes a binary message for the outbox; the same function for all connections with the same compression."""
        self._data_frame = deflate.data_frame if deflate else data_frame
        self._socket = socket
        self._recv = recv
        self._timers = timers
        self._reader = FrameReader(max_size, (inflate_extension(),) if deflate else ())
        self._unparsed = b""  # received data that waits until the messages before it have been handled
        self._allowance: ReadAllowance | None = None  # for the message that has begun to arrive
        self._messages: list[WebSocketMessage] = []  # newest first; an empty deque would take 0.7 KB
        self._closing = self._ended = False
        self._close_timer: Timer | None = None
        self._ping_timer: Timer | None = None
        self._pongs_before: int | None = None  # the number of pongs before the ping that waits for one
        self._ping_interval = limits.ping_interval
        if self._ping_interval > 0:
            self._ping_timer = timers.after(RoughDelay(first_delay(self._ping_interval)), self._ping)

    def serve(self, owner: TransportOwner, handle: Callable[[bytes], None]) -> None:
        """Call `handle` with every message until the connection has ended, and notify `owner` of failures.

        The next message waits until `handle` returns. An exception that it raises ends the connection.
        """
        self._owner = owner
        try:
            while (message := self.receive()) is not None:
                handle(message.data)
                del message  # it would take memory until the next one arrives
        except Exception as error:
            owner.close_broken(error)
        finally:
            owner.close()
            self.finish()
            self._owner = None  # it refers to this object: only the garbage collector could free the two

    @property
    def is_closing(self) -> bool:
        """Whether a close frame has been queued, after which nothing may be sent."""
        return self._closing

    # -- in

    def receive(self) -> WebSocketMessage | None:
        """Wait for the next message. Returns None at the end of the connection; call `finish` then."""
        if self._messages or self._unparsed:  # otherwise `recv` lets other greenlets run
            yield_if_due()
        while not self._messages:
            if self._ended or not self._read():
                return None
            if not self._messages:
                yield_if_due()  # control frames alone make no message
        return self._messages.pop()

    def _read(self) -> bool:
        reader = self._reader
        if reader.closed or reader.failed:
            self._answer_end()
            return False
        try:
            data = self._unparsed or (self._recv_rest() if reader.is_inside_message else self._recv(RECV_SIZE))
        except (OSError, ValueError):  # ValueError: a buffered reader whose socket was closed
            data = b""
        except _MessageTimeout:
            reader.fail_slow()
            return True
        if not data:
            self._ended = True
            return False
        if reader.inflates:
            data, self._unparsed = data[:INFLATE_BATCH_SIZE], data[INFLATE_BATCH_SIZE:]
        messages, pongs = reader.feed(data)
        if self._allowance is not None and (messages or not reader.is_inside_message):
            self._allowance = None
        if not self._closing:
            messages.reverse()
            self._messages = messages
            for pong in pongs:
                self.outbox.append(pong)
        return True

    def _recv_rest(self) -> bytes:
        """Wait for more data of a message. Raises _MessageTimeout if the peer is too slow."""
        allowance = self._allowance = self._allowance or ReadAllowance(MESSAGE_TIME)
        began = running_time()
        data = self._recv_with_timeout(allowance.left)
        allowance.note_waited(running_time() - began)
        allowance.note_received(len(data))
        return data

    def _recv_with_timeout(self, seconds: float) -> bytes:
        if seconds > 0:
            with suppress(_MessageTimeout), TimeLimit(seconds, _MessageTimeout()):
                return self._recv(RECV_SIZE)
        if not unread_bytes(self._socket):
            raise _MessageTimeout
        with TimeLimit(ARRIVED_DATA_TIMEOUT, _MessageTimeout()):  # the process was too busy to notice the data in time
            return self._recv(RECV_SIZE)

    def _answer_end(self) -> None:
        """Answer a close frame or a protocol error of the peer. Earlier messages have been handled by then."""
        self._ended = True
        if self._reader.closed is not None:
            code = self._reader.closed.code
            self._send_close(b"\x88\x00" if code == NO_STATUS else close_frame(code, self._reader.closed.reason))
        elif self._reader.failed is not None:
            if self._reader.too_big and self._owner is not None:
                self._owner.close_too_large()
            self._send_close(close_frame(*self._reader.failed))  # does nothing if the owner has closed the connection

    # -- out

    def send(self, message: WebSocketMessage) -> None:
        """Queue a text message for sending."""
        if not self._closing:
            self.outbox.append(self._data_frame(message.opcode, message.data))

    def stop_pings(self) -> None:
        """Stop sending ping frames to the peer."""
        if self._ping_timer is not None:
            self._ping_timer.cancel()

    def close(self, code: int, reason: str) -> None:
        """Send waiting frames, then a close frame. The connection ends with the answer or after CLOSE_TIMEOUT."""
        self._send_close(close_frame(code, reason))

    def abort(self) -> None:
        """End the connection without a close frame. `receive` returns None, and received messages are discarded."""
        self._ended = True
        self._messages.clear()
        self._shutdown()

    def finish(self) -> None:
        """Write waiting frames, and release everything except the socket. Blocks for CLOSE_TIMEOUT at most."""
        self._cancel_timers()
        if self._closing and self.outbox.drain(CLOSE_TIMEOUT) and self._reader.failed:
            linger(self._socket)
        self._ended = True
        self.outbox.close()
        self._shutdown()

    def _send_close(self, frame: bytes) -> None:
        if self._closing:
            return
        self._closing = True
        self._messages.clear()
        self.stop_pings()
        self.outbox.append(frame)
        self._close_timer = self._timers.after(CLOSE_TIMEOUT, self.abort)

    def _shutdown(self) -> None:
        with suppress(OSError):  # the peer was faster
            self._socket.shutdown(SHUT_RDWR)

    # -- trouble

    def _handle_overflow(self) -> None:
        if self._owner is None:
            self.abort()
        else:
            self._owner.close_slow()

    def _handle_write_error(self, reason: str) -> None:
        if self._owner is not None:
            self._owner.close_failed(reason)
        self.abort()

    def _pong_timed_out(self) -> None:
        if self._owner is None:
            self.abort()
        else:
            self._owner.close_silent()

    def _ping(self) -> float | None:
        """Send a ping, or check that the last one was answered. Returns the seconds until the next call.

        The peer has a ninth of the interval to answer: it is closed ten ninths after its last pong, as in Centrifugo.
        """
        if self._pongs_before is None:
            self.outbox.append(PING_FRAME)
            self._pongs_before = self._reader.pongs
            return self._ping_interval / 9
        if self._reader.pongs != self._pongs_before:
            self._pongs_before = None
            return RoughDelay(self._ping_interval * 8 / 9)
        if self._unparsed or unread_bytes(self._socket):
            # The reading greenlet is busy, for example with a hook. Unread data shows that the peer is alive, and may
            # contain the pong.
            return self._ping_interval / 9
        self._pong_timed_out()
        return None

    def _cancel_timers(self) -> None:
        for timer in (self._ping_timer, self._close_timer):
            if timer is not None:
                timer.cancel()
