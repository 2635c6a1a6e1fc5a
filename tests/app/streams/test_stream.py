"""A stream on a real socket: its output, and the reasons for its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
from gevent.socket import socketpair

from gentrifugo.app.config.config import Config
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.streams import stream as stream_module
from gentrifugo.app.streams.framing import LINES
from gentrifugo.app.streams.stream import StreamKind, StreamTransport
from tests.waiting import seconds

LONG = seconds(5)


@dataclass
class FakeOwner:
    """An owner that records the notifications of its stream."""

    heard: list[str] = field(default_factory=list)

    def close_slow(self) -> None:
        self.heard.append("slow")

    def close_silent(self) -> None:
        self.heard.append("silent")

    def close_failed(self, reason: str) -> None:
        self.heard.append("failed")

    def close_too_large(self) -> None:
        self.heard.append("too large")

    def close_broken(self, error: Exception) -> None:
        self.heard.append("broken")

    def close(self) -> None:
        self.heard.append("closed")


class Bench:
    """A stream that is being served, and the socket of its client."""

    def __init__(self, limit: int) -> None:
        self.socket, self.client = socketpair()
        self.client.settimeout(LONG)
        self.owner = FakeOwner()
        config = Config(client_queue_max_size=limit)
        kind = StreamKind("http_stream", LINES.frame(True), lambda code, reason: b"%d" % code, b"end")
        self.stream = StreamTransport(kind, self.socket, Flusher(0), config)
        self.served: gevent.Greenlet[..., None] = gevent.spawn(self.stream.serve, self.owner)
        gevent.sleep(0)

    def has_ended(self) -> bool:
        self.served.join(LONG)
        return self.served.successful()

    def read_all(self) -> bytes:
        data = b""
        while part := self.client.recv(65536):
            data += part
            if data.endswith(b"end"):
                break
        return data


@pytest.fixture
def bench(nothing_left_behind: None, request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(getattr(request, "param", 10_000_000))
    yield bench
    bench.client.close()
    bench.served.join(LONG)
    bench.socket.close()


def test_close_writes_queued_messages_then_the_disconnect_and_the_end(bench: Bench) -> None:
    bench.stream.outbox.append(bench.stream.frame(b"first"))
    bench.stream.close(3001, "shutdown")
    bench.stream.close(3000, "a second close does nothing")
    assert bench.read_all() == b"6\r\nfirst\n\r\n5\r\n3001\n\r\nend"
    assert bench.has_ended()
    assert bench.owner.heard == ["closed"]


def test_a_client_that_leaves_ends_the_stream(bench: Bench) -> None:
    bench.client.close()
    assert bench.has_ended()
    assert bench.owner.heard == ["closed"]


def test_a_further_request_does_not_end_the_stream(bench: Bench) -> None:
    bench.client.sendall(b"POST / HTTP/1.1\r\n\r\n")
    gevent.sleep(0.01)
    assert not bench.served.dead
    bench.stream.close(3001, "shutdown")
    assert bench.read_all().endswith(b"end")


@pytest.mark.parametrize("bench", [1000], indirect=True)
def test_a_client_that_does_not_read_is_reported_as_slow(bench: Bench) -> None:
    frame: Any = bench.stream.frame(b"x" * 500)
    while not bench.owner.heard:
        bench.stream.outbox.append(frame)
        gevent.sleep(0)
    assert bench.owner.heard == ["slow"]


def test_client_that_does_not_read_the_end_is_disconnected(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "CLOSE_TIMEOUT", 0.01)
    bench.stream.outbox.append(b"x" * 5_000_000)
    bench.stream.close(3001, "shutdown")
    assert bench.has_ended()
    assert not bench.read_all().endswith(b"end")
