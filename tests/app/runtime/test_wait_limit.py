"""Behaviour of a limit for waits that follow each other in one greenlet."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event

from gentrifugo.app.runtime.running_clock import running_time
from gentrifugo.app.runtime.wait_limit import WaitLimit, WaitTooLong
from tests.greenlets import nothing_left_behind
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

NEVER = 3600.0


@pytest.fixture
def limit(nothing_left_behind: None) -> Iterator[WaitLimit]:
    limit = WaitLimit(gevent.get_hub())
    yield limit
    limit.close()
    limit.close()


def wait(limit: WaitLimit, allowed: float, needed: float) -> bool:
    """Wait for something that needs so many seconds; returns whether it came before the limit."""
    limit.begin(allowed)
    try:
        gevent.sleep(needed)
    except WaitTooLong:
        return False
    finally:
        limit.end()
    return True


def test_wait_ends_after_its_limit(limit: WaitLimit) -> None:
    assert not wait(limit, allowed=0.02, needed=seconds(5))


@pytest.mark.parametrize("allowed", [0, -1])
def test_wait_without_time_ends_at_once(limit: WaitLimit, allowed: float) -> None:
    assert not wait(limit, allowed, needed=seconds(5))


def test_wait_that_is_short_enough_is_not_interrupted(limit: WaitLimit) -> None:
    assert wait(limit, allowed=NEVER, needed=0.01)


def test_later_wait_has_its_own_limit(limit: WaitLimit) -> None:
    assert wait(limit, allowed=seconds(0.5), needed=0.01)
    assert not wait(limit, allowed=0.02, needed=seconds(5)), "a shorter one"
    assert wait(limit, allowed=seconds(0.2), needed=0.01)
    assert wait(limit, allowed=NEVER, needed=seconds(0.3)), "a longer one, while the timer of the shorter one runs on"


def test_nothing_is_interrupted_between_two_waits(limit: WaitLimit) -> None:
    assert wait(limit, allowed=0.05, needed=0.01)
    gevent.sleep(0.1)
    assert not wait(limit, allowed=0.02, needed=seconds(5)), "the limit still works after its timer has expired"


def test_pause_of_the_process_does_not_count(limit: WaitLimit) -> None:
    arrived = Event()
    gevent.spawn_later(0.01, time.sleep, 1)  # the event loop stands still
    gevent.spawn_later(0.05, arrived.set)
    limit.begin(0.7)
    assert arrived.wait(seconds(5))
    limit.end()


def test_pause_is_added_to_a_wait_that_lasts_longer(limit: WaitLimit) -> None:
    began = running_time()
    gevent.spawn_later(0.01, time.sleep, 1)
    assert not wait(limit, allowed=0.3, needed=seconds(10))
    assert running_time() - began >= 0.3


def test_pause_before_a_wait_does_not_extend_it(limit: WaitLimit) -> None:
    running_time()
    time.sleep(seconds(1) + 0.5)  # the clock has not noticed this pause when the wait begins
    assert not wait(limit, allowed=0.05, needed=seconds(0.9))
