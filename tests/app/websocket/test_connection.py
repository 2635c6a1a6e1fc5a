"""Behaviour of a WebSocket on a real socket: messages, pings, closing by either side, and misbehaving peers."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.socket import SHUT_WR, socketpair

from gentrifugo.app.net import linger
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.runtime.timers import Timers
from gentrifugo.app.websocket import connection as websocket_module
from gentrifugo.app.websocket.compression import Compression, agree
from gentrifugo.app.websocket.connection import WebSocket
from gentrifugo.app.websocket.frame_reader import WebSocketMessage
from gentrifugo.app.websocket.frames import COMPRESSED
from tests.greenlets import eventually, settle
from tests.waiting import seconds
from tests.websocket_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Closed, Frame, WebSocketClient

LONG = seconds(10)
"""Seconds that no test waits."""
MAX_SIZE = 100_000
LARGE = WebSocketMessage(BINARY, b"L" * 90_000)


@dataclass(frozen=True)
class Limits:
    """Options of a WebSocket: no pings, and a large queue."""

    client_queue_max_size: int = 1 << 30
    client_message_write_timeout: float = 0
    ping_interval: float = 0


class Owner:
    """The owner of a WebSocket; `told` records notifications of failures, `closes` counts the calls of `close`."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.closes = 0
        self.on_too_large: Callable[[], None] = lambda: None

    def close_slow(self) -> None:
        self.told.append("slow")

    def close_silent(self) -> None:
        self.told.append("silent")

    def close_failed(self, reason: str) -> None:
        self.told.append(f"failed: {reason}")

    def close_too_large(self) -> None:
        self.told.append("too large")
        self.on_too_large()

    def close_broken(self, error: Exception) -> None:
        self.told.append(f"broken: {error}")

    def close(self) -> None:
        self.closes += 1


class Line:
    """A WebSocket on one end of a socket pair, and a peer on the other."""

    def __init__(
        self, timers: Timers, limits: Limits, recv: Callable[[int], bytes] | None = None, **arguments: Any
    ) -> None:
        self.socket, peer = socketpair()
        peer.settimeout(LONG)
        self.peer = WebSocketClient(peer, {}, b"")
        self.websocket = WebSocket(
            self.socket, recv or self.socket.recv, Flusher(0), timers, limits, MAX_SIZE, **arguments
        )
        self.owner = Owner()
        self.received: list[bytes] = []
        self.handle: Callable[[bytes], None] = self.received.append
        self.serving = gevent.spawn(self.websocket.serve, self.owner, lambda message: self.handle(message))

    def ended(self) -> bool:
        """Wait at most LONG until the WebSocket has released the connection; return whether it has."""
        self.serving.join(LONG)
        return self.serving.successful()

    def close(self) -> None:
        self.peer.drop()
        assert self.ended()
        self.socket.close()


@pytest.fixture
def timers(nothing_left_behind: None) -> Iterator[Timers]:
    timers = Timers(resolution=0.01)
    timers.start()
    yield timers
    timers.stop()


@pytest.fixture
def open_line(timers: Timers) -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []

    def opened(limits: Limits | None = None, **arguments: Any) -> Line:
        lines.append(Line(timers, limits or Limits(), **arguments))
        return lines[-1]

    yield opened
    for line in lines:
        line.close()


@pytest.fixture
def line(open_line: Callable[..., Line]) -> Line:
    return open_line()


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack("!H", code) + reason.encode()


# -- messages


def test_messages_are_received_unchanged(line: Line) -> None:
    line.peer.send_frame(TEXT, b"a")
    line.peer.send_frame(BINARY, b"\xff")
    line.peer.send_frame(TEXT, b"b", fin=False)
    line.peer.send_frame(CONTINUATION, b"c")
    eventually(lambda: len(line.received) == 3)
    assert line.received == [b"a", b"\xff", b"bc"]


