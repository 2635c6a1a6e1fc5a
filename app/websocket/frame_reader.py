"""Parses received WebSocket frames into messages, without I/O.

Most received frames are small masked text frames, which are parsed here. The parser of the `websockets` library parses
all others (13 µs for a frame of 65 KB, while wsproto takes 88 µs).
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Sequence
from typing import NamedTuple

from websockets.exceptions import PayloadTooBig
from websockets.extensions import Extension
from websockets.frames import Close, Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.protocol import Protocol, Side, State

from .frames import BINARY, TEXT, TWO_BYTE_LENGTH

PONG = b"\x8a"

# The possible first bytes of plain frames.
FINAL_TEXT = 0x81
FINAL_BINARY = 0x82
FINAL_MESSAGES = (FINAL_TEXT, FINAL_BINARY)
FINAL_PONG = 0x8A
MASKED = 0x80
EMPTY_PONG = b"\x8a\x80"
"""The beginning of the answer to a ping of this server, before the mask."""
MIN_FRAME_SIZE = 6

INVALID_DATA = 1007
MESSAGE_TOO_BIG = 1009
TOO_BIG = "message too big"
TOO_SLOW = 1008
TOO_SLOW_REASON = "message took too long to arrive"

CONTROL_ROOM = 125
"""Bytes added to the limit, because the library adds a ping within a fragmented message to that message's size."""

# The library would log the end of every connection, but this server has its own log messages for that.
_silent = logging.getLogger(f"{__name__}.parser")
_silent.disabled = True


class WebSocketMessage(NamedTuple):
    """A complete message from the peer. Text is valid UTF-8."""

    opcode: int
    data: bytes


_new = tuple.__new__  # in half the time of the constructor


