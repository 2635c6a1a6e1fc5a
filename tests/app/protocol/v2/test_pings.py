"""Pings of version 2: when they are sent, and which clients are closed because they do not answer."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gentrifugo.app.protocol.v2.pings import Pings
from gentrifugo.app.runtime.timers import Timers
from tests.greenlets import eventually

OPTIONS = SimpleNamespace(ping_interval=0.05, client_pong_timeout=0.02)


class Pinged:
    """A client with pings, which counts sent pings and closes."""

    def __init__(self, timers: Timers, awaits_answers: bool = True) -> None:
        self.sent = self.checked_while_busy = self.closed = 0
        self.busy = False
        self.pings = Pings(timers, OPTIONS, self, awaits_answers)

    @property
    def is_busy(self) -> bool:
        self.checked_while_busy += self.busy
        return self.busy

    def send_ping(self) -> None:
        self.sent += 1

    def close_silent(self) -> None:
        self.closed += 1


@pytest.fixture
def timers(nothing_left_behind: None) -> Iterator[Timers]:
    started = Timers(resolution=0.005)
    started.start()
    yield started
    started.stop()


def test_a_client_that_does_not_answer_is_closed(timers: Timers) -> None:
    client = Pinged(timers)
    eventually(lambda: client.closed == 1)
    assert client.sent == 1


def test_pong_behind_a_running_command_has_a_longer_timeout(timers: Timers) -> None:
    client = Pinged(timers)
    client.busy = True
    eventually(lambda: client.checked_while_busy >= 3)
    assert (client.sent, client.closed) == (1, 0)
    client.busy = False
    eventually(lambda: client.closed == 1)


def test_an_answer_is_expected_only_after_a_ping(timers: Timers) -> None:
    client = Pinged(timers)
    assert not client.pings.note_answer()
    client.busy = True  # so that it is not closed meanwhile
    eventually(lambda: client.sent == 1)
    assert client.pings.note_answer()
    assert not client.pings.note_answer()
    client.pings.stop()


def test_a_client_that_only_listens_is_pinged_and_need_not_answer(timers: Timers) -> None:
    client = Pinged(timers, awaits_answers=False)
    eventually(lambda: client.sent == 3)
    client.pings.stop()
    assert client.closed == 0


def test_a_client_gets_no_ping_after_its_pings_were_stopped(timers: Timers) -> None:
    stopped, other = Pinged(timers), Pinged(timers, awaits_answers=False)
    stopped.pings.stop()
    eventually(lambda: other.sent == 3)
    other.pings.stop()
    assert stopped.sent == 0