def test_messages_are_sent_in_the_order_of_the_queue(line: Line) -> None:
    line.websocket.send(WebSocketMessage(TEXT, b"a"))
    line.websocket.outbox.append(line.websocket.frame(b"b"))
    line.websocket.send(LARGE)
    assert [line.peer.recv_frame() for _ in range(3)] == [
        Frame(TEXT, b"a"),
        Frame(TEXT, b"b"),
        Frame(BINARY, LARGE.data),
    ]


def test_pings_are_answered(line: Line) -> None:
    line.peer.send_frame(PING, b"now")
    assert line.peer.recv_frame() == Frame(PONG, b"now")


# -- the end, by the peer


def test_close_frame_of_the_peer_is_answered_with_its_code_and_reason(line: Line) -> None:
    line.peer.send_frame(CLOSE, close_payload(4321, "bye"))
    assert line.peer.recv_frame() == Frame(CLOSE, close_payload(4321, "bye"))
    with pytest.raises(Closed):
        line.peer.recv_frame()
    assert line.ended()


def test_close_frame_without_a_code_is_answered_without_a_code(line: Line) -> None:
    line.peer.send_frame(CLOSE)
    assert line.peer.recv_frame() == Frame(CLOSE, b"")
    assert line.ended()


def test_messages_before_the_close_frame_are_received_first(line: Line) -> None:
    line.peer.send_frame(TEXT, b"a")
    line.peer.send_frame(CLOSE, close_payload(1000))
    line.peer.send_frame(TEXT, b"b")
    assert line.ended()
    assert line.received == [b"a"]


def test_connection_ends_when_the_peer_disconnects(line: Line) -> None:
    line.peer.send_frame(TEXT, b"a")
    line.peer.drop()
    assert line.ended()
    assert line.received == [b"a"]


def test_connection_ends_when_the_peer_disconnects_within_a_frame(line: Line) -> None:
    line.peer.send_bytes(b"\x81\x85\0\0\0\0he")
    line.peer.drop()
    assert line.ended()
    assert line.received == []


def test_closed_socket_ends_the_connection(open_line: Callable[..., Line]) -> None:
    """Under the stock worker a buffered file is read, which raises ValueError then."""
    line = open_line(recv=_raise_value_error)
    assert line.ended()


def _raise_value_error(size: int) -> bytes:
    raise ValueError("I/O operation on closed file")


# -- the end, by us


def test_closing_handshake_ends_with_the_close_frame_of_the_peer(line: Line) -> None:
    line.websocket.close(3000, "enough")
    assert line.peer.recv_frame() == Frame(CLOSE, close_payload(3000, "enough"))
    settle()
    assert not line.serving.ready()
    line.peer.send_frame(CLOSE, close_payload(3000))
    assert line.ended()


def test_close_frame_is_sent_after_queued_messages(line: Line) -> None:
    line.websocket.send(LARGE)
    line.websocket.close(1000, "")
    assert line.peer.recv_frame().payload == LARGE.data
    assert line.peer.recv_frame().opcode == CLOSE


def test_close_frame_is_sent_once(line: Line) -> None:
    line.websocket.close(3000, "first")
    line.websocket.close(3001, "second")
    line.peer.send_frame(CLOSE, close_payload(3000))
    assert line.peer.recv_frame() == Frame(CLOSE, close_payload(3000, "first"))
    with pytest.raises(Closed):
        line.peer.recv_frame()


def test_no_frame_is_sent_or_received_after_close(line: Line) -> None:
    line.websocket.close(3000, "enough")
    line.websocket.send(WebSocketMessage(TEXT, b"a"))
    line.peer.send_frame(TEXT, b"b")
    line.peer.send_frame(PING)
    line.peer.send_frame(CLOSE, close_payload(3000))
    assert line.ended()
    assert line.received == []
    assert line.peer.recv_frame().opcode == CLOSE
    with pytest.raises(Closed):
        line.peer.recv_frame()


def test_unanswered_close_frame_ends_the_connection_after_the_timeout(
    open_line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "CLOSE_TIMEOUT", 0.05)
    line = open_line()
    line.websocket.close(3000, "enough")
    assert line.ended()