class FrameReader:
    """Parses received bytes into messages, and provides the required answers, such as pongs.

    `max_size` is the maximum size of a message in bytes, `extensions` are those negotiated in the handshake.
    Once `failed` or `closed` is set, no more messages are returned.
    """

    __slots__ = (
        "closed",
        "failed",
        "inflates",
        "is_inside_message",
        "pongs",
        "too_big",
        "_collected",
        "_decoder",
        "_ends",
        "_extensions",
        "_max_size",
        "_opcode",
        "_parser",
    )

    def __init__(self, max_size: int, extensions: Sequence[Extension] = ()) -> None:
        self.closed: Close | None = None
        """Code and reason of the peer's close frame; None until it has arrived."""
        self.failed: tuple[int, str] | None = None
        """Code and reason for the close frame after a protocol error of the peer; None without one."""
        self.too_big = False
        """Whether the protocol error was a message over `max_size`."""
        self.pongs = 0
        """Number of pongs received."""
        self.inflates = bool(extensions)
        """Whether messages may be compressed."""
        self.is_inside_message = False
        """Whether a frame has begun and is not complete, or more fragments of a message must follow."""
        self._ends: _FrameEnds
        self._parser: Protocol | None = None
        """Created for the first frame that is not plain: it takes 10 µs and 3 KB, and most clients never need it."""
        self._max_size = max_size
        self._extensions = extensions
        self._opcode = TEXT
        self._collected: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    def fail_slow(self) -> None:
        """Fail the connection because the rest of a message has not arrived before the timeout."""
        self.failed = (TOO_SLOW, TOO_SLOW_REASON)

    def feed(self, data: bytes) -> tuple[list[WebSocketMessage], list[bytes]]:
        """Return the messages that `data` completes, and the pong frames to send.

        The answer to a close frame is not included: it must be sent after the messages have been handled.
        """
        if self._parser is None:
            if len(data) == MIN_FRAME_SIZE and data.startswith(EMPTY_PONG):  # all that most clients ever send
                self.pongs += 1
                return [], []
            messages, data = self._take_plain(data)
            if not data or self.failed:
                return messages, []
            max_size = self._max_size + CONTROL_ROOM
            self._parser = Protocol(Side.SERVER, state=State.OPEN, max_size=max_size, logger=_silent)
            self._ends = _FrameEnds(self._parser)
            self._parser.extensions.extend((*self._extensions, self._ends))
            more, pongs = self._parse(self._parser, data)
            return messages + more, pongs
        return self._parse(self._parser, data)

    def _take_plain(self, data: bytes) -> tuple[list[WebSocketMessage], bytes]:
        """Return the messages in plain frames at the beginning of `data`, and the data after them.

        A plain frame is a complete masked frame with a complete message whose length has at most two bytes, or a pong.
        Nearly all frames are plain. Parsing one takes 1 µs here, and 5 µs in the parser.
        """
        messages = []
        position = 0
        size = len(data)
        while position < size and (payload := _plain_payload(data, position, self._max_size)) is not None:
            start, end = payload
            first = data[position]
            if first == FINAL_PONG:
                self.pongs += 1
            else:
                content = apply_mask(data[start:end], data[start - 4 : start])
                if first == FINAL_TEXT and not self._is_text(content):
                    break
                messages.append(_new(WebSocketMessage, (TEXT if first == FINAL_TEXT else BINARY, content)))
            position = end
        return messages, data[position:]

    def _parse(self, parser: Protocol, data: bytes) -> tuple[list[WebSocketMessage], list[bytes]]:
        self._ends.is_last_complete = False
        parser.receive_data(data)
        messages = []
        for frame in parser.events_received():
            assert isinstance(frame, Frame)
            message = self._take(frame)
            if message is not None:
                messages.append(message)
            if self.failed:
                return messages, []
        self.is_inside_message = not self._ends.is_last_complete or self._collected is not None
        pongs = [answer for answer in parser.data_to_send() if answer[:1] == PONG]
        # A close frame also ends a message that is incomplete. The library would treat that as an error.
        self.closed = parser.close_rcvd
        if parser.parser_exc is not None and self.closed is None:
            self._fail(parser)
        return messages, pongs

    def _fail(self, parser: Protocol) -> None:
        if isinstance(parser.parser_exc, PayloadTooBig):
            self._fail_too_big()
            return
        close = parser.close_sent
        self.failed = (close.code, close.reason) if close is not None else (1002, "protocol error")

    def _fail_too_big(self) -> None:
        self.too_big = True
        self.failed = (MESSAGE_TOO_BIG, TOO_BIG)

    def _take(self, frame: Frame) -> WebSocketMessage | None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            return self._start(frame)
        if opcode is Opcode.CONT:
            return self._continue(frame)
        if opcode is Opcode.PONG:
            self.pongs += 1
        return None

    def _start(self, frame: Frame) -> WebSocketMessage | None:
        self._opcode = int(frame.opcode)
        if frame.fin:
            data = bytes(frame.data)
            if len(data) > self._max_size:
                self._fail_too_big()
            elif self._opcode != TEXT or self._is_text(data):
                return WebSocketMessage(self._opcode, data)
            return None
        self._collected = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")() if self._opcode == TEXT else None
        return self._continue(frame)

    def _continue(self, frame: Frame) -> WebSocketMessage | None:
        """Add a fragment. Text is validated immediately, so that a long message fails at its first invalid byte."""
        assert self._collected is not None
        data = frame.data
        self._collected += data
        if len(self._collected) > self._max_size:
            self._fail_too_big()
            return None
        if self._decoder is not None:
            try:
                self._decoder.decode(data, frame.fin)
            except UnicodeDecodeError:
                self.failed = (INVALID_DATA, "invalid UTF-8")
                return None
        if not frame.fin:
            return None
        message = WebSocketMessage(self._opcode, bytes(self._collected))
        self._collected = self._decoder = None
        return message

    def _is_text(self, data: bytes) -> bool:
        try:
            data.decode()
        except UnicodeDecodeError:
            self.failed = (INVALID_DATA, "invalid UTF-8")
            return False
        return True


class _FrameEnds(Extension):
    """Records whether the data passed to the parser ends with a complete frame. The parser does not report it."""

    def __init__(self, parser: Protocol) -> None:
        self.is_last_complete = True
        self._received = parser.reader

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Record a complete frame; the parser calls this for each one."""
        self.is_last_complete = not self._received.buffer
        return frame

    def encode(self, frame: Frame) -> Frame:
        """Do nothing for a frame that the parser sends; the parser requires the method."""
        return frame


def _plain_payload(data: bytes, position: int, max_size: int) -> tuple[int, int] | None:
    """Return where the payload of the plain frame at `position` begins and ends.

    Returns None if there is no plain frame, or only a part of it.
    """
    if position + MIN_FRAME_SIZE > len(data):
        return None
    first, size = data[position], data[position + 1] - MASKED
    start = position + MIN_FRAME_SIZE
    if size == TWO_BYTE_LENGTH and first in FINAL_MESSAGES:
        size = int.from_bytes(data[position + 2 : position + 4], "big")
        start += 2
        if size < TWO_BYTE_LENGTH:
            return None
    elif not 0 <= size < TWO_BYTE_LENGTH or (first not in FINAL_MESSAGES and first != FINAL_PONG):
        return None
    end = start + size
    return (start, end) if size <= max_size and end <= len(data) else None
