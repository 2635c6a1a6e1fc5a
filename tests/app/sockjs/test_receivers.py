"""Behaviour of polls and streams on real sockets: what wakes them, who writes, and disconnected clients."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent
import gevent.socket
import greenlet
import pytest

from gentrifugo.app.exchange.exchange import Exchange, ServeStream, ServeWebSocket
from gentrifugo.app.http.client_address import TrustedProxies
from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.http.response import HTTPResponse
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.sockjs.peer import SockJSTransport
from gentrifugo.app.sockjs.receivers import Poll, StreamingRequest, WaitingRequest
from gentrifugo.app.sockjs.session import Session
from gentrifugo.app.sockjs.transports import XHRPolling, XHRStreaming
from tests.app.sockjs.fakes import FakePeer
from tests.greenlets import eventually, settle
from tests.waiting import seconds

LIMIT = 1000
HUGE = 1 << 24


class SocketExchange(Exchange):
    """An exchange on one end of a socket pair; responses are written without heads."""

    query = ""

    def read_body(self, max_size: int, timeout: float) -> bytes:
        return b""

    def respond(self, response: HTTPResponse) -> None:
        self.socket.sendall(response.body)

    def start(self, response: HTTPResponse) -> None:
        self.socket.sendall(self.chunk(response.body))

    def open_stream(self, response: HTTPResponse, serve: ServeStream) -> None:
        raise NotImplementedError

    @property
    def stream_end(self) -> bytes:
        raise NotImplementedError

    def finish(self) -> None:
        self.socket.sendall(b"end")

    def received(self) -> bytes:
        raise AssertionError("no connection is passed on here")

    def opening(self, proxies: TrustedProxies, is_whole: bool) -> Opening:
        return Opening(self.method, self.path, self.headers, "")

    def release(self) -> None:
        raise AssertionError("no connection is passed on here")

    def upgrade(self, serve: ServeWebSocket) -> None:
        raise AssertionError("nobody asks for a WebSocket")


class Bench:
    """A session that is open, a request that receives, and the client's end of its socket."""

    def __init__(self, make: Callable[[Exchange], WaitingRequest]) -> None:
        ours, self.client = gevent.socket.socketpair()
        self.client.settimeout(seconds(5))
        self.session = Session(Flusher(0), HUGE, self._connect)
        assert self.session.take() == b"o"
        self.exchange = SocketExchange("POST", "", "HTTP/1.0", {}, ours)
        self.receiver = make(self.exchange)
        self.session.attach(self.receiver)
        self.error: OSError | None = None
        self.greenlet = gevent.spawn(self._serve)
        settle()

    def _serve(self) -> None:
        try:
            self.receiver.serve(self.session)
        except OSError as error:
            self.error = error

    def _connect(self, transport: SockJSTransport, opening: Opening | None) -> FakePeer:
        self.peer = FakePeer(transport)
        return self.peer

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self.client.recv(size - len(data))):
            data += more
        return data

    def end(self) -> None:
        self.client.close()
        self.greenlet.join(seconds(2))
        self.exchange.socket.close()


def poll(exchange: Exchange) -> WaitingRequest:
    return Poll(exchange, XHRPolling(), {}, 0)


def stream(exchange: Exchange, write_timeout: float = 0) -> WaitingRequest:
    return StreamingRequest(exchange, XHRStreaming(), {}, write_timeout, LIMIT)


def alive() -> set[gevent.Greenlet[..., Any]]:
    return {thing for thing in gc.get_objects() if issubclass(type(thing), gevent.Greenlet) and not thing.dead}


@pytest.fixture
def start(nothing_left_behind: None) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def start_one(make: Callable[[Exchange], WaitingRequest]) -> Bench:
        benches.append(Bench(make))
        return benches[-1]

    yield start_one
    for bench in benches:
        bench.end()


def test_poll_is_answered_when_a_message_is_queued(start: Callable[..., Bench]) -> None:
    bench = start(poll)
    assert not bench.greenlet.ready()
    bench.session.send("a")
    assert bench.read(7) == b'a["a"]\n'
    eventually(bench.greenlet.ready)
    assert bench.session.outbox.size == 0


@pytest.mark.parametrize("make", [poll, stream])
def test_disconnected_client_is_noticed_without_data_to_write(
    start: Callable[..., Bench], make: Callable[[Exchange], WaitingRequest]
) -> None:
    bench = start(make)
    bench.client.close()
    eventually(bench.greenlet.ready, within=1)
    assert bench.receiver.is_disconnected


