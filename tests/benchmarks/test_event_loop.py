"""The event loop calls back when something is ready or due."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from benchmarks.event_loop import EventLoop
from tests.waiting import seconds


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_callback_is_called_for_a_readable_socket(loop: EventLoop, pair: tuple[socket.socket, socket.socket]) -> None:
    received: list[bytes] = []
    loop.watch(pair[0], lambda: received.append(pair[0].recv(100)))
    loop.run_for(0.01)
    assert received == []
    pair[1].send(b"hello")
    assert loop.run_until(lambda: received == [b"hello"], seconds(5))


def test_a_socket_that_can_be_written_and_then_is_read(
    loop: EventLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    received: list[bytes] = []

    def write() -> None:
        pair[0].send(b"question")
        loop.watch(pair[0], lambda: received.append(pair[0].recv(100)))

    loop.watch(pair[0], write, writing=True)
    loop.watch(pair[1], lambda: pair[1].send(pair[1].recv(100).upper()))
    assert loop.run_until(lambda: received == [b"QUESTION"], seconds(5))


def test_removed_socket_causes_no_callback(loop: EventLoop, pair: tuple[socket.socket, socket.socket]) -> None:
    loop.watch(pair[0], lambda: pytest.fail("called"))
    pair[1].send(b"hello")
    loop.forget(pair[0])
    loop.forget(pair[0])
    loop.run_for(0.01)


def test_a_callback_may_forget_a_socket_that_is_ready_too(
    loop: EventLoop, pair: tuple[socket.socket, socket.socket]
) -> None:
    called: list[socket.socket] = []

    def forget_both() -> None:
        called.extend(pair)
        for sock in pair:
            loop.forget(sock)

    for sock in pair:
        sock.send(b"hello")
        loop.watch(sock, forget_both)
    loop.run_for(0.01)
    assert called == [*pair]


def test_calls_are_made_when_they_are_due_in_that_order(loop: EventLoop) -> None:
    called: list[str] = []
    start = time.monotonic()
    loop.call_at(start + 0.02, lambda: called.append("second"))
    loop.call_at(start + 0.01, lambda: called.append("first"))
    assert loop.run_until(lambda: len(called) == 2, seconds(5))
    assert called == ["first", "second"]
    assert time.monotonic() >= start + 0.02


def test_run_until_returns_false_after_the_timeout(loop: EventLoop) -> None:
    assert not loop.run_until(lambda: False, 0.01)
