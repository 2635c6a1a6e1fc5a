"""Behaviour of the sweep: heartbeats, sessions that no request reads, and that it stops without sessions."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator

import gevent
import pytest

from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.runtime.timers import Callback, Timer, Timers
from gentrifugo.app.sockjs.options import SockJSOptions
from gentrifugo.app.sockjs.peer import SockJSTransport
from gentrifugo.app.sockjs.session import Session
from gentrifugo.app.sockjs.sessions import Sessions
from tests.app.sockjs.fakes import FakePeer, FakeReceiver
from tests.greenlets import eventually

SOON = 0.1
NEVER = 1000


class BrokenReceiver(FakeReceiver):
    """A request or a connection whose heartbeats fail in an unexpected way."""

    failed = 0

    def send_heartbeat(self) -> None:
        self.failed += 1
        raise RuntimeError("cannot be written")


class CountedTimers(Timers):
    """Timers that count how many were started."""

    started = 0

    def after(self, delay: float, callback: Callback) -> Timer:
        self.started += 1
        return super().after(delay, callback)


class Bench:
    """Sessions with delays that the test chooses."""

    def __init__(self, timers: CountedTimers) -> None:
        self.timers = timers
        self.ended: list[str] = []
        self.options = SockJSOptions(heartbeat_delay=SOON, disconnect_delay=SOON)
        self.on_end: Callable[[str], None] = self.ended.append
        self.sessions = Sessions(timers, lambda: self.options, lambda key: self.on_end(key))
        self.peers: list[FakePeer] = []

    def session(self, key: str = "key", receiver: FakeReceiver | None = None) -> Session:
        session = Session(Flusher(0), NEVER, self._connect)
        session.receiver = receiver
        self.sessions.add(key, session)
        return session

    def expect_no_sweep(self) -> None:
        """Check that no sweep follows the one that waits."""
        gevent.sleep(SOON)
        started = self.timers.started
        gevent.sleep(SOON)
        assert self.timers.started == started

    def _connect(self, transport: SockJSTransport, opening: Opening | None) -> FakePeer:
        self.peers.append(FakePeer(transport))
        return self.peers[-1]


@pytest.fixture
def bench(nothing_left_behind: None) -> Iterator[Bench]:
    timers = CountedTimers(resolution=0.01)
    timers.start()
    yield Bench(timers)
    timers.stop()


def test_session_without_reader_is_closed(bench: Bench) -> None:
    bench.session()
    eventually(lambda: bench.peers[0].ends)
    assert (bench.sessions.find("key"), len(bench.sessions)) == (None, 0)
    assert bench.ended == ["key"]


def test_closed_session_is_removed(bench: Bench) -> None:
    session, peer = weakref.ref(bench.session()), weakref.ref(bench.peers[0])
    eventually(lambda: bench.peers[0].ends)
    bench.peers.clear()
    gc.collect()
    assert (session(), peer()) == (None, None)


def test_reading_keeps_a_session(bench: Bench) -> None:
    receiver = FakeReceiver()
    session = bench.session(receiver=receiver)
    eventually(lambda: receiver.calls.count("send_heartbeat") >= 3)
    assert bench.sessions.find("key") is session
    session.detach()
    eventually(lambda: bench.peers[0].ends)


def test_a_closed_session_is_remembered_for_the_disconnect_delay(bench: Bench) -> None:
    session = bench.session()
    session.close(3000, "enough")
    began = time.monotonic()
    assert bench.sessions.find("key") is session
    for _ in range(3):
        session.detach()  # polls that fetch the close frame do not make it live longer
    eventually(lambda: bench.sessions.find("key") is None)
    assert time.monotonic() - began >= SOON
    assert bench.peers[0].ends == 1


def test_a_closed_session_whose_request_is_stuck_is_abandoned(bench: Bench) -> None:
    receiver = FakeReceiver()
    bench.session(receiver=receiver).close(3000, "slow")
    eventually(lambda: "abandon" in receiver.calls)


def test_a_client_that_has_vanished_is_noticed_when_a_heartbeat_is_due(bench: Bench) -> None:
    receiver = FakeReceiver()
    receiver.stuck = True
    bench.session(receiver=receiver)
    eventually(lambda: "abandon" in receiver.calls)
    assert bench.peers[0].failures == ["silent"]
    assert "send_heartbeat" not in receiver.calls


def test_no_heartbeats_without_a_delay(bench: Bench) -> None:
    bench.options = SockJSOptions(heartbeat_delay=0, disconnect_delay=SOON)
    receiver = FakeReceiver()
    bench.session("read", receiver)
    bench.session("unread")
    eventually(lambda: bench.sessions.find("unread") is None)
    assert receiver.calls == []


def test_connections_have_heartbeats_too(bench: Bench) -> None:
    connection = FakeReceiver()
    bench.sessions.connect(connection)
    eventually(lambda: connection.calls.count("send_heartbeat") >= 2)
    bench.sessions.connections.discard(connection)
    bench.expect_no_sweep()


def test_sweeping_continues_after_an_unexpected_exception(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    failing, other, connection = BrokenReceiver(), FakeReceiver(), BrokenReceiver()
    bench.sessions.connect(connection)
    bench.session("failing", failing)
    bench.session("other", other)
    eventually(lambda: other.calls.count("send_heartbeat") >= 2 and min(failing.failed, connection.failed) >= 2)
    assert caplog.text.count("internal error in the sweep of SockJS sessions") == 1
    assert "cannot be written" in caplog.text


def test_session_is_ended_also_if_its_end_cannot_be_reported(bench: Bench) -> None:
    def fail(key: str) -> None:
        bench.ended.append(key)
        raise OSError("no directory")

    bench.on_end = fail
    bench.session("one")
    bench.session("two")
    eventually(lambda: [peer.ends for peer in bench.peers] == [1, 1])
    assert bench.ended == ["one", "two"]
    bench.expect_no_sweep()


def test_one_timer_serves_all_sessions(bench: Bench) -> None:
    bench.session("one")
    bench.session("two")
    assert bench.timers.started == 1
    eventually(lambda: len(bench.sessions) == 0)
    bench.expect_no_sweep()