def test_unread_close_frame_ends_the_connection_after_the_timeout(
    open_line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_module, "CLOSE_TIMEOUT", 0.05)
    line = open_line()
    for _ in range(20):
        line.websocket.send(LARGE)
    line.websocket.close(3000, "enough")
    assert line.ended()
    assert line.websocket.outbox.frames == []


def test_abort_sends_no_close_frame(line: Line) -> None:
    line.websocket.abort()
    assert line.ended()
    with pytest.raises(Closed) as caught:
        line.peer.recv_frame()
    assert caught.value.code is None


def test_close_after_the_end_has_no_effect(line: Line) -> None:
    line.peer.drop()
    assert line.ended()
    line.websocket.finish()
    line.websocket.abort()
    line.websocket.close(1000, "")


# -- peers that break the protocol


def test_protocol_error_is_answered_with_a_close_code(line: Line) -> None:
    line.peer.send_frame(TEXT, b"a")
    line.peer.send_frame(3)
    frame = line.peer.recv_frame()
    assert (frame.opcode, frame.payload[:2]) == (CLOSE, close_payload(1002))
    line.peer.drop()
    assert line.ended()
    assert line.received == [b"a"]


def test_peer_that_keeps_sending_can_read_the_close_frame(line: Line) -> None:
    line.peer.send_frame(TEXT, b"\xff")
    line.peer.send_bytes(b"\xff" * 300_000)
    assert line.peer.recv_frame().payload[:2] == close_payload(1007)
    line.peer.sock.shutdown(SHUT_WR)
    assert line.ended()


def test_connection_of_a_peer_that_does_not_close_is_closed(
    open_line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linger, "LINGER_TIMEOUT", 0.05)
    line = open_line()
    line.peer.send_frame(3)
    assert line.ended()


def test_too_large_message_closes_with_1009(line: Line) -> None:
    line.peer.send_frame(TEXT, b"x" * (MAX_SIZE + 1))
    assert line.peer.recv_frame() == Frame(CLOSE, close_payload(1009, "message too big"))


BEGUN = [
    (b"\x01\x81\0\0\0\0a", b"\x00\x81\0\0\0\0a"),  # fragment after fragment
    (b"\x81\xfe\xff\xff\0\0\0\0", b"a"),  # a frame byte by byte
    (b"\x8a\x80\0\0\0\0\x81", b""),  # nothing after the first byte of a frame
]


@pytest.mark.parametrize(("begin", "piece"), BEGUN, ids=["fragments", "bytes", "nothing"])
def test_slowly_arriving_message_ends_with_a_timeout(
    open_line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch, begin: bytes, piece: bytes
) -> None:
    monkeypatch.setattr(websocket_module, "MESSAGE_TIME", 0.05)
    line = open_line()
    line.peer.send_bytes(begin)
    sender = gevent.spawn(trickle, line.peer, piece)
    frame = line.peer.recv_frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_payload(1008, "message took too long to arrive"))
    sender.kill()


def trickle(peer: WebSocketClient, piece: bytes) -> None:
    with suppress(OSError):  # the server has ended the connection
        while True:
            peer.send_bytes(piece)
            gevent.sleep(0.001)


def test_between_messages_a_peer_may_be_silent(open_line: Callable[..., Line], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_module, "MESSAGE_TIME", 0.05)
    line = open_line()
    line.peer.send_frame(TEXT, b"a", fin=False)
    line.peer.send_frame(PING)
    line.peer.send_frame(0, b"b")
    gevent.sleep(0.2)
    line.peer.send_frame(PING, b"x" * 125)
    gevent.sleep(0.2)
    line.peer.send_frame(TEXT, b"c")
    eventually(lambda: line.received == [b"ab", b"c"])


