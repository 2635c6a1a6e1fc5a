"""Posted frames of a client are carried out in order, within limits."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from gentrifugo.app.streams.inbox import Inbox
from tests.greenlets import eventually, settle


class SlowClient:
    """A client that lets other greenlets run before it carries out a frame."""

    def __init__(self) -> None:
        self.closed = False
        self.frames: list[bytes] = []
        self.errors: list[Exception] = []

    def handle(self, frame: bytes) -> None:
        gevent.sleep(0)
        if frame == b"broken":
            raise RuntimeError("broken")
        self.frames.append(frame)

    def close_broken(self, error: Exception) -> None:
        self.errors.append(error)
        self.closed = True


@pytest.fixture
def client(nothing_left_behind: None) -> SlowClient:
    return SlowClient()


@pytest.fixture
def overflows() -> list[None]:
    return []


@pytest.fixture
def open_inbox(client: SlowClient, overflows: list[None]) -> Callable[[int], Inbox]:
    return lambda limit: Inbox(client, limit, lambda: overflows.append(None))


def test_frames_are_carried_out_in_order(client: SlowClient, open_inbox: Callable[[int], Inbox]) -> None:
    inbox = open_inbox(100)
    for number in range(10):
        inbox.append(b"%d" % number)
    eventually(lambda: client.frames == [b"%d" % number for number in range(10)])


def test_an_inbox_that_was_empty_works_again(client: SlowClient, open_inbox: Callable[[int], Inbox]) -> None:
    inbox = open_inbox(100)
    for frame in (b"first", b"second"):
        inbox.append(frame)
        settle()
    assert client.frames == [b"first", b"second"]


def test_frames_over_the_limit_cause_an_overflow(
    client: SlowClient, overflows: list[None], open_inbox: Callable[[int], Inbox]
) -> None:
    inbox = open_inbox(10)
    for _ in range(3):
        inbox.append(b"12345")
    assert overflows == [None]
    settle()
    assert client.frames == [b"12345"] * 2


def test_a_single_frame_may_be_larger_than_the_limit(
    client: SlowClient, overflows: list[None], open_inbox: Callable[[int], Inbox]
) -> None:
    open_inbox(1).append(b"12345")
    settle()
    assert (client.frames, overflows) == ([b"12345"], [])


def test_an_unexpected_error_ends_the_client_and_discards_the_rest(
    client: SlowClient, open_inbox: Callable[[int], Inbox]
) -> None:
    inbox = open_inbox(100)
    inbox.append(b"broken")
    inbox.append(b"next")
    settle()
    inbox.append(b"late")
    settle()
    assert client.frames == []
    assert [str(error) for error in client.errors] == ["broken"]
