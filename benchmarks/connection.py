"""One subscriber over a WebSocket: handshake, connect, subscribe; then its receiver processes all data."""

from __future__ import annotations

import time

from benchmarks.frames import CLOSE, CLOSE_FRAME, PING, PONG_FRAME, Frame, FrameReader, close_reason, masked_frame
from benchmarks.subscriber import Subscriber

# One buffer for all connections: what is read is counted or copied before the next read.
_view = memoryview(bytearray(1 << 18))


class Connection(Subscriber):
    """A subscriber over a WebSocket."""

    extensions = ""
    """A line of the handshake's request."""

    def _prepare(self) -> None:
        self._answer = b""
        self._frames = FrameReader()

    def start_closing(self) -> None:
        """Send a close frame; the server then closes the connection."""
        self._send(CLOSE_FRAME)

    # -- the steps to a subscription; each waits for the server's answer to the one before

    def _connected(self) -> None:
        self._loop.watch(self._socket, self._read_handshake)
        head = (
            f"GET {self._path()} HTTP/1.1\r\nHost: {self._target.host}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{self.extensions}"
            f"{self._subprotocol()}\r\n"
        )
        self._send(head.encode())

    def _read_handshake(self) -> None:
        self._answer += self._read_answer()
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if " 101" not in status:
            raise self._failed(f"the server answered {status[:80]!r} to the WebSocket handshake")
        if self.extensions and b"permessage-deflate" not in head:
            raise self._failed("the server does not compress (option websocket_compression)")
        self._frames.rest = rest
        self._begin_session()

    def _path(self) -> str:
        return self._target.websocket_path

    def _subprotocol(self) -> str:
        name = self._target.protocol.subprotocol
        return f"Sec-WebSocket-Protocol: {name}\r\n" if name else ""

    def _begin_session(self) -> None:
        self._loop.watch(self._socket, self._read_connect_reply)
        self._command(self._target.protocol.connect(self._user, self._target.secret))

    def _read_connect_reply(self) -> None:
        if self._has_reply("connect"):
            self._loop.watch(self._socket, self._read_subscribe_reply)
            self._command(self._target.protocol.subscribe(self._channel))

    def _read_subscribe_reply(self) -> None:
        if self._has_reply("subscribe"):
            self._handle_subscribed()

    def _handle_subscribed(self) -> None:
        """Finish the setup: the subscription is confirmed, and messages follow."""
        self._subscribed = time.monotonic()
        self._loop.watch(self._socket, self._receive)
        self._on_subscribed(self)

    def _command(self, command: bytes) -> None:
        self._send(masked_frame(self._target.protocol.opcode, command))

    def _has_reply(self, method: str) -> bool:
        """Return whether the reply has arrived; earlier pushes are discarded."""
        for frame in self._frames.feed(self._read_answer()):
            if frame.opcode == CLOSE:
                raise self._failed(f"the server closed the connection: {close_reason(frame.payload)}")
            if frame.opcode == self._target.protocol.opcode and self._is_reply(frame.message, method):
                return True
        return False

    def _read_answer(self) -> bytes:
        try:
            data = self._socket.recv(len(_view))
        except OSError as error:
            raise self._failed(error.strerror) from None
        if not data:
            raise self._failed("the server closed the connection without a close frame")
        return data

    # -- subscribed

    def _receive(self) -> None:
        try:
            size = self._socket.recv_into(_view)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.strerror or "the connection broke")
            return
        if not size:
            self._end("without a close frame")
            return
        for frame in self.receiver.receive(_view[:size]):
            self._answer_control(frame)

    def _answer_control(self, frame: Frame) -> None:
        if frame.opcode == PING:
            self._send(PONG_FRAME)
        elif frame.opcode == CLOSE:
            self.ended = close_reason(frame.payload)
        elif frame.payload == self._target.protocol.ping:
            self._command(frame.payload)


class CompressedConnection(Connection):
    """A connection that requests compression, and fails if the server does not support it."""

    extensions = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