def test_too_large_message_is_reported_to_the_owner(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.owner.on_too_large = lambda: line.websocket.close(3000, "no")
    line.peer.send_bytes(b"\x81\xff" + b"\xff" * 8)
    assert line.peer.recv_frame() == Frame(CLOSE, close_payload(3000, "no"))
    assert line.owner.told == ["too large"]


# -- peers that give trouble


def test_peer_that_answers_pings_is_not_closed(open_line: Callable[..., Line]) -> None:
    line = open_line(Limits(ping_interval=seconds(0.5)))
    for _ in range(3):
        assert line.peer.recv_frame() == Frame(PING, b"")
        line.peer.send_frame(PONG)
    assert line.owner.told == []


def test_a_peer_that_answers_no_ping_is_silent(open_line: Callable[..., Line]) -> None:
    line = open_line(Limits(ping_interval=0.1))
    assert line.peer.recv_frame() == Frame(PING, b"")
    eventually(lambda: line.owner.told)
    assert line.owner.told == ["silent"]


def test_peer_with_an_unread_pong_is_not_closed(timers: Timers, nothing_left_behind: None) -> None:
    """The greenlet that reads is still busy with an earlier message of the peer."""
    busy = Event()

    def read(size: int) -> bytes:
        busy.wait()
        return unread.socket.recv(size)

    unread = Line(timers, Limits(ping_interval=0.1), read)
    assert unread.peer.recv_frame() == Frame(PING, b"")
    unread.peer.send_frame(PONG, b"")
    gevent.sleep(0.1)
    assert unread.owner.told == []
    busy.set()
    assert unread.peer.recv_frame() == Frame(PING, b""), "all goes on as before"
    eventually(lambda: unread.owner.told == ["silent"])
    unread.close()


def test_pings_stop_after_a_close_frame(open_line: Callable[..., Line]) -> None:
    line = open_line(Limits(ping_interval=0.05))
    line.websocket.close(3000, "enough")
    assert line.peer.recv_frame().opcode == CLOSE
    with pytest.raises(TimeoutError):
        line.peer.recv_frame(0.2)
    assert line.owner.told == []


def test_slow_peer_is_closed(open_line: Callable[..., Line]) -> None:
    line = open_line(Limits(client_queue_max_size=500_000))
    for _ in range(20):
        line.websocket.send(LARGE)
        settle()
    assert line.owner.told == ["slow"]


def test_peer_that_sends_pings_and_does_not_read_is_closed(open_line: Callable[..., Line]) -> None:
    line = open_line(Limits(client_queue_max_size=10_000))
    line.peer.sock.settimeout(0.2)
    with pytest.raises((TimeoutError, OSError)):
        while not line.owner.told:
            line.peer.send_bytes(b"\x89\xfd\0\0\0\0" + bytes(125))
        raise TimeoutError
    assert line.owner.told == ["slow"]


def test_peer_that_does_not_read_is_closed_after_the_write_timeout(open_line: Callable[..., Line]) -> None:
    line = open_line(Limits(client_message_write_timeout=0.05))
    for _ in range(20):
        line.websocket.send(LARGE)
    assert line.ended()
    assert line.owner.told == ["failed: write timeout: the client read nothing for 0.05 s"]


def test_disconnected_peer_is_noticed_when_writing(line: Line) -> None:
    line.peer.drop()
    line.websocket.send(WebSocketMessage(TEXT, b"a"))
    assert line.ended()
    assert [told.partition(":")[0] for told in line.owner.told] in (["failed"], [])


def test_received_message_has_its_opcode(timers: Timers) -> None:
    server_end, client_end = socketpair()
    websocket = WebSocket(server_end, server_end.recv, Flusher(0), timers, Limits(), MAX_SIZE)
    peer = WebSocketClient(client_end, {}, b"")
    peer.send_frame(TEXT, b"a")
    peer.send_frame(BINARY, b"\xff")
    assert [websocket.receive(), websocket.receive()] == [
        WebSocketMessage(TEXT, b"a"),
        WebSocketMessage(BINARY, b"\xff"),
    ]
    websocket.abort()
    assert websocket.receive() is None
    websocket.finish()
    server_end.close()
    client_end.close()


def test_an_exception_while_a_message_is_handled_ends_the_connection(open_line: Callable[..., Line]) -> None:
    line = open_line()

    def fail(message: bytes) -> None:
        raise ValueError(message.decode())

    line.handle = fail
    line.peer.send_frame(TEXT, b"a")
    line.peer.send_frame(TEXT, b"b")
    assert line.ended()
    assert (line.owner.told, line.owner.closes) == (["broken: a"], 1)


def test_owner_is_notified_once_of_a_disconnected_peer(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.peer.drop()
    assert line.ended()
    assert line.owner.closes == 1


def test_messages_that_wait_are_lost_when_the_connection_is_aborted(open_line: Callable[..., Line]) -> None:
    line = open_line()

    def abort(message: bytes) -> None:
        line.received.append(message)
        line.websocket.abort()

    line.handle = abort
    line.peer.send_bytes(2 * (b"\x81\x81\0\0\0\0a"))
    assert line.ended()
    assert line.received == [b"a"]


def test_a_peer_that_reads_nothing_ends_a_websocket_without_an_owner(timers: Timers) -> None:
    server_end, client_end = socketpair()
    websocket = WebSocket(server_end, server_end.recv, Flusher(0), timers, Limits(client_queue_max_size=10), MAX_SIZE)
    websocket.send(WebSocketMessage(TEXT, b"x" * 10_000_000))
    assert websocket.receive() is None
    websocket.finish()
    server_end.close()
    client_end.close()


def test_a_peer_that_answers_no_ping_ends_a_websocket_without_an_owner(timers: Timers) -> None:
    server_end, client_end = socketpair()
    websocket = WebSocket(server_end, server_end.recv, Flusher(0), timers, Limits(ping_interval=0.1), MAX_SIZE)
    assert websocket.receive() is None
    websocket.finish()
    server_end.close()
    client_end.close()


def test_flooding_peer_does_not_block_other_greenlets(open_line: Callable[..., Line]) -> None:
    """Pongs are not messages, so the WebSocket itself must yield."""
    over = False

    def always_more(size: int) -> bytes:
        return b"" if over else b"\x8a\x80\0\0\0\0" * 1000

    line = open_line(recv=always_more)
    for _ in range(5):
        gevent.sleep(0.001)
    assert not line.serving.ready()
    over = True
    assert line.ended()


def compressed(text: bytes) -> bytes:
    """A masked frame with a whole compressed message."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return bytes((0x80 | COMPRESSED | TEXT, 0x80 | len(deflated), 0, 0, 0, 0)) + deflated


def test_compressed_messages_wait_as_they_came_while_one_before_them_is_handled(
    open_line: Callable[..., Line],
) -> None:
    handling, handled = Event(), Event()
    line = open_line(deflate=agree(Compression(), "permessage-deflate"))

    def handle(message: bytes) -> None:
        line.received.append(message)
        handling.set()
        handled.wait()

    line.handle = handle
    frame = compressed(b" " * 65536)
    number = 16384 // len(frame)
    tracemalloc.start()
    try:
        line.peer.send_bytes(frame * number)
        assert handling.wait(LONG)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    handled.set()
    assert held < 2_000_000
    assert eventually(lambda: len(line.received) == number)


def test_peer_with_a_pong_behind_a_compressed_message_is_not_closed(open_line: Callable[..., Line]) -> None:
    handling, handled = Event(), Event()

    def handle(message: bytes) -> None:
        handling.set()
        handled.wait()

    line = open_line(Limits(ping_interval=0.2), deflate=agree(Compression(), "permessage-deflate"))
    line.handle = handle
    frame = compressed(b" " * 65536)
    pong = bytes((0x80 | PONG, 0x80, 0, 0, 0, 0))
    line.peer.send_bytes(frame * (websocket_module.INFLATE_BATCH_SIZE // len(frame) + 1) + pong)
    assert handling.wait(LONG)
    gevent.sleep(0.5)
    assert line.owner.told == []
    handled.set()