def test_client_that_sends_its_next_request_early_is_not_closed(start: Callable[..., Bench]) -> None:
    bench = start(poll)
    bench.client.send(b"POST")
    settle()
    assert not bench.receiver.is_disconnected
    bench.session.send("a")
    assert bench.read(7) == b'a["a"]\n'


def test_the_flusher_writes_a_stream_without_waking_its_greenlet(start: Callable[..., Bench]) -> None:
    bench = start(stream)
    assert bench.read(2049) == b"h" * 2048 + b"\n"
    switches: list[object] = []
    greenlet.settrace(lambda event, between: switches.append(between[1]))
    try:
        for number in range(3):
            bench.session.send(str(number))
            assert bench.read(7) == b'a["%d"]\n' % number
    finally:
        greenlet.settrace(None)
    assert switches
    assert bench.greenlet not in switches


def test_a_stream_ends_at_its_limit(start: Callable[..., Bench]) -> None:
    bench = start(stream)
    bench.read(2049)
    bench.session.send("x" * LIMIT)
    bench.session.send("next")
    eventually(bench.greenlet.ready)
    assert bench.session.outbox.frames == []
    expected = b'a["' + b"x" * LIMIT + b'","next"]\nend'
    assert bench.read(len(expected)) == expected


def test_a_stream_ends_with_the_close_frame(start: Callable[..., Bench]) -> None:
    bench = start(stream)
    bench.read(2049)
    bench.session.send("last")
    bench.session.close(3000, "enough")
    expected = b'a["last"]\nc[3000,"enough"]\nend'
    assert bench.read(len(expected)) == expected
    eventually(bench.greenlet.ready)


@pytest.mark.parametrize("make", [poll, stream])
def test_waiting_request_uses_only_its_greenlet(
    start: Callable[..., Bench], make: Callable[[Exchange], WaitingRequest]
) -> None:
    greenlets = alive()
    benches = [start(make) for _ in range(3)]
    assert alive() - greenlets == {bench.greenlet for bench in benches}


@pytest.mark.parametrize("make", [poll, stream])
def test_heartbeats_are_sent_to_a_waiting_request(
    start: Callable[..., Bench], make: Callable[[Exchange], WaitingRequest]
) -> None:
    bench = start(make)
    if make is stream:
        bench.read(2049)
    bench.receiver.send_heartbeat()
    assert bench.read(2) == b"h\n"


def test_data_refused_by_a_full_socket_is_written_later(start: Callable[..., Bench]) -> None:
    bench = start(lambda exchange: StreamingRequest(exchange, XHRStreaming(), {}, 0, HUGE))
    text = "x" * 3_000_000
    bench.session.send(text)
    settle()
    bench.session.send("after it")
    settle()
    assert bench.session.outbox.size > len(text), "all of it counts until it is written"
    expected = b"h" * 2048 + b'\na["' + text.encode() + b'"]\na["after it"]\n'
    assert bench.read(len(expected)) == expected
    eventually(lambda: bench.session.outbox.size == 0)


def test_client_that_does_not_read_is_closed_after_the_timeout(start: Callable[..., Bench]) -> None:
    bench = start(lambda exchange: StreamingRequest(exchange, XHRStreaming(), {}, 0.1, HUGE))
    bench.session.send("x" * 3_000_000)
    eventually(lambda: bench.peer.failures)
    assert bench.peer.failures == ["write timeout: the client read nothing for 0.1 s"]
    eventually(bench.greenlet.ready)
    assert isinstance(bench.error, TimeoutError)


def test_an_abandoned_request_ends_although_its_socket_is_full(start: Callable[..., Bench]) -> None:
    bench = start(lambda exchange: StreamingRequest(exchange, XHRStreaming(), {}, 0, HUGE))
    bench.session.send("x" * 3_000_000)
    settle()
    assert bench.receiver.has_unacknowledged_data()
    bench.receiver.abandon()
    eventually(bench.greenlet.ready)
    assert bench.error is not None


def test_full_socket_is_written_later(start: Callable[..., Bench]) -> None:
    bench = start(lambda exchange: StreamingRequest(exchange, XHRStreaming(), {}, 0, HUGE))
    prelude = b"h" * 2048 + b"\n"
    assert bench.read(len(prelude)) == prelude
    filled = 0
    with suppress(BlockingIOError):
        while True:
            filled += bench.exchange.direct.raw.send(b"x" * 65536)
    bench.session.send("after it")
    settle()
    assert bench.session.outbox.size > 0
    expected = b"x" * filled + b'a["after it"]\n'
    assert bench.read(len(expected)) == expected
    eventually(lambda: bench.session.outbox.size == 0)
