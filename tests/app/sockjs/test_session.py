"""Behaviour of a session: the order of frames, its limit, and that it ends exactly once."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.sockjs.peer import SockJSTransport
from gentrifugo.app.sockjs.session import Session
from tests.app.sockjs.fakes import FakePeer, FakeReceiver
from tests.greenlets import BackgroundGreenlet, settle

LIMIT = 100


class Bench:
    """A session with its peer, which has been opened."""

    def __init__(self) -> None:
        self.flusher = Flusher(0)
        self.session = Session(self.flusher, LIMIT, self._connect)
        assert self.session.take() == b"o"

    def _connect(self, transport: SockJSTransport, opening: Opening | None) -> FakePeer:
        self.peer = FakePeer(transport)
        return self.peer


@pytest.fixture
def bench(nothing_left_behind: None) -> Bench:
    return Bench()


@pytest.fixture
def session(bench: Bench) -> Session:
    return bench.session


def test_empty_session_has_no_frame(session: Session) -> None:
    assert session.take() is None


def test_messages_wait_for_a_request(session: Session) -> None:
    for text in ("a", "b"):
        session.send(text)
    session.outbox.append(session.frame(b'{"c":1}'))
    assert session.take() == b'a["a","b","{\\"c\\":1}"]'
    session.outbox.settle()
    assert (session.take(), session.outbox.size) == (None, 0)


def test_broadcasts_share_their_bytes(session: Session) -> None:
    assert session.frame(b"{}") is Session.frame(b"{}")


def test_flusher_wakes_the_waiting_request(session: Session) -> None:
    receiver = FakeReceiver()
    session.attach(receiver)
    session.send("a")
    assert receiver.calls == []
    settle()
    assert receiver.calls == ["wake"]
    session.send("b")
    settle()
    assert receiver.calls == ["wake"], "once for all that waits"


def test_messages_wait_until_a_request_has_sent_them(bench: Bench) -> None:
    waiting = {bench.session.outbox}
    bench.session.send("a")
    assert bench.flusher.waiting() == waiting
    settle()
    assert bench.flusher.waiting() == waiting
    bench.session.take()
    assert bench.flusher.waiting() == waiting
    bench.session.outbox.settle()
    assert bench.flusher.waiting() == set()


def test_nothing_waits_for_a_client_that_has_disconnected(bench: Bench) -> None:
    """A broadcast may arrive while the peer is being closed, which can block."""
    bench.session.send("a")
    settle()
    bench.session.take()
    bench.peer.close = lambda: bench.session.outbox.append(b'"b"')  # type: ignore[method-assign]
    bench.session.interrupt()
    settle()
    assert bench.flusher.waiting() == set()


def test_close_frame_follows_queued_messages_and_is_repeated(bench: Bench) -> None:
    bench.session.send("a")
    bench.session.close(3000, "enough")
    bench.session.send("too late")
    assert bench.session.take() == b'a["a"]'
    bench.session.outbox.settle()
    assert [bench.session.take() for _ in range(2)] == [b'c[3000,"enough"]'] * 2
    assert bench.peer.ends == 1


def test_second_close_of_a_session_is_ignored(bench: Bench) -> None:
    bench.session.close(3000, "first")
    bench.session.close(3000, "second")
    bench.session.interrupt()
    assert (bench.session.close_frame_if_closed, bench.peer.ends) == (b'c[3000,"first"]', 1)


def test_interrupted_session_drops_queued_messages(bench: Bench) -> None:
    bench.session.send("a")
    bench.session.interrupt()
    assert bench.session.take() == b'c[1002,"Connection interrupted"]'
    assert bench.peer.ends == 1


def test_a_peer_may_close_at_once(nothing_left_behind: None) -> None:
    peers = []

    def connect(transport: SockJSTransport, opening: Opening | None) -> FakePeer:
        transport.close(3000, "go away")
        peers.append(FakePeer(transport))
        return peers[0]

    session = Session(Flusher(0), LIMIT, connect)
    assert [session.take(), session.take()] == [b"o", b'c[3000,"go away"]']
    assert peers[0].ends == 1


def test_messages_reach_the_peer_until_it_closes(bench: Bench) -> None:
    bench.session.handle(["a", "close", "b"])
    bench.session.handle(["c"])
    assert (bench.peer.messages, bench.peer.ends) == (["a", "close"], 1)


def test_queue_over_its_limit_is_reported_once(bench: Bench) -> None:
    for _ in range(3):
        bench.session.send("x" * LIMIT)
    assert bench.peer.failures == ["slow"]


def test_messages_being_written_count_for_the_limit(bench: Bench) -> None:
    bench.session.send("x" * (LIMIT - 10))
    assert bench.session.take()
    bench.session.send("y" * 20)
    assert bench.peer.failures == ["slow"], "the client has not taken the first yet"


def test_a_second_reader_finds_the_first(session: Session) -> None:
    assert not session.has_receiver()
    session.attach(FakeReceiver())
    assert session.has_receiver()
    assert session.close_frame_if_closed is None


def test_second_receiver_replaces_a_disconnected_one(bench: Bench) -> None:
    receiver = FakeReceiver()
    bench.session.attach(receiver)
    receiver.is_disconnected = True
    assert bench.session.has_receiver()
    assert bench.session.close_frame_if_closed == b'c[1002,"Connection interrupted"]'
    assert bench.peer.ends == 1


def test_failures_of_a_closed_session_are_ignored(bench: Bench) -> None:
    bench.session.close(3000, "")
    bench.session.close_silent()
    bench.session.close_failed("broken")
    assert bench.peer.failures == []


def test_an_exception_of_the_peer_closes_the_session(bench: Bench) -> None:
    def fail(message: str) -> None:
        raise ValueError(message)

    bench.peer.handle_text = fail  # type: ignore[method-assign]
    bench.session.handle(["a", "b"])
    assert (bench.peer.failures, bench.peer.ends) == (["broken: a"], 1)
    assert bench.session.close_frame_if_closed == b'c[3000,"broken"]'


def test_other_greenlets_run_between_messages_of_a_request(
    bench: Bench, background_greenlet: BackgroundGreenlet
) -> None:
    bench.session.handle(["a"] * 5)
    assert background_greenlet.turns >= 4


def test_queued_messages_are_dropped_when_the_client_is_broken(session: Session) -> None:
    session.send("a")
    session.outbox.fail("Broken pipe")
    assert (session.take(), session.outbox.size) == (None, 0)
